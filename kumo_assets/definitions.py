"""What Dagster loads: `shared_definitions()` for any project that uses our Components, and this checkout's own `defs`.

Importing it reads no file and asks no network. The folder of queries belongs to whoever calls: an installed
`kumo_assets` has none of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import dagster as dg

from kumo_assets.automation.promotion_sensor import build_promotion_sensor
from kumo_assets.errors import ConfigError
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.dynamodb.resource import DynamoDBResource
from kumo_assets.resources.kumo.resource import KumoResource, kumo_resource
from kumo_assets.resources.s3 import S3Resource
from kumo_assets.resources.snowflake_settings import snowflake_resource

if TYPE_CHECKING:
    from dagster_snowflake import SnowflakeResource


class SharedResources(TypedDict):
    """Our resources by key. The keys are prefixed, so that a project's own `s3` and `snowflake` live beside them."""

    kumo_assets_snowflake: SnowflakeResource
    kumo_assets_kumo: KumoResource
    kumo_assets_dynamodb: DynamoDBResource
    kumo_assets_s3: S3Resource
    kumo_assets_releases: ReleasesResource


def shared_resources() -> SharedResources:
    """Every outside system, configured by environment variables alone."""
    s3 = S3Resource()
    return SharedResources(
        kumo_assets_snowflake=snowflake_resource(),
        kumo_assets_kumo=kumo_resource(),
        kumo_assets_dynamodb=DynamoDBResource(),
        kumo_assets_s3=s3,
        kumo_assets_releases=ReleasesResource(s3=s3),
    )


def shared_definitions() -> dg.Definitions:
    """What every project that uses our Components needs beside them: resources and the promotion sensor.

    It carries no executor. Our jobs bring theirs; assets materialised by hand and the sensor's runs go by the project's.
    """
    return dg.Definitions(resources=shared_resources(), sensors=[build_promotion_sensor()])


@dg.definitions
def defs() -> dg.Definitions:
    """The checkout's own project, in which everything runs in one process (`automation.jobs` says why).

    ConfigError in an installed package, which holds no definitions: Dagster would look on upwards for a project, and
    find whichever one the environment lies in.
    """
    here = Path(__file__).parent
    if not (here / "defs").is_dir():
        raise ConfigError(
            "load the definitions of",
            to=__name__,
            found=f"the package installed in {here} holds none",
            next="load the definitions of your own project, which take what they need from this module (README, Make it yours)",
        )
    return dg.Definitions.merge(
        shared_definitions(),
        dg.Definitions(executor=dg.in_process_executor),
        dg.load_from_defs_folder(path_within_project=here),
    )
