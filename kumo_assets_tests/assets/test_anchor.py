"""The anchor of a partition: the end of its day in the query's time zone."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_assets.config.partitions import anchor_time


@pytest.mark.parametrize(
    ("zone", "day", "anchor"),
    [
        ("UTC", "2017-11-30", "2017-12-01T00:00:00+00:00"),
        ("America/New_York", "2017-11-30", "2017-12-01T05:00:00+00:00"),
        ("Asia/Kolkata", "2017-11-30", "2017-11-30T18:30:00+00:00"),
        # The day the clocks went forward has 23 hours, the day they went back 25.
        ("Europe/Berlin", "2017-03-25", "2017-03-25T23:00:00+00:00"),
        ("Europe/Berlin", "2017-03-26", "2017-03-26T22:00:00+00:00"),
        ("Europe/Berlin", "2017-10-29", "2017-10-29T23:00:00+00:00"),
    ],
)
def test_a_partition_is_anchored_at_its_end_in_the_querys_time_zone(zone: str, day: str, anchor: str) -> None:
    assert anchor_time(date.fromisoformat(day), zone) == datetime.fromisoformat(anchor)


@given(
    st.dates(date(1990, 1, 1), date(2037, 12, 30)),
    st.sampled_from(sorted(zone for zone in available_timezones() if "/" in zone)),
)
def test_an_anchor_is_never_within_its_own_day_nor_far_behind_it(day: date, zone: str) -> None:
    local = anchor_time(day, zone).astimezone(ZoneInfo(zone))
    # Midnight of the next day; where it does not exist (the clocks jump over it), the first moment there is.
    assert local.date() >= day + timedelta(days=1) or (local + timedelta(hours=2)).date() > day
    assert abs(
        local.replace(tzinfo=None) - datetime.combine(day + timedelta(days=1), datetime.min.time())
    ) <= timedelta(hours=24)
