"""Hold and unhold: stop automatic promotion, and let it go on. A hold is in the pointer document, moved as it is moved.

Lifting one says first what will go active (rule 5). A pointer edited by hand counts as held; lifting that makes the edit
regular, and what was edited stays served until something newer may go live.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kumo_serving.pointer import Hold, Pointer

from kumo_assets.documents import Action, utc_now
from kumo_assets.errors import ConfigError, Refused
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision, decide
from kumo_assets.releases.evidence import active_of, candidate_of, put_back, with_table
from kumo_assets.releases.operations.move import move_pointer, refusals_recorded
from kumo_assets.releases.operations.promote import MOST_CANDIDATES, newer_sealed
from kumo_assets.releases.operations.target import as_ours, next_generation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unholding:
    """What lifting a hold would do: the pointer it was read from, the hold in words, the release that goes live next
    (None: nothing does, and `words` says why)."""

    found: VersionedPointer
    hold: str
    next_release: str | None
    words: str


def hold(ctx: ReleaseContext, *, by: str, reason: str, run_id: str = "") -> Pointer:
    """Stop automatic promotion; the pointer that stands. Refused when it is stopped already, or nothing is active yet;
    LostRace. A pointer edited by hand is made regular, with the table it names."""
    if not reason.strip():
        raise ConfigError(
            "hold promotions of",
            to=ctx.query,
            found="no reason",
            next="give --reason TEXT, for whoever comes after you",
        )
    with refusals_recorded(ctx, "hold", by=by, run_id=run_id):
        found = _standing(ctx, "hold promotions of")
        old = found.pointer.hold
        if old is not None and not found.hand_edited:
            raise Refused(
                "hold promotions of",
                to=ctx.query,
                found=f"it is on hold already: {old.reason} ({old.by}, {old.at})",
                next=f"nothing; or kumo-assets unhold {ctx.query}, if that one is over",
            )
        note = Hold(by=by, at=utc_now(), reason=reason)
        pointer = as_ours(ctx, found, next_generation(ctx, found)).replace(hold=note)
        return _move(ctx, pointer, found, "hold", by, reason, run_id)


def preview_unhold(ctx: ReleaseContext) -> Unholding:
    """What would go live if the hold were lifted now; nothing is changed. Refused when there is no hold."""
    found = _standing(ctx, "lift the hold on")
    words = hold_words(ctx, found)
    if words is None:
        raise Refused("lift the hold on", to=ctx.query, found="there is no hold", next="kumo-assets status")
    release, decision = would_follow(ctx, found)
    if release is not None and decision.outcome == "promote":
        return Unholding(found, words, release, f"{release} goes live next")
    return Unholding(found, words, None, f"the active release stays: {decision.reason}")


def unhold(ctx: ReleaseContext, preview: Unholding, *, by: str, run_id: str = "") -> Pointer:
    """Lift the hold that `preview` saw. LostRace when the pointer moved since: what goes live might be another."""
    found = preview.found
    pointer = as_ours(ctx, found, next_generation(ctx, found)).replace(hold=None)
    with refusals_recorded(ctx, "unhold", by=by, run_id=run_id, from_release=found.pointer.release_id):
        return _move(ctx, pointer, found, "unhold", by, f"{preview.words}; lifts: {preview.hold}", run_id)


def hold_words(ctx: ReleaseContext, found: VersionedPointer) -> str | None:
    """Why promotion is stopped, None when it is not: a hold, a hand edit, or an old document put back."""
    held = found.pointer.hold
    if held is not None:
        way = f", rolled back from {held.from_release or 'an unreadable pointer'}" if held.to_release else ""
        return f"{held.reason} ({held.by}, {held.at}{way})"
    if found.hand_edited:
        return f"edited by hand to {found.pointer.table}"
    return put_back(ctx, found)


def _standing(ctx: ReleaseContext, doing: str) -> VersionedPointer:
    found = ctx.pointers.read()
    if found is None:
        raise Refused(
            doing,
            to=ctx.query,
            found="there is no active pointer",
            next=f"kumo-assets promote {ctx.query}; or rollback --to RELEASE, when it was deleted",
        )
    return found


def _move(
    ctx: ReleaseContext, pointer: Pointer, found: VersionedPointer, action: Action, by: str, reason: str, run_id: str
) -> Pointer:
    moved = move_pointer(
        ctx,
        pointer,
        found,
        action=action,
        by=by,
        reason=reason,
        from_release=pointer.release_id,
        run_id=run_id,
    )
    if moved.trouble:
        log.warning("%s", moved.trouble)
    return moved.pointer


def would_follow(ctx: ReleaseContext, found: VersionedPointer) -> tuple[str | None, Decision]:
    """The release that would go live if nothing held promotion, and the decision on it."""
    active = active_of(ctx, found)
    assert active is not None
    free = type(active)(active.release_id, active.partition, active.generation, active.order)
    first: tuple[str | None, Decision] | None = None
    for item in newer_sealed(ctx, found, active.partition)[:MOST_CANDIDATES]:
        decision = decide(with_table(ctx, candidate_of(ctx, item.release_id)), free)
        if decision.outcome == "promote":
            return item.release_id, decision
        first = first or (item.release_id, decision)
    return first or (None, Decision("wait", "no sealed release is newer than the active one"))
