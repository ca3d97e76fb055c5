"""When raw logs count as arrived, and how long late ones are waited for. Pure parts; the run tests do the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from kumo_assets.assets.log_arrival import Arrival, cut_off, missing
from kumo_assets.spec.query import Schedule

ANCHOR = datetime(2017, 12, 1, tzinfo=UTC)


def arrival(minutes_before: float | None) -> Arrival:
    newest = None if minutes_before is None else ANCHOR - timedelta(minutes=minutes_before)
    return Arrival("transactions", newest, 10)


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
