"""Have the raw logs reached the end of a partition? Asked by each query for its own anchor before anything is launched.

A past partition is measured against its own end, never the wall clock; late logs are waited for until a cut-off, then
the run fails saying so, and the release that is active stays active.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kumo_assets.assets.templates import shipped
from kumo_assets.config.load import RawSource
from kumo_assets.config.query import Schedule
from kumo_assets.errors import LateLogs
from kumo_assets.resources.aws import s3_client
from kumo_assets.resources.raw_logs.reach import reach
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import quote, table
from kumo_assets.resources.waiting import EVERY_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Arrival:
    """One stream's newest event, in UTC."""

    name: str
    newest: datetime | None


def missing(arrivals: list[Arrival], anchor: datetime, tolerance: timedelta) -> list[Arrival]:
    """The streams whose newest event is further than `tolerance` before `anchor`."""
    return [item for item in arrivals if item.newest is None or item.newest < anchor - tolerance]


def cut_off(anchor: datetime, schedule: Schedule) -> datetime:
    """The moment after which late logs are no longer waited for: the day's scheduled start plus the allowance, UTC."""
    return schedule.start_of_build(anchor) + timedelta(minutes=schedule.late_logs_cut_off_minutes)


def read_arrivals(
    warehouse: Warehouse,
    sources: Mapping[str, RawSource],
    anchor: datetime,
    s3: Callable[[], S3Client] = s3_client,
) -> list[Arrival]:
    """The newest event of every source that is a stream, wherever it is. Raises as of `raw_logs.reach`, and
    WarehouseError."""
    found = []
    for name, source in sources.items():
        if not source.table.is_stream:
            continue
        if source.table.event_time is None or not source.table.counted:
            found.append(Arrival(name, reach(name, source.table, anchor, s3).newest))
            continue
        where = table(source.database or warehouse.database, source.schema, source.table.table)
        row = warehouse.row(
            shipped("observe.sql", newest=f"MAX({quote(source.table.event_time)})", table=where),
            doing=f"ask how far the raw logs {name} reach",
        )
        # The sandbox gives 1970 for the MAX of nothing, Snowflake NULL.
        newest = row["NEWEST"] if int(row["ROW_COUNT"]) else None
        at = source.table.moment(newest).astimezone(UTC) if newest is not None else None
        found.append(Arrival(name, at))
    return found


def wait_for_logs(
    warehouse: Warehouse,
    sources: Mapping[str, RawSource],
    anchor: datetime,
    schedule: Schedule,
    log: Callable[[str], None],
    *,
    s3: Callable[[], S3Client] = s3_client,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Arrival]:
    """Return the arrivals once every stream reaches `anchor` (UTC, the partition's end) within the tolerance.

    Raises LateLogs when the cut-off passes first; at once when it has passed already, as for a past partition.
    """
    tolerance = timedelta(minutes=schedule.late_logs_tolerance_minutes)
    limit = cut_off(anchor, schedule)
    while True:
        arrivals = read_arrivals(warehouse, sources, anchor, s3)
        late = missing(arrivals, anchor, tolerance)
        if not late:
            return arrivals
        behind = "; ".join(
            f"{item.name} reaches {item.newest.isoformat() if item.newest else 'nothing'}" for item in late
        )
        if now() >= limit:
            raise LateLogs(
                "wait for the raw logs to reach",
                to=anchor.isoformat(),
                found=f"{behind}; the cut-off was {limit.isoformat()}",
                next="fix the stream, then materialise this partition again; the active release was not touched",
            )
        warehouse.rest()
        pause(
            schedule.late_logs_poll_seconds,
            f"Raw logs are late: {behind}. Waiting until {limit.isoformat()}.",
            log,
            sleep,
        )


def pause(seconds: float, line: str, log: Callable[[str], None], sleep: Callable[[float], None]) -> None:
    """Sleep, and say the same line again each minute."""
    while seconds > 0:
        log(line)
        sleep(min(seconds, EVERY_SECONDS))
        seconds -= EVERY_SECONDS
