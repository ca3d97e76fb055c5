"""The gates on a day of raw logs, by table."""

from __future__ import annotations

from typing import Any

import pytest

from kumo_assets.config.gates import RawDrift, RawFreshness, RawVolume
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.raw.judgements import judge_raw_drift, judge_raw_freshness, judge_raw_volume


def before(**raw: Any) -> Baseline:
    return Baseline("active", "r1", {"predictions": {"raw": raw}})


@pytest.mark.parametrize(
    ("lags", "limits", "severity"),
    [
        ({"sales": 10.0}, {}, "ok"),
        ({"sales": 10.0, "views": 90.0}, {}, "warn"),
        ({"sales": 200.0}, {}, "error"),
        ({"sales": 200.0}, {"block_minutes": 600}, "warn"),
        ({"sales": 200.0}, {"warn_minutes": 300, "block_minutes": 600}, "ok"),
        ({"sales": None}, {}, "error"),
    ],
)
def test_freshness_is_measured_to_the_partitions_end(lags: Any, limits: Any, severity: str) -> None:
    raw = {name: {"rows": 5, "lag_minutes": lag} for name, lag in lags.items()}
    assert judge_raw_freshness(raw, RawFreshness.model_validate(limits), 60).severity == severity


def test_a_table_that_is_no_stream_has_no_freshness() -> None:
    assert judge_raw_freshness({"products": {"rows": 5}}, RawFreshness(), 60).severity == "ok"


@pytest.mark.parametrize(
    ("now", "was", "severity"),
    [
        (1000, None, "ok"),
        (0, None, "error"),
        (1000, 1000, "ok"),
        (400, 1000, "warn"),
        (50, 1000, "error"),
        (0, 1000, "error"),
        (2500, 1000, "warn"),  # twice the usual sales are news, not a fault
        (2, 5, "ok"),  # so few that chance alone may show as much
    ],
)
def test_volume_of_the_day(now: int, was: int | None, severity: str) -> None:
    baseline = before(sales={"rows": was}) if was is not None else None
    judgement = judge_raw_volume({"sales": {"rows": now}}, baseline, RawVolume())
    assert judgement.severity == severity


def test_the_worst_of_several_logs_is_the_verdict_and_its_message_has_the_others() -> None:
    raw = {"sales": {"rows": 1000}, "views": {"rows": 10}}
    judgement = judge_raw_volume(raw, before(sales={"rows": 1000}, views={"rows": 1000}), RawVolume())
    assert (judgement.severity, judgement.segment) == ("error", "views")
    assert "sales has 1,000 rows" in judgement.message


def numbers(against: list[int], **more: Any) -> dict[str, Any]:
    rows = sum(against)
    return {
        "kind": "numbers",
        "rows": rows,
        "units": rows,
        "edges": [1.0, 2.0, 3.0],
        "histogram": against,
        "against": against,
        "against_reference": [],
    } | more


def texts(**values: int) -> dict[str, Any]:
    rows = sum(values.values())
    return {"kind": "values", "rows": rows, "units": rows, "values": values}


WATCH = RawDrift(columns={"sales": ["X"]})
EVEN = numbers([2500, 2500, 2500, 2500, 0])
SHOPS = texts(a=5000, b=3000, c=2000)


@pytest.mark.parametrize(
    ("now", "was", "severity", "segment"),
    [
        (EVEN, EVEN, "ok", "sales.X"),
        (numbers([10_000, 0, 0, 0, 0]), EVEN, "error", "sales.X up to 1"),  # gone constant
        (numbers([1250, 1250, 1250, 1250, 5000]), EVEN, "error", "sales.X null"),  # half gone null
        (SHOPS, SHOPS, "ok", "sales.X = a"),
        (texts(a=10_000), SHOPS, "error", "sales.X"),  # gone constant
        (texts(z=10_000), SHOPS, "error", "sales.X = (others)"),  # a new value altogether
        (SHOPS, EVEN, "error", ""),  # another type
        (numbers([]), EVEN, "error", ""),  # counted over other bins
        (numbers([0, 0, 0, 0, 0]), EVEN, "error", ""),  # nothing there
        (EVEN, None, "ok", "sales.X"),  # watched since today
    ],
)
def test_drift_of_a_named_column(now: Any, was: Any, severity: str, segment: str) -> None:
    baseline = before(sales={"rows": 10_000, "columns": {"X": was} if was else {}})
    judgement = judge_raw_drift({"sales": {"rows": 10_000, "columns": {"X": now}}}, baseline, None, WATCH)
    assert judgement.severity == severity
    assert judgement.segment.startswith(segment)


def test_few_independent_units_raise_the_limit_whatever_the_number_of_rows() -> None:
    moved = numbers([3500, 2500, 2500, 1500, 0], units=60)
    baseline = before(sales={"rows": 10_000, "columns": {"X": EVEN | {"units": 60}}})
    assert judge_raw_drift({"sales": {"rows": 1, "columns": {"X": moved}}}, baseline, None, WATCH).severity == "ok"
    baseline = before(sales={"rows": 10_000, "columns": {"X": EVEN}})
    judgement = judge_raw_drift(
        {"sales": {"rows": 1, "columns": {"X": moved | {"units": 10_000}}}}, baseline, None, WATCH
    )
    assert judgement.value == pytest.approx(0.085, abs=0.01)
    assert judgement.limits["effective_block"] == 0.25


def test_a_fixed_reference_is_compared_with_over_its_own_bins() -> None:
    now = EVEN | {"against_reference": [10_000, 0, 0, 0, 0]}
    raw = {"sales": {"rows": 10_000, "columns": {"X": now}}}
    active = before(sales={"rows": 10_000, "columns": {"X": EVEN}})
    fixed = Baseline("fixed", "r0", active.statistics)
    assert judge_raw_drift(raw, active, None, WATCH).severity == "ok"
    judgement = judge_raw_drift(raw, active, fixed, WATCH)
    assert (judgement.severity, judgement.baseline["release_id"]) == ("error", "r0")


def test_a_log_whose_rows_are_not_counted_is_no_empty_log() -> None:
    raw: Any = {"clicks": {"lag_minutes": 10.0}, "sales": {"rows": 5}, "views": {}}
    assert judge_raw_volume(raw, None, RawVolume()).message.startswith("sales 5 rows;")
    alone: Any = {"clicks": {"lag_minutes": 10.0}, "views": {}}
    judged = judge_raw_volume(alone, before(clicks={"rows": 9}), RawVolume())
    assert (judged.severity, judged.value) == ("ok", None)
    assert "none is read in Snowflake" in judged.message
    assert judge_raw_freshness(alone, RawFreshness(), 60).value == 10.0
