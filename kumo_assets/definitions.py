"""The one assembly function: definitions folder + resources + sensor = what Dagster loads. No I/O but reading YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from kumo_assets.automation.promotion_sensor import build_promotion_sensor
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.dynamodb.resource import DynamoDBResource
from kumo_assets.resources.kumo.resource import kumo_resource
from kumo_assets.resources.snowflake import snowflake_resource


def resources() -> dict[str, Any]:
    """Every outside system, configured by environment variables alone."""
    s3 = S3Resource()
    return {
        "snowflake": snowflake_resource(),
        "kumo": kumo_resource(),
        "dynamodb": DynamoDBResource(),
        "s3": s3,
        "releases": ReleasesResource(s3=s3),
    }


def shell() -> dg.Definitions:
    """What every project that uses our Components needs beside them: resources, the sensor, the executor.

    Runs go through one process: the chain's work is remote, and Dagster's multiprocess executor pays about 3 s of
    interpreter start for each step (dagster_facts).
    """
    return dg.Definitions(resources=resources(), sensors=[build_promotion_sensor()], executor=dg.in_process_executor)


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions.merge(dg.load_from_defs_folder(path_within_project=Path(__file__).parent), shell())
