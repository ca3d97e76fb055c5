"""Tables that Kumo's writer left in Snowflake: `<TABLE>_STAGING_<12 hex>`, made beside a release's table and renamed or
dropped when the writer is done. One that crashed leaves its own behind.

They are orphans: listed for a person to look at, and never deleted here. Which releases go is in `retention`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from kumo_serving.errors import KumoAssetsError

from kumo_assets.config.names import ReleaseId
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.retention import IN_FLIGHT, Plan

# The names of all tables in SNOWFLAKE_DATABASE.SNOWFLAKE_SCHEMA that begin with a text.
TablesBeginning = Callable[[str], Sequence[str]]
# The writer's own name (kumoai 3.0.0b3, its Snowflake writer) behind a name of ours, attempts included.
_LEFT = re.compile(r"(\d{8})_([0-9A-F]{8})_PREDICTIONS(_A[1-9]\d*)?_STAGING_[0-9A-F]{12}", re.IGNORECASE)


def with_staging(planned: Plan, ctx: ReleaseContext, tables: TablesBeginning, warn: Callable[[str], object]) -> Plan:
    """The plan of retirement with the staging tables among its orphans. When Snowflake does not answer, `warn` says so, and
    the plan is what S3 and DynamoDB say."""
    try:
        return replace(planned, orphans=[*planned.orphans, *staging_orphans(ctx, tables)])
    except KumoAssetsError as error:
        warn(f"Staging tables of Kumo's writer were not looked for in Snowflake: {error}")
        return planned


def staging_orphans(ctx: ReleaseContext, tables: TablesBeginning, now: datetime | None = None) -> list[str]:
    """The staging tables of this query's releases that no job can be writing any more: all but those of a release that is
    being built. Raises what `tables` raises."""
    begin = f"KUMO_{ctx.names.environment}_{ctx.names.query}_".upper()
    named = [(name, _LEFT.fullmatch(name.removeprefix(begin))) for name in tables(begin)]
    found = {name: left for name, left in named if left is not None and name.startswith(begin)}
    if not found:
        return []
    moment = now or ctx.now()
    building = {
        item.release_id
        for item in ctx.store.listings()
        if not item.sealed and moment - datetime.fromisoformat(item.touched) < IN_FLIGHT
    }
    return sorted(name for name, left in found.items() if str(_release(left)) not in building)


def _release(left: re.Match[str]) -> ReleaseId | None:
    """None for a day that does not exist, which no release has."""
    return ReleaseId.parse(f"{left[1]}-{left[2].lower()}")
