"""The one promotion decision, as a table: every combination of what it looks at, against the rules said plainly."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kumo_assets.documents import IMPORT_GATE, GateRecord, Opened, Seal, Verdict
from kumo_assets.releases.decision import Active, Candidate, Decision, decide
from kumo_assets.releases.store import SealedRelease

RELEASE = "20171130-0a0b0c0d"
OLDER, SAME, NEWER = "20171129-00000001", "20171130-00000001", "20171201-00000001"


def opened(**changes: Any) -> Opened:
    fields: dict[str, Any] = {
        "query": "shop",
        "environment": "local",
        "partition": "2017-11-30",
        "release_id": RELEASE,
        "run_id": "r",
        "root_run_id": "r",
        "opened_at": "2017-12-01T02:00:00.000Z",
        "code_version": "1",
        "by": "schedule",
        "gates": {
            "volume": GateRecord(asset="predictions", mode="block"),
            "list_shape": GateRecord(asset="postprocessed", mode="warn"),
        },
    }
    return Opened(**{**fields, **changes})


def seal(
    release: str = RELEASE, *, imported: int = 3, errors: int = 0, sealed_at: str = "2017-12-01T03:00:00.000Z"
) -> SealedRelease:
    return SealedRelease(
        Seal(
            query="shop",
            environment="local",
            release_id=release,
            partition=f"{release[:4]}-{release[4:6]}-{release[6:8]}",
            sealed_at="2001-01-01T00:00:00.000Z",  # the writer's clock, which nothing may go by
            table=f"local-shop-{release}",
            region="us-east-1",
            key={"name": "e", "type": "S"},
            item_format="ranking/1",
            fallback=None,
            counts={"rows": 15, "entities": 3, "exported": 3, "imported": imported, "errors": errors},
            artefacts={},
            opened="",
        ),
        sealed_at,
    )


def verdict(gate: str, *, passed: bool = True, mode: str = "block", severity: str | None = None) -> Verdict:
    return Verdict(
        query="shop",
        release_id=RELEASE,
        partition="2017-11-30",
        gate=gate,
        asset="predictions",
        mode=mode,  # type: ignore[arg-type]
        passed=passed,
        severity=severity or ("ok" if passed else "error"),  # type: ignore[arg-type]
        message=f"{gate}: words",
        decided_at="2017-12-01T02:30:00.000Z",
        run_id="r",
    )


GOOD = {
    "volume": verdict("volume"),
    "list_shape": verdict("list_shape", mode="warn"),
    IMPORT_GATE: verdict(IMPORT_GATE),
}


def candidate(**changes: Any) -> Candidate:
    fields: dict[str, Any] = {"release_id": RELEASE, "opened": opened(), "sealed": seal(), "verdicts": GOOD}
    return Candidate(**{**fields, **changes})


def active(release: str = OLDER, **changes: Any) -> Active:
    fields: dict[str, Any] = {
        "release_id": release,
        "partition": f"{release[:4]}-{release[4:6]}-{release[6:8]}",
        "generation": 7,
        "order": seal(release, sealed_at="2017-12-01T02:00:00.000Z").order,
    }
    return Active(**{**fields, **changes})


def test_a_good_release_after_an_older_one_goes_live() -> None:
    assert decide(candidate(), active()) == Decision("promote", f"{RELEASE} may go live")


def test_the_first_release_of_a_query_goes_live() -> None:
    assert decide(candidate(), None).outcome == "promote"


def test_what_is_active_already_waits_for_nothing() -> None:
    assert decide(candidate(), active(RELEASE)).outcome == "wait"


SEALS = {"none": None, "whole": seal(), "short": seal(imported=2), "errors": seal(errors=1), "empty": seal(imported=0)}
GATES = {
    "passed": GOOD,
    "warned": {**GOOD, "list_shape": verdict("list_shape", mode="warn", passed=False, severity="warn")},
    "blocked": {**GOOD, "volume": verdict("volume", passed=False)},
    "missing": {**GOOD, "volume": None},
    "warn gate missing": {**GOOD, "list_shape": None},
    "relaxed later": {**GOOD, "volume": verdict("volume", mode="warn", passed=False, severity="warn")},
    "import failed": {**GOOD, IMPORT_GATE: verdict(IMPORT_GATE, passed=False)},
    "import missing": {**GOOD, IMPORT_GATE: None},
    "import not asked": {gate: found for gate, found in GOOD.items() if gate != IMPORT_GATE},
}
POINTERS = {
    "none": None,
    "older": active(OLDER),
    "same, sealed before": active(SAME, order=("2017-11-30", "2017-12-01T02:00:00.000Z", SAME)),
    "same, sealed after": active(SAME, order=("2017-11-30", "2017-12-01T04:00:00.000Z", SAME)),
    "newer": active(NEWER),
    "held": active(OLDER, held="odd (ann, now)"),
    "edited": active(OLDER, hand_edited=True),
    "edited to this": active(RELEASE, hand_edited=True),
    "edited to a stranger": active(OLDER, release_id="", partition="", order=None, hand_edited=True),
}
ROWS = list(
    itertools.product(
        SEALS, GATES, POINTERS, (False, True), (False, True), (False, True), (None, "does not exist"), (False, True)
    )
)


def expected(
    sealed: str,
    gates: str,
    pointer: str,
    rejected: bool,
    retired: bool,
    forced: bool,
    table: str | None,
    rollback: bool,
) -> str:
    """The rules, in the order of their importance to a person."""
    if retired or rejected:
        return "refuse"
    if sealed == "none":
        return "blocked" if gates in ("blocked", "import failed") else "wait"
    if sealed != "whole":
        return "refuse"
    if gates.startswith("import"):
        return "blocked"
    if gates in ("blocked", "missing", "warn gate missing", "relaxed later") and not forced:
        return "blocked"
    if not rollback and pointer in (
        "same, sealed after",
        "newer",
        "held",
        "edited",
        "edited to this",
        "edited to a stranger",
    ):
        return "refuse"
    return "refuse" if table else "promote"


def test_every_combination() -> None:
    wrong = []
    for row in ROWS:
        sealed, gates, pointer, rejected, retired, forced, table, rollback = row
        if rollback and forced:
            continue
        found = decide(  # every target of a rollback was active once
            candidate(
                sealed=SEALS[sealed],
                verdicts=GATES[gates],
                rejected=rejected,
                retired=retired,
                table_fault=table,
                was_active=rollback,
            ),
            POINTERS[pointer],
            forced=forced,
            rollback=rollback,
        )
        if found.outcome != expected(*row) or not found.reason:
            wrong.append((row, found))
    assert len(ROWS) > 6000
    assert wrong == []


@pytest.mark.parametrize("forced", [False, True])
def test_no_force_passes_an_incomplete_import(forced: bool) -> None:
    for gates in ("import failed", "import missing", "import not asked"):
        assert decide(candidate(verdicts=GATES[gates]), active(), forced=forced).outcome == "blocked"
    for counts in ("short", "errors", "empty"):
        assert decide(candidate(sealed=SEALS[counts]), active(), forced=forced).outcome == "refuse"


def test_of_one_partition_the_later_sealed_wins_by_s3s_clock_whatever_the_writers_said() -> None:
    before, after = POINTERS["same, sealed before"], POINTERS["same, sealed after"]
    assert decide(candidate(), before).outcome == "promote"
    assert decide(candidate(), after).outcome == "refuse"


def test_a_seal_of_another_release_is_refused() -> None:
    assert "names" in decide(candidate(sealed=seal(OLDER)), None).reason


def test_a_release_without_opened_json_is_refused() -> None:
    assert decide(candidate(opened=None), None).outcome == "refuse"


def test_a_rollback_wants_a_release_that_was_active_and_not_forced() -> None:
    assert decide(candidate(was_active=True), active(NEWER), rollback=True).outcome == "promote"
    assert "never been active" in decide(candidate(), active(NEWER), rollback=True).reason
    assert "by force" in decide(candidate(was_active=True, forced=True), active(NEWER), rollback=True).reason


def test_a_rollback_wants_no_release_that_a_hand_put_live_past_its_gates() -> None:
    for gates in ("blocked", "missing", "relaxed later"):
        found = decide(candidate(was_active=True, verdicts=GATES[gates]), active(NEWER), rollback=True)
        assert found.outcome == "blocked"
        assert "gate volume" in found.reason


def test_a_refusal_says_what_to_type_next() -> None:
    assert decide(candidate(), POINTERS["held"]).next == "kumo-assets unhold"
    assert decide(candidate(verdicts=GATES["blocked"]), None).next == "kumo-assets gates shop --partition 2017-11-30"
