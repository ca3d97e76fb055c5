"""The one assembly function: definitions folder + resources + sensor = what Dagster loads. No I/O but reading YAML."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import dagster as dg

from kumo_assets.automation.promotion_sensor import build_promotion_sensor
from kumo_assets.errors import ConfigError
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.dynamodb.resource import DynamoDBResource
from kumo_assets.resources.kumo.resource import kumo_resource
from kumo_assets.resources.s3 import S3Resource
from kumo_assets.resources.snowflake import snowflake_resource

# New objects after which Python's collector looks for garbage among them. What a load makes stays for the life of the
# process; at Python's own 700 or 2,000 the collector walks it again and again, a sixth of the load of 100 queries.
COLLECT_AFTER = 10_000


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
    interpreter start for each step (dagster_facts). Call it before the definitions are loaded: it sets how often this
    process collects garbage, if that is more often than once in `COLLECT_AFTER` objects, which a large load feels.
    """
    first, *rest = gc.get_threshold()
    gc.set_threshold(max(first, COLLECT_AFTER) if first else 0, *rest)
    return dg.Definitions(resources=resources(), sensors=[build_promotion_sensor()], executor=dg.in_process_executor)


@dg.definitions
def defs() -> dg.Definitions:
    """The checkout's own project. ConfigError in an installed package, which holds no definitions: Dagster would look on
    upwards for a project, and find whichever one the environment lies in."""
    here = Path(__file__).parent
    if not (here / "defs").is_dir():
        raise ConfigError(
            "load the definitions of",
            to=__name__,
            found=f"the package installed in {here} holds none",
            next="load the definitions of your own project, which take what they need from this module (README, Make it yours)",
        )
    return dg.Definitions.merge(shell(), dg.load_from_defs_folder(path_within_project=here))
