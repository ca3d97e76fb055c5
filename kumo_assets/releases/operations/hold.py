"""Hold and unhold: stop automatic promotion, and let it go on. A hold is in the pointer document, moved as it is moved.

Lifting one says first what will go active (rule 5). A pointer edited by hand counts as held; lifting that makes the edit
regular, and what was edited stays served until something newer may go live.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from kumo_serving.pointer import Hold, Pointer

from kumo_assets.documents import Action, utc_now
from kumo_assets.errors import ConfigError, Refused
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import active_of, put_back
from kumo_assets.releases.operations.belongings import owner_of_served
from kumo_assets.releases.operations.move import move_pointer, refusals_recorded
from kumo_assets.releases.operations.promote import next_candidate
from kumo_assets.releases.operations.target import as_ours, next_generation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unholding:
    """What lifting a hold would do: the pointer it was read from, why promotion is stopped, the release that goes live
    next (None: nothing does, and `message` says why)."""

    current: VersionedPointer
    hold: str
    next_release: str | None
    message: str


def hold(ctx: ReleaseContext, *, by: str, reason: str, run_id: str = "") -> Pointer:
    """Stop automatic promotion; the pointer as it is then. Refused when it is stopped already, or nothing is active yet;
    LostRace. A pointer edited by hand is made regular, with the table it names."""
    if not reason.strip():
        raise ConfigError(
            "hold promotions of",
            to=ctx.query,
            found="no reason",
            next="give --reason TEXT, for whoever comes after you",
        )
    with refusals_recorded(ctx, "hold", by=by, run_id=run_id):
        current = _existing(ctx, "hold promotions of")
        old = current.pointer.hold
        if old is not None and not current.hand_edited:
            raise Refused(
                "hold promotions of",
                to=ctx.query,
                found=f"it is on hold already: {old.reason} ({old.by}, {old.at})",
                next=f"nothing; or kumo-assets unhold {ctx.query}, if that one is over",
            )
        note = Hold(by=by, at=utc_now(), reason=reason)
        pointer = as_ours(ctx, current, next_generation(ctx, current)).replace(hold=note)
        return _move(ctx, pointer, current, "hold", by, reason, run_id)


def preview_unhold(ctx: ReleaseContext) -> Unholding:
    """What would go live if the hold were lifted now; nothing is changed. Refused when there is no hold."""
    current = _existing(ctx, "lift the hold on")
    stopped = hold_reason(ctx, current)
    if stopped is None:
        raise Refused("lift the hold on", to=ctx.query, found="there is no hold", next="kumo-assets status")
    release, decision = would_follow(ctx, current)
    goes = release is not None and decision.outcome == "promote"
    message = f"{release} goes live next" if goes else f"the active release stays: {decision.reason}"
    owner = owner_of_served(ctx, current.pointer.table)
    if owner is not None:
        message += f"{', and until then ' if goes else '; '}{owner}"
    return Unholding(current, stopped, release if goes else None, message)


def unhold(ctx: ReleaseContext, preview: Unholding, *, by: str, run_id: str = "") -> Pointer:
    """Lift the hold that `preview` saw. LostRace when the pointer moved since: what goes live might be another."""
    current = preview.current
    pointer = as_ours(ctx, current, next_generation(ctx, current)).replace(hold=None)
    with refusals_recorded(ctx, "unhold", by=by, run_id=run_id, from_release=current.pointer.release_id):
        return _move(ctx, pointer, current, "unhold", by, f"{preview.message}; lifts: {preview.hold}", run_id)


def hold_reason(ctx: ReleaseContext, current: VersionedPointer) -> str | None:
    """Why promotion is stopped, None when it is not: a hold, a hand edit, or an old document put back."""
    held = current.pointer.hold
    if held is not None:
        way = f", rolled back from {held.from_release or 'an unreadable pointer'}" if held.to_release else ""
        return f"{held.reason} ({held.by}, {held.at}{way})"
    if current.hand_edited:
        return f"edited by hand to {current.pointer.table}"
    return put_back(ctx, current)


def _existing(ctx: ReleaseContext, doing: str) -> VersionedPointer:
    current = ctx.pointers.read()
    if current is None:
        raise Refused(
            doing,
            to=ctx.query,
            found="there is no active pointer",
            next=f"kumo-assets promote {ctx.query}; or rollback --to RELEASE, when it was deleted",
        )
    return current


def _move(
    ctx: ReleaseContext, pointer: Pointer, current: VersionedPointer, action: Action, by: str, reason: str, run_id: str
) -> Pointer:
    moved = move_pointer(
        ctx,
        pointer,
        current,
        action=action,
        by=by,
        reason=reason,
        from_release=pointer.release_id,
        run_id=run_id,
    )
    if moved.warning:
        log.warning("%s", moved.warning)
    return moved.pointer


def would_follow(ctx: ReleaseContext, current: VersionedPointer) -> tuple[str | None, Decision]:
    """The release that would go live if nothing held promotion, and the decision on it."""
    active = active_of(ctx, current)
    assert active is not None
    return next_candidate(ctx, replace(active, held=None, hand_edited=False))
