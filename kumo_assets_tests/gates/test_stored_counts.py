"""Counts that version 0.1 stored, in the names it stored them under, are still a baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.documents import NoticeDetails, Seal
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.counts import (
    Continuity,
    ListCounts,
    Mark,
    NumberColumn,
    PredictionCounts,
    RawCounts,
    ValueColumn,
)

# `statistics` of a seal that version 0.1.0 (commit 91d9d5a) wrote for the second day of a ranking, on the sandbox.
STORED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "statistics_0_1.json").read_text())
PREDICTIONS, LISTS = STORED["predictions"], STORED["postprocessed"]
RAW = PREDICTIONS["raw"]


@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        (PREDICTIONS, PredictionCounts),
        (PREDICTIONS["baselines"], Mark),
        (RAW["transactions"], RawCounts),
        (RAW["transactions"]["columns"]["STORE_ID"], NumberColumn),
        (RAW["products"]["columns"]["NAME"], ValueColumn),
        (LISTS, ListCounts),
        (LISTS["continuity"], Continuity),
    ],
    ids=["predictions", "baselines", "raw log", "column of numbers", "column of text", "lists", "continuity"],
)
def test_every_field_has_kept_its_name(stored: dict[str, Any], shape: Any) -> None:
    assert stored.keys() <= shape.__optional_keys__ | shape.__required_keys__


def query(task: str = "ranking") -> PredictiveQuerySpec:
    return PredictiveQuerySpec.model_validate(
        {
            "owners": ["team:x"],
            "raw_logs": ["transactions", "products"],
            "task": task,
            "source": {"kumo": {"predictive_query_id": "q", "connector": "c"}},
            "schedule": {"start": "2017-11-01"},
            "gates": {"raw_drift": {"columns": {"transactions": ["SALES_VALUE", "STORE_ID"], "products": ["NAME"]}}},
        }
    )


def baselines(statistics: dict[str, Any]) -> Baselines:
    seal = Seal.model_construct(release_id="20171129-1a2b3c4d", statistics=statistics)
    return Baselines(active=seal, main=Baseline.of("active", seal))


COMPARED = ("raw_volume", "raw_drift", "volume", "score_drift", "class_share", "top_item", "coverage")


@pytest.mark.parametrize("gate", COMPARED)
def test_a_release_is_compared_with_counts_of_version_0_1(gate: str) -> None:
    same: Any = PREDICTIONS | LISTS
    judgement = bind(query(), NoticeDetails(), same, baselines(STORED))[gate]()
    assert (judgement.severity, judgement.value) == ("ok", 0)
    assert judgement.baseline["release_id"] == "20171129-1a2b3c4d"
    assert set(judgement.limits) >= {"noise_floor", "effective_block"}


def test_a_release_with_far_fewer_of_everything_than_version_0_1_counted_is_blocked() -> None:
    before = json.loads(json.dumps(STORED))
    before["predictions"] |= {"rows": 20_000, "entities": 20_000}
    before["predictions"]["raw"]["products"]["rows"] = 9_000
    before["postprocessed"]["coverage"] = 4_000
    same: Any = PREDICTIONS | LISTS
    found = bind(query(), NoticeDetails(), same, baselines(before))
    assert {gate: found[gate]().severity for gate in ("volume", "raw_volume", "coverage")} == {
        "volume": "error",
        "raw_volume": "error",
        "coverage": "error",
    }


def test_a_release_of_another_task_stored_less_and_cannot_be_compared_with() -> None:
    same: Any = PREDICTIONS | LISTS
    found = bind(query(), NoticeDetails(), same, baselines({"predictions": {}, "postprocessed": {"lists": 60}}))
    for gate in ("volume", "score_drift", "class_share", "top_item", "coverage"):
        judgement = found[gate]()
        assert judgement.severity == "error", gate
        assert "could not be compared" in judgement.message, gate
