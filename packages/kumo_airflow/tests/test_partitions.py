"""Each Airflow run maps to the right day, or to a clear refusal."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kumo_airflow.errors import Refusal
from kumo_airflow.partitions import Occasion, check_partition, last_full_day, partition_of

NEW_YORK = "America/New_York"


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "start", "end", "day"),
    [
        pytest.param("UTC", "2017-11-28T02:00", "2017-11-29T02:00", "2017-11-28", id="airflow-2-interval"),
        pytest.param("UTC", "2017-11-29T02:00", "2017-11-29T02:00", "2017-11-28", id="airflow-3-fire-time"),
        pytest.param("UTC", "2017-11-28T00:00", "2017-11-29T00:00", "2017-11-28", id="midnight-to-midnight"),
        pytest.param(NEW_YORK, "2026-03-07T02:30", "2026-03-08T03:00", "2026-03-07", id="spring-fire-time-skipped"),
        pytest.param(NEW_YORK, "2026-03-08T03:00", "2026-03-09T02:30", "2026-03-08", id="spring-day-of-23-hours"),
        pytest.param(NEW_YORK, "2026-11-01T01:30", "2026-11-02T01:30", "2026-11-01", id="autumn-day-of-25-hours"),
        pytest.param("Australia/Lord_Howe", "2026-04-04T02:00", "2026-04-05T02:00", "2026-04-04", id="half-hour-dst"),
        pytest.param("America/Havana", "2026-03-08T01:00", "2026-03-08T01:00", "2026-03-07", id="no-midnight"),
    ],
)
def test_interval_maps_to_the_last_full_local_day(zone: str, start: str, end: str, day: str) -> None:
    assert partition_of(Occasion(start=at(start, zone), end=at(end, zone)), zone) == day


def test_repeated_hour_before_midnight_is_still_the_same_unfinished_day() -> None:
    # Havana goes back from 01:00 to 00:00 on 2026-11-01: the first 00:30 and the second are both on the 1st.
    first = datetime(2026, 11, 1, 0, 30, tzinfo=ZoneInfo("America/Havana"))
    assert last_full_day(first, "America/Havana") == last_full_day(first.replace(fold=1), "America/Havana")


def test_the_day_is_the_querys_and_not_the_dags() -> None:
    fired = at("2026-06-02T02:00")
    assert partition_of(Occasion(fired, fired), "UTC") == "2026-06-01"
    assert partition_of(Occasion(fired, fired), "America/Los_Angeles") == "2026-05-31"


def test_manual_run_without_logical_date_takes_when_it_was_due() -> None:
    assert partition_of(Occasion(run_after=at("2026-06-02T15:12")), "UTC") == "2026-06-01"


def test_a_day_that_was_asked_for_goes_before_the_interval() -> None:
    occasion = Occasion(at("2026-06-02T02:00"), at("2026-06-02T02:00"), asked="2026-01-31")
    assert partition_of(occasion, "UTC") == "2026-01-31"
    assert partition_of(Occasion(run_after=at("2026-06-02T02:00"), key="2026-02-01"), "UTC") == "2026-02-01"


@pytest.mark.parametrize(
    "asked", ["yesterday", "2026-1-31", "20260131", "2026-02-30", "2026-01-31T00:00", "2026-W05-6"]
)
def test_what_is_not_a_day_is_refused(asked: str) -> None:
    with pytest.raises(Refusal, match="YYYY-MM-DD"):
        partition_of(Occasion(asked=asked), "UTC")


@pytest.mark.parametrize("hours", [1, 12, 48, 168])
def test_interval_that_is_no_day_is_refused(hours: int) -> None:
    end = at("2026-06-02T02:00")
    with pytest.raises(Refusal, match="a partition is one day"):
        partition_of(Occasion(end - timedelta(hours=hours), end), "UTC")


def test_run_without_any_time_and_unknown_zone_and_naive_time_are_refused() -> None:
    with pytest.raises(Refusal, match="no run_after"):
        partition_of(Occasion(), "UTC")
    with pytest.raises(Refusal, match="no such zone"):
        partition_of(Occasion(run_after=at("2026-06-02T02:00")), "Europe/Berln")
    with pytest.raises(Refusal, match="no time zone"):
        partition_of(Occasion(run_after=datetime(2026, 6, 2)), "UTC")


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2017-10-31", "before the query's first partition"),
        ("2030-01-01", "after the query.s last partition"),
        ("2017-11-02", "not among the 2 partitions"),
    ],
)
def test_day_that_the_job_lacks_is_refused_with_the_range(day: str, words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        check_partition(day, ["2017-11-01", "2017-11-03"], "q_daily")
    assert refused.value.next
    with pytest.raises(Refusal, match="no partitions yet"):
        check_partition(day, [], "q_daily")


ZONES = st.sampled_from([NEW_YORK, "Europe/London", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata", "UTC"])


@given(st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)), ZONES)
def test_the_day_had_ended_and_the_next_had_not(moment: datetime, zone: str) -> None:
    moment = moment.replace(tzinfo=UTC)
    day = last_full_day(moment, zone)
    assert midnight_after(day, zone) <= moment < midnight_after(day + timedelta(days=1), zone)


def midnight_after(day: date, zone: str) -> datetime:
    """The first instant whose local date is after `day`, found by stepping, so as not to share the code's idea."""
    moment = datetime.combine(day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=8)
    while moment.astimezone(ZoneInfo(zone)).date() <= day:
        moment += timedelta(minutes=30)
    return moment
