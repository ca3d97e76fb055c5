"""When a release that is not live yet can no longer become it: by table, over moves as kumo_assets itself tells them."""

from typing import Any

import dagster as dg
import pytest
from kumo_airflow.following import PARTITION_TAG, Run
from kumo_airflow.live import decide_live
from kumo_airflow.operations import PointerMove, pointer_moves

from kumo_assets.assets.active_pointer import move_metadata
from kumo_assets.documents import LedgerEntry

DAY = "2017-11-28"
OURS, OTHER = "20171128-aaaaaaaa", "20171128-bbbbbbbb"
LATER, EARLIER = "20171129-cccccccc", "20171127-dddddddd"


def run(release: str, ended: float | None, status: str = "SUCCESS") -> Run:
    return Run(release[9:] + "-run", status, "q_daily", release[9:] + "-root", {PARTITION_TAG: DAY}, 1.0, ended)


def moved(release: str, at: float = 200.0, action: str = "promote", moved: bool = True) -> PointerMove:
    return PointerMove(release, f"{release[:4]}-{release[4:6]}-{release[6:8]}", 7, at, action, moved)


WHOLE = [run(OURS, 100.0)]


@pytest.mark.parametrize(
    ("moves", "runs", "state"),
    [
        pytest.param([], WHOLE, "wait", id="nothing-live"),
        pytest.param([moved(OTHER), moved(OURS, 150.0)], WHOLE, "live", id="was-live"),
        pytest.param([moved(EARLIER)], WHOLE, "wait", id="an-earlier-day"),
        pytest.param([moved(LATER, 50.0)], WHOLE, "superseded", id="a-later-day-whenever-it-moved"),
        pytest.param([moved(OTHER)], [*WHOLE, run(OTHER, 120.0)], "superseded", id="sealed-later"),
        pytest.param([moved(OTHER, action="force")], [*WHOLE, run(OTHER, 120.0)], "superseded", id="sealed-later-forced"),
        pytest.param([moved(OTHER)], WHOLE, "superseded", id="moved-after-and-built-without-this-dagster"),
        pytest.param([moved(OTHER)], [*WHOLE, run(OTHER, 120.0, "FAILURE")], "superseded", id="sealed-by-a-run-that-failed"),
        pytest.param([moved(OTHER, 90.0)], WHOLE, "wait", id="moved-before-this-one-was-whole"),
        pytest.param([moved(OTHER, 90.0)], [*WHOLE, run(OTHER, 120.0)], "wait", id="moved-before-its-run-ended-late"),
        pytest.param([moved(OTHER)], [*WHOLE, run(OTHER, 80.0)], "wait", id="sealed-before-and-moved-just-after"),
        pytest.param([moved(OTHER)], [*WHOLE, run(OTHER, 80.0), run(OTHER, 130.0)], "wait", id="run-again-after-its-seal"),
        pytest.param([moved(OTHER)], [run(OTHER, 120.0)], "wait", id="own-run-not-known"),
        pytest.param([moved(OTHER)], [run(OURS, None, "STARTED")], "wait", id="own-run-not-over"),
        pytest.param([moved(OTHER, action="rollback")], [*WHOLE, run(OTHER, 120.0)], "wait", id="rolled-back-holds"),
        pytest.param([moved(OTHER, action="hand_edit")], WHOLE, "wait", id="edited-by-hand-holds"),
        pytest.param([moved(OTHER, moved=False), moved(OTHER, 90.0)], WHOLE, "wait", id="asked-again-and-moved-nothing"),
    ],
)  # fmt: skip
def test_what_is_to_be_expected(moves: list[PointerMove], runs: list[Run], state: str) -> None:
    assert decide_live(moves, OURS, DAY, runs)[0] == state


def read(metadata: dict[str, Any], timestamp: float = 999.0) -> PointerMove:
    """A move with this metadata, as Dagster's GraphQL has it: one field for each kind of value."""
    kinds = {dg.TextMetadataValue: "text", dg.IntMetadataValue: "intValue", dg.BoolMetadataValue: "boolValue"}
    entries = [
        {"label": label, **{field: value.value for kind, field in kinds.items() if isinstance(value, kind)}}
        for label, value in dg.AssetMaterialization("a", metadata=metadata).metadata.items()
    ]
    event = {"timestamp": str(timestamp * 1000), "metadataEntries": entries}
    (found,) = pointer_moves("q").read({"assetOrError": {"__typename": "Asset", "assetMaterializations": [event]}})
    return found


def entry(release: str, at: str) -> LedgerEntry:
    return LedgerEntry(query="q", at=at, action="promote", by="ann", to_release=release, generation=4)


def test_move_made_outside_dagster_has_its_day_and_its_own_time() -> None:
    found = read(move_metadata(entry(LATER, "2017-11-30T03:00:00.250Z")))
    assert found == PointerMove(LATER, "2017-11-29", 4, 1512010800.25, "promote", True)
    assert decide_live([found], OURS, DAY)[0] == "superseded"
    assert read({**move_metadata(entry(LATER, "2017-11-30T03:00:00Z")), "at": "tomorrow"}).at == 999.0
    no_release = read(move_metadata(entry("", "2017-11-30T03:00:00.250Z")))
    assert no_release.partition == ""
    assert decide_live([no_release], OURS, DAY, WHOLE)[0] == "wait"


def test_move_that_moved_nothing_is_told_from_one_that_did() -> None:
    told = {"release": OTHER, "partition": DAY, "generation": 4, "action": "promote"}
    assert [read({**told, "moved": moved}).moved for moved in (True, False)] == [True, False]
    assert read(told) == PointerMove(OTHER, DAY, 4, 999.0, "promote", True)
