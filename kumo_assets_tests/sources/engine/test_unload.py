"""What is unloaded for the Engine: the columns and days that the question names, in UTC, and nothing after the anchor."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kumo_sandbox.testing.releases import definition

from kumo_assets.config.load import RawSource
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.sources.engine.question import Question, QuestionTable
from kumo_assets.sources.engine.training import newest_anchor
from kumo_assets.sources.engine.unload import select_of, types_of

ANCHOR = datetime(2017, 11, 29, tzinfo=UTC)
WINDOW = "< '2017-11-29 00:00:00'::TIMESTAMP_NTZ AND {at} >= '2017-11-26 00:00:00'::TIMESTAMP_NTZ"


def selected(kind: str = "TIMESTAMP_NTZ", zone: str = "UTC", event_time: str | None = "AT", **asked: Any) -> str:
    types = {"ID": "NUMBER", "AT": kind}
    warehouse = cast(Warehouse, SimpleNamespace(database="KUMO", columns=lambda *names: types))
    source = RawSource("log", None, "RAW", RawTable(table="LOG", event_time=event_time, event_time_zone=zone))
    table = QuestionTable(raw_log="log", columns=["ID", "AT"], **asked)
    return select_of(warehouse, source, table, types, ANCHOR)


@pytest.mark.parametrize(
    ("kind", "zone", "moment"),
    [
        ("TIMESTAMP_NTZ", "UTC", '"AT"::TIMESTAMP_NTZ'),
        ("TIMESTAMP_NTZ", "Asia/Tokyo", "CONVERT_TIMEZONE('Asia/Tokyo', 'UTC', \"AT\"::TIMESTAMP_NTZ)"),
        ("TIMESTAMP_TZ", "Asia/Tokyo", "CONVERT_TIMEZONE('UTC', \"AT\")::TIMESTAMP_NTZ"),
        ("TIMESTAMP_LTZ", "UTC", "CONVERT_TIMEZONE('UTC', \"AT\")::TIMESTAMP_NTZ"),
    ],
)
def test_a_window_of_days_before_the_anchor_is_cut_in_utc(kind: str, zone: str, moment: str) -> None:
    where = f"{moment} {WINDOW.format(at=moment)}"
    assert selected(kind, zone, time_column="AT", days=3) == (
        f'SELECT "ID", {moment} AS "AT" FROM "KUMO"."RAW"."LOG" WHERE {where}'
    )


def test_entities_are_those_before_the_anchor_once_each() -> None:
    assert selected(distinct=True).startswith('SELECT DISTINCT "ID", ')
    assert selected(distinct=True).endswith("WHERE \"AT\"::TIMESTAMP_NTZ < '2017-11-29 00:00:00'::TIMESTAMP_NTZ")


def test_a_table_that_is_no_stream_is_taken_whole() -> None:
    assert "WHERE" not in selected(event_time=None)


def test_a_log_outside_snowflake_cannot_be_unloaded() -> None:
    raw = RawTable(freshness_from="s3", location="s3://logs/clicks/", event_time="at")
    query = replace(definition("q"), sources={"log": RawSource("log", None, "", raw)})
    question = cast(Question, SimpleNamespace(tables={"events": QuestionTable(raw_log="log", columns=["at"])}))
    with pytest.raises(ConfigError, match=r"table events reads the raw log log, which is outside Snowflake"):
        types_of(
            cast(Warehouse, SimpleNamespace(database="KUMO", columns=lambda *names: {"at": "TEXT"})), query, question
        )


@pytest.mark.parametrize(
    ("schedule", "now", "anchor"),
    [
        ({}, "2017-12-05T10:00:00", "2017-12-05T00:00:00"),
        ({"time_zone": "America/New_York"}, "2017-12-05T03:00:00", "2017-12-04T05:00:00"),
        ({"end": "2017-11-30"}, "2026-12-05T10:00:00", "2017-12-01T00:00:00"),
    ],
)
def test_a_model_is_trained_on_days_that_have_ended(schedule: dict[str, str], now: str, anchor: str) -> None:
    query = definition("q", schedule={"start": "2017-11-01", **schedule})
    at = newest_anchor(query, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert at == datetime.fromisoformat(anchor).replace(tzinfo=UTC)
