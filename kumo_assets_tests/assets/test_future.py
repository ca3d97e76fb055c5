"""A day that has not ended is refused, by the query's own clock."""

from __future__ import annotations

from datetime import UTC, datetime
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
