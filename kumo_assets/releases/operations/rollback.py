"""Rollback: back to a known-good release in one step that rejects what it leaves and holds until a person lifts it.

Needs S3 (or ZooKeeper) and DynamoDB; neither Snowflake nor Kumo nor Dagster. Known good: was active once, was not
forced, is not rejected, its table is ACTIVE and answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from kumo_serving.pointer import Hold, Pointer

from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.releases.decision import decide
from kumo_assets.releases.documents import LedgerEntry, Rejection, utc_now
from kumo_assets.releases.operations.hold import settled
from kumo_assets.releases.operations.outside import Outside, active_of, candidate_of
from kumo_assets.releases.operations.promote import copy_plain_text, pointer_to, try_lookups
from kumo_assets.releases.pointers import VersionedPointer
from kumo_assets.releases.store import SealedRelease


@dataclass(frozen=True)
class Rollback:
    """What was left, what is live now, and where the pointer is."""

    left: str
    pointer: Pointer
    where: str


def rollback(world: Outside, *, by: str, reason: str, to: str | None = None, run_id: str = "") -> Rollback:
    """Put an earlier release live. `to` names it; the default is the newest earlier known-good one.

    Refused: nothing active, a hold and no `to`, a target that is not known good. The pointer moves by compare-and-set,
    the hold with it; the release that is left is rejected before that, so that a crash in between promotes nothing.
    """
    found = world.pointers.read()
    if found is None:
        raise Refused("roll back", to=world.query, found="nothing is active", next="kumo-assets status")
    leaving = found.pointer.served_release_id
    if to is None and found.pointer.hold is not None:
        standing = found.pointer.hold
        raise Refused(
            "roll back",
            to=world.query,
            found=f"promotion is on hold: {standing.by} went from {standing.from_release or '?'} to {standing.to_release or '?'} at {standing.at}: {standing.reason}",
            next="name the target of a second rollback with --to; `kumo-assets releases` lists them",
        )
    target = _target(world, found, to)
    try_lookups(world, target)
    now = utc_now()
    if leaving and leaving != target.release_id:
        world.store.reject(Rejection(query=world.query, release_id=leaving, at=now, by=by, reason=reason))
    note = Hold(by=by, at=now, reason=reason, from_release=leaving, to_release=target.release_id)
    base = VersionedPointer(settled(found), found.version, hand_edited=False)
    pointer = pointer_to(world, target, base, by=by, run_id=run_id, hold=note)
    written = world.pointers.write(pointer, found.version)
    world.ledger.append(
        LedgerEntry(
            query=world.query,
            at=now,
            action="rollback",
            by=by,
            reason=reason,
            from_release=leaving,
            to_release=target.release_id,
            generation=pointer.generation,
            run_id=run_id,
        )
    )
    copy_plain_text(world, written.pointer)
    return Rollback(leaving, written.pointer, world.pointers.uri)


def _target(world: Outside, found: VersionedPointer, to: str | None) -> SealedRelease:
    """The release to go back to, verified; Refused with the reasons when there is none."""
    pointer = found.pointer
    if to is not None:
        fault = _not_good(world, found, to)
        if fault is not None:
            raise Refused(
                "roll back to", to=f"{to} of {world.query}", found=fault, next="`kumo-assets releases` lists the others"
            )
        return _sealed(world, to)
    reasons = []
    for item in pointer.previous:
        if not item.release_id or item.release_id == pointer.served_release_id:
            continue
        if item.partition > pointer.served_partition:
            reasons.append(f"{item.release_id} is newer than the active release")
            continue
        fault = _not_good(world, found, item.release_id)
        if fault is None:
            return _sealed(world, item.release_id)
        reasons.append(fault)
    raise Refused(
        "roll back",
        to=world.query,
        found="no earlier release is known good" + (": " + "; ".join(reasons) if reasons else ""),
        next="name one with --to, or edit the pointer by hand",
    )


def _not_good(world: Outside, found: VersionedPointer, release: str) -> str | None:
    """Why a release is no target of a rollback; None when it is."""
    if release == found.pointer.served_release_id:
        return f"{release} is the active release"
    if release not in {item.release_id for item in found.pointer.previous} and not _was_active(world, release):
        return f"{release} was never active"
    if world.store.forcing(release) is not None:
        return f"{release} was forced live past a failed gate"
    decision = decide(candidate_of(world, release, look_at_table=True), active_of(world, found), rollback=True)
    return None if decision.outcome == "promote" else decision.reason


def _was_active(world: Outside, release: str) -> bool:
    """True when the ledger tells of it: the pointer remembers the last ten only."""
    return any(
        entry.to_release == release and entry.action in ("promote", "rollback", "hand_edit")
        for entry in world.ledger.history(limit=500)
    )


def _sealed(world: Outside, release: str) -> SealedRelease:
    sealed = world.store.sealed(release)
    if sealed is None:
        raise ReleaseError("roll back to", to=release, found="its seal is gone", next="name another with --to")
    return sealed
