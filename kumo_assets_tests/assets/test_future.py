"""A day that has not ended, or is none of the query's, is refused, by the query's own clock."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from kumo_assets.assets.step import refuse_the_future
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.errors import ConfigError

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


def query(zone: str) -> QueryDefinition:
    spec = PredictiveQuerySpec.model_validate(
        {
            "owners": ["team:growth"],
            "raw_logs": ["events"],
            "source": {"kumo": {"predictive_query_id": "q", "connector": "c"}},
            "schedule": {"start": "2026-01-01", "time_zone": zone},
        }
    )
    return QueryDefinition("q1", Path(), spec)


@pytest.mark.parametrize(
    ("zone", "newest"), [("UTC", "2026-03-08"), ("Pacific/Kiritimati", "2026-03-09"), ("Pacific/Niue", "2026-03-08")]
)
def test_yesterday_there_is_the_newest_day(zone: str, newest: str) -> None:
    refuse_the_future(newest, query(zone), NOON)
    after = f"2026-03-{int(newest[-2:]) + 1:02d}"
    with pytest.raises(ConfigError, match=rf"{after}.*has not ended.*{newest}"):
        refuse_the_future(after, query(zone), NOON)


@pytest.mark.parametrize(
    ("partition", "words"),
    [
        ("2025-12-31", "before the query's first partition.*2026-01-01"),
        ("2026-03-02", "after the query's last partition.*2026-03-01"),
        ("2026-02-30", "day is out of range"),
        ("20260102", "not YYYY-MM-DD"),
        ("2026-W02-1", "not YYYY-MM-DD"),
        ("all", "write it like"),
        ("", "write it like"),
    ],
)
def test_what_is_no_partition_is_refused_in_the_run_too(partition: str, words: str) -> None:
    schedule = query("UTC").spec.schedule.model_copy(update={"end": date(2026, 3, 1)})
    spec = query("UTC").spec.model_copy(update={"schedule": schedule})
    with pytest.raises(ConfigError, match=f"materialise q1 for.*{words}"):
        refuse_the_future(partition, QueryDefinition("q1", Path(), spec), NOON)
