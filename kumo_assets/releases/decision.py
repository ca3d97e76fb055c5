"""The one promotion decision: a pure function of a release, its verdicts, the pointer and what is known of its table.

Sensor, asset and command line all ask it, and nothing else decides. Rules 3, 5, 6 and 9 of the design live here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kumo_assets.documents import IMPORT_GATE, Opened, Verdict
from kumo_assets.releases.store import Order, SealedRelease

Outcome = Literal["promote", "wait", "refuse", "blocked"]


@dataclass(frozen=True)
class Candidate:
    """A release and all the evidence about it. `sealed` is None while it is being built.

    `damaged` names a document of the release that is not what it must be; `unreadable` such a verdict, by gate. `forced` and `was_active` matter to a rollback
    only: it goes to known good releases, and to no others.
    """

    release_id: str
    opened: Opened | None
    sealed: SealedRelease | None
    verdicts: Mapping[str, Verdict | None]
    rejected: bool = False
    retired: bool = False
    table_fault: str | None = None
    forced: bool = False
    was_active: bool = False
    damaged: str | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Active:
    """What the pointer says now. `order` is that of the active release, None when it is not known (a hand edit)."""

    release_id: str
    partition: str
    generation: int
    order: Order | None
    held: str | None = None
    hand_edited: bool = False


@dataclass(frozen=True)
class Decision:
    """`promote`, `wait` (nothing to do now), `blocked` (a gate) or `refuse` (a rule), and why, for a person."""

    outcome: Outcome
    reason: str
    next: str = ""


def decide(candidate: Candidate, active: Active | None, *, forced: bool = False, rollback: bool = False) -> Decision:
    """Whether `candidate` may go live now.

    `forced` lets a release pass failed or missing verdicts, never an incomplete import (rule 6), an older partition, a
    rejection or a hold. `rollback` lets it go backwards and past a hold, to a known good release: one that was active,
    was not forced and is not rejected. Its gates are asked again, for a hand on the pointer asks none.
    """
    release = candidate.release_id
    if active is not None and active.release_id == release and not active.hand_edited:
        return Decision("wait", f"{release} is active already")
    if candidate.retired:
        return Decision("refuse", f"{release} has been retired: its table is gone or going")
    if candidate.rejected:
        return Decision(
            "refuse", f"{release} was rejected; it is never promoted again", "build a new release of its partition"
        )
    if candidate.damaged is not None:
        return Decision(
            "refuse", f"{release} cannot go live: {candidate.damaged}", "build a new release of its partition"
        )
    if candidate.opened is None:
        return Decision("refuse", f"{release} has no opened.json: it is no release, or a damaged one")
    if candidate.sealed is None:
        return _unsealed(candidate)
    if candidate.sealed.seal.release_id != release:
        return Decision("refuse", f"the seal of {release} names {candidate.sealed.seal.release_id}")
    if not candidate.sealed.seal.counts.agree:
        return Decision(
            "refuse",
            f"the counts of {release} disagree: {candidate.sealed.seal.counts.model_dump()} (rule 6; no force overrides it)",
        )
    in_the_way = (_not_known_good(candidate) if rollback else None) or _verdicts(candidate, forced)
    if in_the_way is None and not rollback:
        in_the_way = _held_or_older(candidate.sealed, active)
    if in_the_way is not None:
        return in_the_way
    if candidate.table_fault is not None:
        return Decision("refuse", f"the table of {release}: {candidate.table_fault}")
    return Decision("promote", f"{release} may go live")


def _unsealed(candidate: Candidate) -> Decision:
    for verdict in candidate.verdicts.values():
        if verdict is not None and verdict.blocks:
            return Decision(
                "blocked",
                f"gate {verdict.gate}: {verdict.message}",
                f"kumo-assets gates {verdict.query} --partition {verdict.partition}",
            )
    return Decision("wait", f"{candidate.release_id} is not sealed yet")


def _verdicts(candidate: Candidate, forced: bool) -> Decision | None:
    """The first verdict that stands in the way. A missing one does so in either mode: what was not asked did not pass."""
    for gate, damaged in sorted(candidate.unreadable.items()):
        # Not even by force: that passes what a gate said, or was not asked, not what nobody can read.
        return Decision(
            "blocked", f"gate {gate} has no verdict for {candidate.release_id} that can be believed: {damaged}"
        )
    for gate, verdict in sorted(candidate.verdicts.items()):
        if forced and gate != IMPORT_GATE:
            continue
        if verdict is None:
            return Decision(
                "blocked",
                f"gate {gate} has no verdict for {candidate.release_id}: it was skipped, or raised",
                "run the gate's check for the partition, or materialise the partition again",
            )
        if verdict.blocks or (not verdict.passed and _set_to_block(candidate, gate, verdict)):
            return Decision(
                "blocked",
                f"gate {gate}: {verdict.message}",
                f"kumo-assets gates {verdict.query} --partition {verdict.partition}",
            )
    if IMPORT_GATE not in candidate.verdicts:
        return Decision("blocked", f"{candidate.release_id} has no verdict on its import (rule 6)")
    return None


def _set_to_block(candidate: Candidate, gate: str, verdict: Verdict) -> bool:
    """True when the gate blocked as the release was opened, and was judged in warn mode later: a release is judged by
    the definition it was opened under. What only warned by its limits (`severity` warn in block mode) still passes."""
    record = candidate.opened.gates.get(gate) if candidate.opened is not None else None
    opened_to_block = gate == IMPORT_GATE or (record is not None and record.mode == "block")
    return opened_to_block and verdict.mode == "warn"


def _not_known_good(candidate: Candidate) -> Decision | None:
    if candidate.forced:
        return Decision("refuse", f"{candidate.release_id} went live by force, past a gate: it is not known good")
    if not candidate.was_active:
        return Decision(
            "refuse",
            f"{candidate.release_id} has never been active: it is not known good",
            "kumo-assets promote, if it is newer than the active one",
        )
    return None


def _held_or_older(sealed: SealedRelease, active: Active | None) -> Decision | None:
    if active is None:
        return None
    if active.held is not None:
        return Decision("refuse", f"promotion is on hold: {active.held}", "kumo-assets unhold")
    if active.hand_edited:
        return Decision(
            "refuse",
            f"the pointer was edited by hand to {active.release_id or 'a table of no release'}; that counts as a hold",
            "kumo-assets unhold, once the edit has done its work",
        )
    known = active.order or (active.partition, "", active.release_id)
    if sealed.order <= known:
        return Decision(
            "refuse",
            f"{sealed.release_id} (partition {sealed.seal.partition}) is older than the active {active.release_id}",
            "kumo-assets rollback --to, if going back is what you want",
        )
    return None
