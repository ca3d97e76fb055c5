"""What `doctor` tries of AWS's quotas and variables, of the login to Snowflake, and of raw logs and their case.

Which trials there are, and how a finding is shown, is in `doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from kumo_assets.config.environment import is_loopback
from kumo_assets.config.load import RawSource
from kumo_assets.errors import ConfigError

if TYPE_CHECKING:
    from kumo_assets.resources.snowflake import Warehouse

# From this share of a quota on, doctor warns.
NEAR = 0.9


class Seen(NamedTuple):
    """What a trial saw that passed, and a warning with what to do about it; "" for none."""

    seen: str
    warning: str = ""


def count_tables(ours: int, every: int, region: str) -> Seen:
    """The account's tables in this region against AWS's default quota."""
    from kumo_assets.resources.dynamodb.import_errors import MOST_TABLES

    near = every >= NEAR * MOST_TABLES
    return Seen(
        f"{ours:,} tables of this environment, {every:,} of the {MOST_TABLES:,} that an account has by default in {region}",
        "warning: near the quota, at which no import starts: retire old releases, or ask AWS for more" if near else "",
    )


def regions_agree(environ: Mapping[str, str] | None = None) -> str:
    """A warning when the two variables name two regions; "" else. AWS_REGION wins, here and in kumo_serving."""
    source = os.environ if environ is None else environ
    one, other = source.get("AWS_REGION"), source.get("AWS_DEFAULT_REGION")
    if not one or not other or one == other:
        return ""
    return f"warning: AWS_REGION is {one}, which is used, and AWS_DEFAULT_REGION is {other}: unset one"


def login_warning(environ: Mapping[str, str] | None = None) -> str:
    """A warning of a login by password alone anywhere but in a sandbox; "" else."""
    source = os.environ if environ is None else environ
    bare = (
        source.get("SNOWFLAKE_PASSWORD") and source.get("SNOWFLAKE_AUTHENTICATOR", "snowflake").lower() == "snowflake"
    )
    if not bare or is_loopback(source.get("SNOWFLAKE_HOST", "")):
        return ""
    return (
        "warning: Snowflake ends logins by password alone; use a key pair (SNOWFLAKE_PRIVATE_KEY_PATH), or "
        "SNOWFLAKE_AUTHENTICATOR=PROGRAMMATIC_ACCESS_TOKEN with SNOWFLAKE_TOKEN"
    )


def see_raw_log(warehouse: Warehouse, source: RawSource) -> str:
    """The raw log's name, once its table and its event time were seen. ConfigError names what exists in another case."""
    from kumo_assets.resources.snowflake_names import alike, tables_alike

    database, name = source.database or warehouse.database, source.table.table
    columns = warehouse.columns(database, source.schema, name)
    if not columns:
        others = tables_alike(warehouse, database, source.schema, name)
        raise ConfigError(
            "see the raw logs",
            found=f"no {database}.{source.schema}.{name}, or no grant on it"
            + (f"; there is {', '.join(others)}: names differ in case" if others else ""),
            next="write it in the RawLogs definition exactly so"
            if others
            else "grant SELECT on it (deploy/snowflake/grants.sql), or correct the RawLogs definition",
        )
    time = source.table.event_time
    if time is not None and time not in columns:
        other = alike(time, columns)
        raise ConfigError(
            "see the raw logs",
            found=f"no column {time} in {database}.{source.schema}.{name}; it has {', '.join(columns)}"
            + (f": {other} differs in case" if other else ""),
            next=f"write event_time: {other or 'one of them'} in the RawLogs definition",
        )
    return source.name


def see_reach(source: RawSource) -> str:
    """The newest event of a raw log outside Snowflake, as its definition says it is found. Raises as of
    `raw_logs.reach`."""
    from kumo_assets.resources.aws import s3_client
    from kumo_assets.resources.raw_logs.reach import reach

    if source.table.freshness_from == "none":
        return "not asked for (freshness_from: none): the query does not wait for this log"
    found = reach(source.name, source.table, datetime.now(UTC), s3_client)
    newest = found.newest.isoformat() if found.newest is not None else "none"
    return "; ".join([f"newest event {newest}", *(f"{label} {seen}" for label, seen in found.seen.items())])
