"""When raw logs count as arrived, and how long late ones are waited for; newest events of every type, on the sandbox."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.assets.log_arrival import Arrival, cut_off, missing, read_arrivals
from kumo_assets.assets.raw import _observe
from kumo_assets.config.load import RawSource
from kumo_assets.config.query import Schedule
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError
from kumo_assets.resources.snowflake import connect_outside_dagster

ANCHOR = datetime(2017, 12, 1, tzinfo=UTC)


def arrival(minutes_before: float | None) -> Arrival:
    newest = None if minutes_before is None else ANCHOR - timedelta(minutes=minutes_before)
    return Arrival("transactions", newest)


def test_logs_within_the_tolerance_of_the_end_have_arrived() -> None:
    assert missing([arrival(60)], ANCHOR, timedelta(minutes=60)) == []
    assert missing([arrival(-500)], ANCHOR, timedelta(minutes=60)) == []


def test_logs_short_of_the_end_or_empty_are_missing() -> None:
    assert missing([arrival(61)], ANCHOR, timedelta(minutes=60)) == [arrival(61)]
    assert missing([arrival(None)], ANCHOR, timedelta(minutes=60)) == [arrival(None)]


def test_cut_off_follows_the_local_clock_over_daylight_saving() -> None:
    schedule = Schedule(start=date(2017, 1, 1), at="03:30", time_zone="America/New_York", late_logs_cut_off_minutes=30)
    # 2017-03-12: clocks went from 02:00 to 03:00 in New York; the partition's end is 05:00 UTC (EST).
    assert cut_off(datetime(2017, 3, 12, 5, tzinfo=UTC), schedule) == datetime(2017, 3, 12, 8, 0, tzinfo=UTC)
    assert cut_off(datetime(2017, 7, 1, 4, tzinfo=UTC), schedule) == datetime(2017, 7, 1, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "zone", "newest"),
    [
        ("DATE", "2017-11-30", "UTC", "2017-12-01T00:00+00:00"),
        ("DATE", "2017-11-30", "America/New_York", "2017-12-01T05:00+00:00"),
        ("TIMESTAMP_NTZ", "2017-11-30 23:30:00", "America/New_York", "2017-12-01T04:30+00:00"),
        ("TIMESTAMP_TZ", "2017-11-30T23:30:00+05:00", "America/New_York", "2017-11-30T18:30+00:00"),
    ],
)
def test_the_newest_event_of_a_column_of_any_time(
    sandbox: SandboxHandle, kind: str, value: str, zone: str, newest: str
) -> None:
    """A date speaks of its whole day: it means the day's end."""
    raw = RawTable(table=f"N_{uuid.uuid4().hex[:12].upper()}", event_time="AT", event_time_zone=zone)
    with connect_outside_dagster() as warehouse:
        warehouse.rows(f'CREATE TABLE "{warehouse.schema}"."{raw.table}" AS SELECT \'{value}\'::{kind} AS AT')
        [found] = read_arrivals(warehouse, {"log": RawSource("log", None, warehouse.schema, raw)}, ANCHOR)
        seen = _observe(warehouse, "log", raw, warehouse.database, warehouse.schema)
    assert found.newest == datetime.fromisoformat(newest)
    assert seen.metadata["dagster/last_updated_timestamp"].value == found.newest.timestamp()


def test_an_event_time_that_is_no_time_is_named() -> None:
    with pytest.raises(ConfigError, match="event_time AT holds str, no time"):
        RawTable(table="CLICKS", event_time="AT").moment("2017-11-30")
