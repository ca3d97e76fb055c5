"""A named external stage to unload through, for accounts that forbid unloads to URLs (PREVENT_UNLOAD_TO_INLINE_URL).

Which variable names it is in `config.environment`; the unload statement is in `assets.s3_export`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kumo_assets.config.environment import Environment
from kumo_assets.errors import ConfigError
from kumo_assets.resources.aws import encryption
from kumo_assets.resources.sql import literal, quote, table
from kumo_assets.resources.storage import storage_clauses

if TYPE_CHECKING:
    from kumo_assets.resources.snowflake import Warehouse

STAGE = "KUMO_ASSETS_STAGE"


def parts_of(stage: str) -> tuple[str, str, str]:
    """Database, schema and name. ConfigError for a stage that is not named by all three, exactly as Snowflake has them."""
    parts = stage.split(".")
    if len(parts) != 3 or not all(parts):
        raise ConfigError(
            "unload through the stage",
            to=repr(stage),
            found=f"{STAGE} is not DATABASE.SCHEMA.STAGE",
            next="name all three as SHOW STAGES prints them (one made without quotes is in upper case)",
        )
    return parts[0], parts[1], parts[2]


def url_of(environment: Environment) -> str:
    """What the stage's URL must be: this environment's part of the bucket."""
    return f"s3://{environment.bucket}/{environment.name}/"


def location(environment: Environment, key: str) -> str:
    """Where in the stage the objects below a key of the bucket are, for COPY INTO."""
    return f"@{table(*parts_of(environment.stage))}/{key.removeprefix(f'{environment.name}/')}"


def target(environment: Environment, key: str) -> tuple[str, str]:
    """What COPY INTO writes the objects below a key of the bucket to, and its storage clauses: a place in the stage, which
    has an integration and an encryption of its own, or a URL."""
    if environment.stage:
        return location(environment, key), ""
    return f"s3://{environment.bucket}/{key}", storage_clauses(environment.storage_integration, encryption())


def see_stage(warehouse: Warehouse, environment: Environment) -> str:
    """The stage, once its URL was seen. ConfigError when it is not there, or leads elsewhere."""
    database, schema, name = parts_of(environment.stage)
    shown = warehouse.rows(
        f"SHOW STAGES LIKE {literal(name)} IN SCHEMA {quote(database)}.{quote(schema)}", doing="look for the stage"
    )
    # LIKE takes `_` for any character, and no case.
    found = next((row for row in shown if row["name"] == name), None)
    url = str(found["url"]) if found is not None else ""
    if url.rstrip("/") + "/" != url_of(environment):
        raise ConfigError(
            "unload through the stage",
            to=environment.stage,
            found=f"its URL is {url}" if found is not None else "no such stage, or no grant on it",
            next=f"create it with URL = '{url_of(environment)}' and grant USAGE on it (deploy/snowflake/stage.sql)",
        )
    return f"stage {environment.stage}"
