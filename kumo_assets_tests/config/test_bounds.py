"""Every number of the YAML has bounds that its use allows, so that none stops a code location without file and field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dagster._utils.schedules import is_valid_cron_string

from kumo_assets.config.cron import cron_fault
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.query import PredictiveQuerySpec, Schedule
from kumo_assets.config.raw_logs import RawLogsSpec
from kumo_assets.errors import ConfigError
from kumo_assets_tests.support.definitions import QUERY, RAW

LOWER, UPPER = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def numbers(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, schema) of every number in a JSON Schema."""
    if isinstance(schema, list):
        for item in schema:
            yield from numbers(item, where)
    elif isinstance(schema, dict):
        if schema.get("type") in ("number", "integer"):
            yield where, schema
        for name, part in schema.items():
            if name not in ("default", "enum", "const"):
                yield from numbers(part, f"{where}.{name}")


@pytest.mark.parametrize("model", [PredictiveQuerySpec, RawLogsSpec])
def test_every_number_has_a_least_and_a_greatest_value(model: Any) -> None:
    found = dict(numbers(model.model_json_schema()))
    assert len(found) > 2
    assert [where for where, schema in found.items() if not (LOWER & schema.keys() and UPPER & schema.keys())] == []


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e300", "0", "1" + "0" * 400])
def test_a_number_beyond_its_bounds_is_named_with_file_and_field(tmp_path: Path, value: str) -> None:
    (tmp_path / "bad").mkdir()
    path = tmp_path / "bad" / "defs.yaml"
    path.write_text(QUERY + f"  stale_after_hours: {value}\n")
    with pytest.raises(ConfigError, match=r"bad/defs\.yaml: line \d+, attributes\.stale_after_hours"):
        DefinitionsIndex(tmp_path).query("bad")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("2017-11-01", "0001-01-01"), "attributes.schedule.start"),
        (("2017-11-01}", "2017-11-01, end: 9999-12-31}"), "attributes.schedule.end"),
        (("connector: c}", "connector: c, poll: {max_seconds: 1.0e+9}}"), "attributes.source.kumo.poll.max_seconds"),
        (("  schedule:", "  gates: {reference: 20170230-1a2b3c4d}\n  schedule:"), "attributes.gates.reference"),
        (("  schedule:", "  gates: {score_range: {max: .inf}}\n  schedule:"), "attributes.gates.score_range.max"),
        (("  schedule:", "  gates: {volume: {block: .nan}}\n  schedule:"), "attributes.gates.volume.block"),
    ],
)
def test_what_no_clock_or_calendar_takes_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "defs.yaml").write_text(QUERY.replace(*change))
    with pytest.raises(ConfigError, match=words):
        DefinitionsIndex(tmp_path).query("bad")


@pytest.mark.parametrize("freshness", ["{fail_after_hours: 0.001}", "{fail_after_hours: 2, warn_after_hours: 2}"])
def test_a_freshness_that_dagster_refuses_is_refused_with_its_field(tmp_path: Path, freshness: str) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "defs.yaml").write_text(
        RAW.replace("event_time: AT", f"event_time: AT, freshness: {freshness}")
    )
    with pytest.raises(ConfigError, match=r"attributes\.tables\.transactions\.freshness"):
        DefinitionsIndex(tmp_path).raw_logs()


def test_the_bounds_are_far_from_what_anybody_writes() -> None:
    assert Schedule(start=date(1970, 1, 2), end=date(2199, 12, 31), late_logs_cut_off_minutes=10080).time_zone == "UTC"


@pytest.mark.parametrize(
    "text",
    [
        "0 4 * * 0",
        "*/5 * * * *",
        "0 0,12 1-7 jan-mar MON-FRI",
        "30 2 29 2 *",
        "0 4 * * 7",
        "5/10 * * * 1",
        "0 22-2 L * sun#1",
        "*/90 6 ? * 6-0",
        "0 4 * * L5",
    ],
)
def test_a_schedule_that_is_taken_is_one_that_dagster_takes(text: str) -> None:
    assert cron_fault(text) == ""
    assert is_valid_cron_string(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("61 4 * * 0", "'61' is no minute"),
        ("0 24 * * 0", "'24' is no hour"),
        ("0 4 0 * *", "'0' is no day of the month"),
        ("0 4 * * fun", "'fun' is no day of the week"),
        ("0 4 5-32 * *", "'5-32' is no day"),
        ("0 4 * */0 *", "'*/0' is no month"),
        ("a b c d e", "'a' is no minute"),
        ("0 4 31 2,4 *", "no month has such a day"),
        ("0 4 * * 1,L5", "'L5' is no day of the week"),
        ("@daily", "it has 1 fields"),
        ("0 0 4 * * 0", "it has 6 fields"),
        ("0 4 ,* * 0", "'' is no day of the month"),
    ],
)
def test_a_schedule_that_never_comes_is_refused_with_its_field(text: str, words: str) -> None:
    assert words in cron_fault(text)
