"""Each gate by table: what passes, what warns, what blocks, and with which message."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kumo_assets.config.gates import (
    ClassBalance,
    ClassShare,
    Coverage,
    EntitiesLost,
    GatesSpec,
    KumoWarnings,
    ListShape,
    Overlap,
    ScoreDrift,
    ScoreRange,
    TopItem,
    UnknownItems,
    Volume,
)
from kumo_assets.documents import KumoNotice, Verdict
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.continuity import judge_entities_lost, judge_overlap
from kumo_assets.gates.drift import judge_class_share, judge_coverage, judge_score_drift, judge_top_item
from kumo_assets.gates.import_complete import ImportEvidence, faults, judge_import
from kumo_assets.gates.judgement import Judgement, level, to_verdict
from kumo_assets.gates.keys import judge_keys
from kumo_assets.gates.kumo_warnings import judge_warnings
from kumo_assets.gates.list_shape import judge_list_shape
from kumo_assets.gates.score_range import judge_score_range
from kumo_assets.gates.unknown_items import judge_unknown_items
from kumo_assets.gates.volume import judge_volume
from kumo_assets_tests.support.opened import OPENED

W = KumoNotice(title="Distribution shift", message="column X")


def active(asset: str, **counts: Any) -> Baseline:
    """The last promoted release, with these counts of one asset."""
    return Baseline("active", "r1", {asset: counts})


@pytest.mark.parametrize(
    ("warnings", "errors", "limits", "severity"),
    [
        ([], [], KumoWarnings(), "ok"),
        ([W], [], KumoWarnings(), "error"),
        ([W], [], KumoWarnings(allow=["Distribution *"]), "ok"),
        ([W], [], KumoWarnings(allow=["distribution *"]), "error"),
        ([W], [], KumoWarnings(max_unlisted=1), "warn"),
        ([W, W], [], KumoWarnings(max_unlisted=1), "error"),
        ([], [W], KumoWarnings(max_unlisted=9, allow=["*"]), "error"),
        ([W, W], [], KumoWarnings(mode="off"), "ok"),
        ([], [W], KumoWarnings(mode="off"), "error"),
    ],
)
def test_kumos_messages(warnings: list[Any], errors: list[Any], limits: KumoWarnings, severity: str) -> None:
    judgement = judge_warnings(warnings, errors, limits)
    assert judgement.severity == severity
    if severity == "error":
        assert "Distribution shift: column X" in judgement.message


@pytest.mark.parametrize(
    ("entities", "rows", "before", "severity"),
    [
        (0, 0, None, "error"),
        (100, 500, None, "ok"),
        (10_000, 50_000, (10_000, 50_000), "ok"),
        (8_800, 44_000, (10_000, 50_000), "warn"),
        (7_000, 35_000, (10_000, 50_000), "error"),
        (13_000, 65_000, (10_000, 50_000), "error"),
        (10_000, 30_000, (10_000, 50_000), "error"),
        (150, 750, (200, 1_000), "ok"),  # few entities: chance alone may show as much
        (140, 700, (200, 1_000), "error"),  # and this once in a thousand days
        (12, 60, (60, 300), "error"),  # few entities, and nearly all of them gone
        (10_000, 50_000, (0, 0), "error"),
    ],
)
def test_volume(entities: int, rows: int, before: tuple[int, int] | None, severity: str) -> None:
    baseline = active("predictions", entities=before[0], rows=before[1]) if before is not None else None
    judgement = judge_volume({"entities": entities, "rows": rows}, baseline, Volume())
    assert judgement.severity == severity


@pytest.mark.parametrize(
    ("rows", "nulls", "distinct", "severity"),
    [(10, 0, 10, "ok"), (10, 1, 10, "error"), (10, 0, 9, "error"), (0, 0, 0, "error")],
)
def test_keys(rows: int, nulls: int, distinct: int, severity: str) -> None:
    assert judge_keys(rows, nulls, distinct).severity == severity


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({}, "ok"),
        ({"lists": 0}, "error"),
        ({"short": 6}, "warn"),
        ({"short": 51}, "error"),
        ({"misranked": 1}, "error"),
        ({"disordered": 1}, "error"),
        ({"longest": 6}, "error"),
        ({"finite": False}, "error"),
    ],
)
def test_list_shape(change: dict[str, int], severity: str) -> None:
    counts = {"lists": 100, "full": 5, "short": 0, "misranked": 0, "disordered": 0, "longest": 5, "finite": True}
    counts |= change
    assert judge_list_shape(counts, 5, ListShape()).severity == severity


def test_a_multiclass_list_may_rise_in_score_after_the_predicted_class() -> None:
    counts = {"lists": 10, "full": 5, "short": 0, "misranked": 0, "disordered": 3, "longest": 5}
    assert judge_list_shape(counts, 5, ListShape(), ordered=False).severity == "ok"


BASE = {"edges": [1.0, 2.0, 3.0], "histogram": [2500, 2500, 2500, 2500], "entities": 10_000}


@pytest.mark.parametrize(
    ("against", "severity"),
    [([2500, 2500, 2500, 2500], "ok"), ([1400, 2200, 2800, 3600], "warn"), ([500, 1500, 3000, 5000], "error")],
)
def test_score_drift(against: list[int], severity: str) -> None:
    counts = {"entities": 10_000, "against": against, "finite": True}
    judgement = judge_score_drift(counts, active("predictions", **BASE), ScoreDrift())
    assert judgement.severity == severity
    assert "PSI" in judgement.message


def test_few_entities_raise_the_limit_to_what_chance_would_show() -> None:
    counts = {"entities": 100, "against": [15, 22, 28, 35], "finite": True}
    base = active("predictions", **BASE | {"histogram": [25, 25, 25, 25], "entities": 100})
    judgement = judge_score_drift(counts, base, ScoreDrift())
    assert judgement.severity == "ok"
    assert judgement.limits["effective_block"] == judgement.limits["noise_floor"] > 0.2


def test_scores_that_are_no_numbers_block_even_a_first_release() -> None:
    assert judge_score_drift({"entities": 10, "against": [], "finite": False}, None, ScoreDrift()).severity == "error"


def classes(**served: int) -> dict[str, Any]:
    return {
        "classes": served,
        "firsts": {name: count // 5 for name, count in served.items()},
        "served": sum(served.values()),
        "lists": 10_000,
        "coverage": len(served),
        "longest": 5,
    }


def test_class_share_moves_when_a_class_takes_over() -> None:
    before = active("postprocessed", **classes(a=10_000, b=20_000, c=20_000))
    assert judge_class_share(classes(a=10_500, b=19_500, c=20_000), before, ClassShare()).severity == "ok"
    moved = judge_class_share(classes(a=40_000, b=5_000, c=5_000), before, ClassShare())
    assert moved.severity == "error"
    assert moved.segment == "class a"
    assert moved.bars["a"] == (0.2, 0.8)


def test_class_balance_looks_at_the_predicted_class_not_at_all_that_are_listed() -> None:
    """Every entity of a binary classification has both classes; only which comes first tells the prediction."""
    before = classes(true=10_000, false=10_000) | {"firsts": {"true": 1_000, "false": 9_000}}
    now = before | {"firsts": {"true": 4_000, "false": 6_000}}
    baseline = active("postprocessed", **before)
    assert judge_class_share(now, baseline, ClassShare()).value == 0
    moved = judge_class_share(now, baseline, ClassBalance(), firsts=True)
    assert moved.severity == "error"
    assert moved.value == pytest.approx(0.3)


def test_a_class_that_is_new_counts_in_full_where_the_stored_list_was_complete() -> None:
    before = active("postprocessed", **classes(a=30_000, b=20_000))
    now = classes(a=10_000, b=20_000, z=20_000)
    assert judge_class_share(now, before, ClassShare()).value == pytest.approx(0.4)


def test_a_class_beyond_a_list_that_was_cut_is_not_taken_for_new() -> None:
    before = active("postprocessed", **classes(a=30_000, b=100) | {"served": 50_000, "coverage": 900})
    now = classes(a=30_000, z=100) | {"served": 50_000, "coverage": 900}
    assert judge_class_share(now, before, ClassShare()).value == pytest.approx(0, abs=1e-9)


def firsts(**first: int) -> dict[str, Any]:
    return {"lists": 10_000, "coverage": 900, "firsts": {f"i{n}": 5 for n in range(100)} | first}


def test_one_item_taking_a_fifth_of_first_places_blocks() -> None:
    before = active("postprocessed", **firsts(a=500))
    assert judge_top_item(firsts(a=520), before, TopItem()).severity == "ok"
    assert judge_top_item(firsts(a=2_000), before, TopItem()).severity == "error"


def test_an_item_that_rises_in_the_shadow_of_a_bigger_one_is_seen() -> None:
    before = active("postprocessed", **firsts(a=2_500))
    judgement = judge_top_item(firsts(a=2_500, b=2_000), before, TopItem())
    assert judgement.severity == "error"
    assert judgement.segment == "item b"


def test_a_first_release_may_not_put_one_item_first_for_most_entities() -> None:
    assert judge_top_item(firsts(a=6_000), None, TopItem()).severity == "error"
    assert judge_top_item(firsts(a=4_000), None, TopItem()).baseline == {"kind": "bootstrap"}


def test_a_shrinking_catalogue_blocks() -> None:
    before = active("postprocessed", **classes(a=1) | {"coverage": 1000, "served": 50_000})
    assert judge_coverage(classes(a=1) | {"coverage": 950}, before, Coverage(), 5).severity == "ok"
    assert judge_coverage(classes(a=1) | {"coverage": 650}, before, Coverage(), 5).severity == "warn"
    assert judge_coverage(classes(a=1) | {"coverage": 400}, before, Coverage(), 5).severity == "error"


def test_a_first_release_must_recommend_as_many_classes_as_a_list_holds() -> None:
    assert judge_coverage(classes(a=1) | {"coverage": 4}, None, Coverage(), 5).severity == "error"
    assert judge_coverage(classes(a=1) | {"coverage": 5}, None, Coverage(), 5).severity == "ok"


@pytest.mark.parametrize(
    ("change", "task", "limits", "severity"),
    [
        ({}, "ranking", {}, "ok"),
        ({"finite": False, "lowest": None, "highest": None}, "ranking", {}, "error"),
        ({"lowest": None, "highest": None}, "ranking", {}, "error"),
        ({"lowest": 2.0, "highest": 2.0}, "regression", {}, "error"),
        ({"lowest": 2.0, "highest": 2.0, "entities": 3}, "regression", {}, "ok"),
        ({"highest": 1.5}, "binary_classification", {}, "error"),
        ({"highest": 1.0000001}, "binary_classification", {}, "ok"),
        ({"lowest": -0.5}, "regression", {"min": 0}, "error"),
        ({"highest": 7.0}, "regression", {"max": 5}, "error"),
    ],
)
def test_score_range(change: dict[str, Any], task: str, limits: dict[str, float], severity: str) -> None:
    counts = {"finite": True, "lowest": 0.1, "highest": 0.9, "entities": 100} | change
    assert judge_score_range(counts, None, ScoreRange.model_validate(limits), task).severity == severity


@pytest.mark.parametrize(("unknown", "severity"), [(0, "ok"), (20, "warn"), (200, "error"), (None, "error")])
def test_items_that_are_not_in_the_catalogue(unknown: int | None, severity: str) -> None:
    counts = {"served": 10_000, "unknown": unknown, "unknown_classes": 3, "unknown_named": ["x"]}
    assert judge_unknown_items(counts, UnknownItems()).severity == severity


NOTHING: list[tuple[str, Callable[[], Judgement]]] = [
    (
        "score_drift",
        lambda: judge_score_drift(
            {"entities": 0, "against": [0, 0, 0, 0], "finite": True}, active("predictions", **BASE), ScoreDrift()
        ),
    ),
    (
        "score_drift, none before",
        lambda: judge_score_drift({"entities": 9, "against": [], "finite": True}, active("predictions"), ScoreDrift()),
    ),
    (
        "class_share",
        lambda: judge_class_share(classes() | {"lists": 0}, active("postprocessed", **classes(a=5)), ClassShare()),
    ),
    ("class_share, none before", lambda: judge_class_share(classes(a=5), active("postprocessed"), ClassShare())),
    (
        "top_item",
        lambda: judge_top_item(
            {"lists": 0, "firsts": {}, "coverage": 0}, active("postprocessed", **firsts(a=1)), TopItem()
        ),
    ),
    ("top_item, none before", lambda: judge_top_item(firsts(a=1), active("postprocessed"), TopItem())),
    (
        "coverage",
        lambda: judge_coverage(
            {"lists": 0, "coverage": 0, "longest": 0}, active("postprocessed", **classes(a=5)), Coverage(), 5
        ),
    ),
    ("coverage, first", lambda: judge_coverage({"lists": 0, "coverage": 0, "longest": 0}, None, Coverage(), 5)),
    ("entities_lost", lambda: judge_entities_lost({"old": 0, "lost": 0}, "r1", EntitiesLost())),
    (
        "list_shape",
        lambda: judge_list_shape(
            {"lists": 0, "short": 0, "misranked": 0, "disordered": 0, "longest": 0}, 5, ListShape()
        ),
    ),
    ("unknown_items", lambda: judge_unknown_items({"served": 0}, UnknownItems())),
]


@pytest.mark.parametrize("judge", [judge for _, judge in NOTHING], ids=[name for name, _ in NOTHING])
def test_an_empty_table_or_baseline_never_passes(judge: Callable[[], Judgement]) -> None:
    judgement = judge()
    assert judgement.severity == "error"
    assert to_verdict(judgement, OPENED, "g", "predictions", "block", "run").blocks


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_never_passes_and_is_stored_as_json_has_it(value: float) -> None:
    judgement = Judgement("ok", "fine", value, {"effective": math.inf}, evidence={"list": [math.nan, 1]})
    verdict = to_verdict(judgement, OPENED, "g", "predictions", "block", "run")
    assert verdict.blocks
    json.loads(verdict.to_json(), parse_constant=pytest.fail)
    assert Verdict.from_json(verdict.to_json(), "here") == verdict
    assert level(value, 1, 2) == ("ok" if value < 0 else "error")


@pytest.mark.parametrize("baseline", [{}, {"kind": "bootstrap"}, {"kind": "fixed", "release_id": "20171101-1a2b3c4d"}])
def test_every_verdict_keeps_the_written_contract(baseline: dict[str, str]) -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs" / "contract" / "verdict.schema.json").read_text())
    judgement = Judgement("warn", "hm", 0.5, {"warn": 0.1}, baseline, {"x": 1}, "class a", {"a": (None, 1.0)})
    verdict = to_verdict(judgement, OPENED, "g", "predictions", "block", "run")
    jsonschema.validate(json.loads(verdict.to_json()), schema)
    assert verdict.evidence["segment"] == "class a"


def test_kumos_errors_block_whatever_the_mode() -> None:
    for mode in ("warn", "off"):
        spec = GatesSpec.model_validate({"kumo_warnings": {"mode": mode}})
        assert spec.gates_of("ranking")["kumo_warnings"]["mode"] == "warn"
        judgement = judge_warnings([], [W], spec.kumo_warnings)
        assert to_verdict(judgement, OPENED, "kumo_warnings", "predictions", "warn", "run").blocks
        only_warned = judge_warnings([W], [], spec.kumo_warnings)
        assert not to_verdict(only_warned, OPENED, "kumo_warnings", "predictions", "warn", "run").blocks


@pytest.mark.parametrize(("lost", "severity"), [(0, "ok"), (20, "warn"), (50, "error")])
def test_entities_lost(lost: int, severity: str) -> None:
    assert judge_entities_lost({"old": 1000, "lost": lost}, "r1", EntitiesLost()).severity == severity


def test_a_table_that_cannot_be_compared_with_did_not_pass() -> None:
    assert judge_entities_lost({"missing": "no table X"}, "r1", EntitiesLost()).severity == "error"
    assert judge_overlap({"missing": "no table X"}, "r1", Overlap()).severity == "error"


def test_without_an_active_release_there_is_nothing_to_lose() -> None:
    assert judge_entities_lost(None, "", EntitiesLost()).baseline == {"kind": "bootstrap"}


def test_few_entities_are_not_blocked_for_losing_a_handful() -> None:
    """6 of 200 is 3%, the limit; a true loss of 1% shows as much once in a thousand."""
    assert judge_entities_lost({"old": 200, "lost": 6}, "r1", EntitiesLost()).severity != "error"
    assert judge_entities_lost({"old": 200, "lost": 10}, "r1", EntitiesLost()).severity == "error"


WHOLE = ImportEvidence(
    keys=100,
    exported=100,
    imported=100,
    processed=100,
    errors=0,
    status="COMPLETED",
    failure="",
    sampled=20,
    differing=[],
    table="t",
)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "FAILED"},
        {"errors": 1},
        {"imported": 99},
        {"exported": 101},
        {"keys": 99},
        {"differing": ["7"]},
        {"sampled": 0},
        {"keys": 0, "exported": 0, "imported": 0},
    ],
)
def test_every_count_of_an_import_must_agree(change: dict[str, Any]) -> None:
    evidence = ImportEvidence(**{**vars(WHOLE), **change})
    assert faults(evidence)
    assert judge_import(evidence, opened=OPENED, run_id="run").blocks


def test_a_whole_import_passes() -> None:
    assert judge_import(WHOLE, opened=OPENED, run_id="run").passed


def test_a_gate_in_warn_mode_never_blocks() -> None:
    verdict = to_verdict(Judgement("error", "bad"), OPENED, "volume", "predictions", "warn", "run")
    assert verdict.severity == "warn"
    assert not verdict.passed
    assert not verdict.blocks


def test_a_warning_in_block_mode_lets_through() -> None:
    verdict = to_verdict(Judgement("warn", "hm"), OPENED, "volume", "predictions", "block", "run")
    assert not verdict.passed
    assert not verdict.blocks


def test_gates_that_are_off_are_not_recorded_and_the_import_cannot_be() -> None:
    spec = GatesSpec.model_validate({"volume": {"mode": "off"}})
    assert "volume" not in spec.gates_of("ranking")
    assert set(GatesSpec().gates_of("ranking")) - set(spec.gates_of("ranking")) == {"volume"}
    with pytest.raises(ValueError, match="import_complete"):
        GatesSpec.model_validate({"import_complete": {"mode": "off"}})


def test_a_warning_limit_above_the_block_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be more than block"):
        GatesSpec.model_validate({"score_drift": {"warn": 0.5, "block": 0.2}})


def test_a_bare_off_in_yaml_is_the_word_and_not_false() -> None:
    spec = GatesSpec.model_validate(yaml.safe_load("volume: {mode: off}"))
    assert spec.volume.mode == "off"
    with pytest.raises(ValueError, match="mode"):
        GatesSpec.model_validate(yaml.safe_load("volume: {mode: on}"))
