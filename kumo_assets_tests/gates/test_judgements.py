"""Each gate by table: what passes, what warns, what blocks, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from kumo_assets.gates.continuity import judge_entities_lost, judge_overlap
from kumo_assets.gates.drift import judge_class_share, judge_coverage, judge_score_drift, judge_top_item
from kumo_assets.gates.import_complete import ImportEvidence, faults, judge_import
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.keys import judge_keys
from kumo_assets.gates.kumo_warnings import judge_warnings
from kumo_assets.gates.list_shape import ListCounts, judge_list_shape
from kumo_assets.gates.volume import judge_volume
from kumo_assets.releases.documents import Opened
from kumo_assets.spec.gates import (
    ClassShare,
    Coverage,
    EntitiesLost,
    GatesSpec,
    KumoWarnings,
    ListShape,
    Overlap,
    ScoreDrift,
    TopItem,
    Volume,
)

OPENED = Opened(
    query="q1",
    environment="local",
    partition="2017-11-30",
    release_id="20171130-1a2b3c4d",
    run_id="run",
    root_run_id="run",
    opened_at="2017-12-01T02:00:00.000Z",
    code_version="1",
    by="test",
)
W = {"title": "Distribution shift", "message": "column X"}


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
    ],
)
def test_kumos_own_words(warnings: list[Any], errors: list[Any], limits: KumoWarnings, severity: str) -> None:
    judgement = judge_warnings(warnings, errors, limits)
    assert judgement.severity == severity
    if severity == "error":
        assert "Distribution shift: column X" in judgement.message


@pytest.mark.parametrize(
    ("entities", "rows", "active", "severity"),
    [
        (0, 0, None, "error"),
        (100, 500, None, "ok"),
        (100, 500, (100, 500), "ok"),
        (88, 440, (100, 500), "warn"),
        (70, 350, (100, 500), "error"),
        (130, 650, (100, 500), "error"),
        (100, 300, (100, 500), "error"),
    ],
)
def test_volume(entities: int, rows: int, active: tuple[int, int] | None, severity: str) -> None:
    assert judge_volume(entities, rows, active, Volume(), "r1").severity == severity


@pytest.mark.parametrize(
    ("rows", "nulls", "distinct", "severity"), [(10, 0, 10, "ok"), (10, 1, 9, "error"), (10, 0, 9, "error")]
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
    ],
)
def test_list_shape(change: dict[str, int], severity: str) -> None:
    counts = {"lists": 100, "short": 0, "misranked": 0, "disordered": 0, "longest": 5} | change
    assert judge_list_shape(ListCounts(**counts), 5, ListShape()).severity == severity


def test_a_multiclass_list_may_rise_in_score_after_the_predicted_class() -> None:
    counts = ListCounts(lists=10, short=0, misranked=0, disordered=3, longest=5)
    assert judge_list_shape(counts, 5, ListShape(), ordered=False).severity == "ok"


BASE = {"edges": [1.0, 2.0, 3.0], "histogram": [2500, 2500, 2500, 2500], "entities": 10_000}


@pytest.mark.parametrize(
    ("against", "severity"),
    [([2500, 2500, 2500, 2500], "ok"), ([1400, 2200, 2800, 3600], "warn"), ([500, 1500, 3000, 5000], "error")],
)
def test_score_drift(against: list[int], severity: str) -> None:
    judgement = judge_score_drift({"entities": 10_000, "against": against, "finite": True}, BASE, ScoreDrift(), "r1")
    assert judgement.severity == severity
    assert "PSI" in judgement.message


def test_few_entities_raise_the_limit_to_what_chance_would_show() -> None:
    counts = {"entities": 100, "against": [15, 22, 28, 35], "finite": True}
    base = BASE | {"histogram": [25, 25, 25, 25], "entities": 100}
    judgement = judge_score_drift(counts, base, ScoreDrift(), "r1")
    assert judgement.severity == "ok"
    assert judgement.limits["effective_block"] == judgement.limits["noise_floor"] > 0.2


def test_scores_that_are_no_numbers_block_even_a_first_release() -> None:
    assert (
        judge_score_drift({"entities": 10, "against": [], "finite": False}, None, ScoreDrift(), "").severity == "error"
    )


def classes(**served: int) -> dict[str, Any]:
    return {
        "classes": served,
        "served": sum(served.values()),
        "lists": 10_000,
        "coverage": len(served),
        "most_first": 800,
    }


def test_class_share_moves_when_a_class_takes_over() -> None:
    before = classes(a=10_000, b=20_000, c=20_000)
    assert judge_class_share(classes(a=10_500, b=19_500, c=20_000), before, ClassShare(), "r1").severity == "ok"
    moved = judge_class_share(classes(a=40_000, b=5_000, c=5_000), before, ClassShare(), "r1")
    assert moved.severity == "error"
    assert moved.evidence["segment"] == "a"


def test_a_class_that_is_new_counts_in_full_where_the_stored_list_was_complete() -> None:
    before = classes(a=30_000, b=20_000)
    now = classes(a=10_000, b=20_000, z=20_000)
    assert judge_class_share(now, before, ClassShare(), "r1").value == pytest.approx(0.4)


def test_a_class_beyond_a_list_that_was_cut_is_not_taken_for_new() -> None:
    before = classes(a=30_000, b=100) | {"served": 50_000, "coverage": 900}
    now = classes(a=30_000, z=100) | {"served": 50_000, "coverage": 900}
    assert judge_class_share(now, before, ClassShare(), "r1").value == pytest.approx(0, abs=1e-9)


def test_one_item_taking_a_fifth_of_first_places_blocks() -> None:
    before = classes(a=1) | {"most_first": 500}
    assert judge_top_item(classes(a=1) | {"most_first": 520}, before, TopItem(), "r1").severity == "ok"
    assert judge_top_item(classes(a=1) | {"most_first": 2_000}, before, TopItem(), "r1").severity == "error"


def test_a_shrinking_catalogue_blocks() -> None:
    before = classes(a=1) | {"coverage": 1000}
    assert judge_coverage(classes(a=1) | {"coverage": 950}, before, Coverage(), "r1").severity == "ok"
    assert judge_coverage(classes(a=1) | {"coverage": 700}, before, Coverage(), "r1").severity == "warn"
    assert judge_coverage(classes(a=1) | {"coverage": 400}, before, Coverage(), "r1").severity == "error"


@pytest.mark.parametrize(("lost", "severity"), [(0, "ok"), (20, "warn"), (50, "error")])
def test_entities_lost(lost: int, severity: str) -> None:
    assert judge_entities_lost({"old": 1000, "lost": lost}, "r1", EntitiesLost()).severity == severity


def test_a_table_that_cannot_be_compared_with_did_not_pass() -> None:
    assert judge_entities_lost({"missing": "no table X"}, "r1", EntitiesLost()).severity == "error"
    assert judge_overlap({"missing": "no table X"}, "r1", Overlap()).severity == "error"


def test_without_an_active_release_there_is_nothing_to_lose() -> None:
    assert judge_entities_lost(None, "", EntitiesLost()).baseline == {"kind": "bootstrap"}


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
    with pytest.raises(ValueError, match="import_complete"):
        GatesSpec.model_validate({"import_complete": {"mode": "off"}})


def test_a_warning_limit_above_the_block_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be more than block"):
        GatesSpec.model_validate({"score_drift": {"warn": 0.5, "block": 0.2}})
