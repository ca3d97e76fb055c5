"""Which day does an Airflow run build? Pure: dates in, a partition or a refusal out. No Airflow, no network.

One rule for every kind of run: **the last full local day, in the query's time zone, that had ended when the data
interval ended.** It is the rule of Dagster's own schedule (`build_schedule_from_partitioned_job`: the newest partition
at the tick), so that either clock, on one cron line in one time zone, names the same day. It holds for both of
Airflow's ideas of an interval:

- `CronDataIntervalTimetable` (Airflow 2's default): the run of [28th 02:00, 29th 02:00) starts on the 29th: the 28th;
- `CronTriggerTimetable` (Airflow 3's default): start = end = the fire time, the 29th 02:00: the 28th again.

By local *date*, never by adding 24 hours: on a day that is 23, 24.5 or 25 hours long, or that begins at 01:00 because
midnight was skipped, the date before is still the date before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kumo_airflow.errors import Refusal

# A local day is 23 to 25 hours long in every zone of the tz database since 1970, but for a zone that moves over the
# date line (Samoa 2011, a day of zero hours).
SHORTEST, LONGEST = timedelta(hours=22), timedelta(hours=26)


@dataclass(frozen=True)
class Occasion:
    """What Airflow says of a DAG run, all aware datetimes or None.

    `start`, `end`: the data interval; None for a run without a logical date (Airflow 3: asked for by hand, or by an
    asset). `run_after`: when it was due (Airflow 3), which then stands for the end. `key`: the DAG run's own
    partition key (Airflow 3.2), None as a rule. `asked`: a day somebody named, "" as a rule.
    """

    start: datetime | None = None
    end: datetime | None = None
    run_after: datetime | None = None
    key: str | None = None
    asked: str = ""


def zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises Refusal."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refusal(
            "find the time zone", to=repr(name), found="no such zone", next="use a name like Europe/Berlin"
        ) from error


def last_full_day(moment: datetime, time_zone: str) -> date:
    """The last local day that had ended at `moment` (aware)."""
    if moment.tzinfo is None:
        raise Refusal(
            "tell the day of",
            to=str(moment),
            found="it has no time zone",
            next="pass an aware datetime, as Airflow does",
        )
    return moment.astimezone(zone(time_zone)).date() - timedelta(days=1)


def partition_of(occasion: Occasion, time_zone: str) -> str:
    """The partition (YYYY-MM-DD) an Airflow run builds.

    A day that was asked for by name goes before everything. Raises Refusal for an interval that is not a day: an
    hourly or a weekly DAG would build one day many times, or most days never.
    """
    if occasion.asked:
        return named_day(occasion.asked)
    if occasion.key:
        return named_day(occasion.key)
    end = occasion.end or occasion.run_after
    if end is None:
        raise Refusal(
            "tell which day to build",
            found="the DAG run has no data interval and no run_after",
            next='name the day: trigger the DAG with {"partition": "YYYY-MM-DD"}',
        )
    if occasion.start is not None and occasion.end is not None:
        length = occasion.end - occasion.start
        if length and not SHORTEST <= length <= LONGEST:
            raise Refusal(
                "tell which day to build",
                found=f"the data interval {occasion.start.isoformat()} to {occasion.end.isoformat()} is {length} long, "
                "and a partition is one day",
                next='schedule the DAG once a day, or name the day: {"partition": "YYYY-MM-DD"}',
            )
    return last_full_day(end, time_zone).isoformat()


def named_day(text: str) -> str:
    """The text when it is YYYY-MM-DD. Raises Refusal."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise Refusal("use the partition", to=repr(text), found="it is not YYYY-MM-DD", next="write it like 2017-11-30")
    return text


def check_partition(day: str, known: Sequence[str], job: str) -> str:
    """The day when the job has it. Raises Refusal that names the range: `launchRun` itself takes any string."""
    if day in known:
        return day
    if not known:
        raise Refusal(
            f"start {job} for", to=day, found="the job has no partitions yet", next="check schedule.start of the query"
        )
    first, last = min(known), max(known)
    if day < first:
        found, advice = "it is before the query's first partition", f"use a day from {first} to {last}"
    elif day > last:
        found, advice = (
            "it is after the query's last partition",
            f"use a day from {first} to {last}; a later one comes when it has ended, as Dagster's clock has it, and "
            "schedule.end of the query is not before it",
        )
    else:
        found, advice = f"it is not among the {len(known)} partitions from {first} to {last}", "use one of them"
    raise Refusal(f"start {job} for", to=day, found=found, next=advice)
