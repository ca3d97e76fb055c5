"""Which days are partitions of a query, and when each ends: full days of its time zone, from `schedule.start` to
`schedule.end`.

Dagster's API takes any partition key, so a run asks here too, before anything is launched.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import ConfigError


def last_full_day(time_zone: str, now: datetime | None = None) -> date:
    """The newest day that has ended in the time zone (a name such as `America/New_York`)."""
    return (now or datetime.now(UTC)).astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1)


def last_partition(definition: QueryDefinition, now: datetime | None = None) -> date:
    """The query's newest partition: its last full day, or `schedule.end` when that was before."""
    schedule = definition.spec.schedule
    newest = last_full_day(schedule.time_zone, now)
    return min(newest, schedule.end or newest)


def anchor_time(partition: date, time_zone: str) -> datetime:
    """The end of the partition's day in `time_zone`, as aware UTC: midnight of the next local day, DST or not."""
    local = datetime.combine(partition + timedelta(days=1), time(), tzinfo=ZoneInfo(time_zone))
    return local.astimezone(UTC)


def demand_partition(
    definition: QueryDefinition, text: str, now: datetime | None = None, *, doing: str = "use the partition"
) -> str:
    """The partition (`YYYY-MM-DD`) when it is a full day of this query; ConfigError naming the range otherwise."""
    schedule = definition.spec.schedule
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(doing, to=repr(text), found=str(error), next="write it like 2017-11-30") from error
    if text != day.isoformat():
        raise ConfigError(doing, to=repr(text), found="it is not YYYY-MM-DD", next="write it like 2017-11-30")
    newest = last_full_day(schedule.time_zone, now)
    advice = f"use a day from {schedule.start} to {newest} (the last full day in {schedule.time_zone})"
    if day > newest:
        raise ConfigError(doing, to=text, found="that day has not ended", next=advice)
    if schedule.end is not None and day > schedule.end:
        advice = f"use a day from {schedule.start} to {schedule.end}, or move schedule.end in the query's defs.yaml"
        raise ConfigError(doing, to=text, found="it is after the query's last partition", next=advice)
    if day < schedule.start:
        raise ConfigError(doing, to=text, found="it is before the query's first partition", next=advice)
    return text
