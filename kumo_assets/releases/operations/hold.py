"""Hold and unhold: stop automatic promotion, and let it go on. A hold is in the pointer document, moved as it is moved.

Each hold ends by its own lifting. Lifting one says first what will go active (rule 5), and which holds stay. A pointer
edited by hand counts as held; any move of ours makes the edit regular, its hold stays until it is lifted, and what was
edited stays served until something newer may go live.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kumo_serving.pointer import Hold, Pointer

from kumo_assets.documents import Action, utc_now
from kumo_assets.errors import Refused
from kumo_assets.pointers.limits import MOST_HOLDS, MOST_REASON_BYTES, check_texts, shortened
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import active_of, holds_on
from kumo_assets.releases.holds import all_told, of_others, with_holds
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.operations.belongings import owner_of_served
from kumo_assets.releases.operations.move import move_pointer, refusals_recorded
from kumo_assets.releases.operations.promote import next_candidate
from kumo_assets.releases.operations.reconcile import record_quietly
from kumo_assets.releases.operations.target import as_ours, next_generation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unholding:
    """What lifting a hold would do: the pointer it was read from, a sentence on the holds that end, the holds that
    stay, the release that goes live next (None: nothing does, and `message` says why)."""

    current: VersionedPointer
    hold: str
    next_release: str | None
    message: str
    kept: tuple[Hold, ...] = ()


def hold(ctx: ReleaseContext, *, by: str, reason: str, run_id: str = "") -> Pointer:
    """Stop automatic promotion until `by` lets it go on; the pointer as it is then. Refused when `by` holds it already, or
    nothing is active yet; LostRace. A pointer edited by hand is made regular, with the table it names."""
    check_texts("hold promotions of", ctx.query, by=by, reason=reason)
    with refusals_recorded(ctx, "hold", by=by, run_id=run_id):
        current = _existing(ctx, "hold promotions of")
        holds = holds_on(ctx, current)
        own = [one for one in holds if one.by == by]
        if own and not current.hand_edited:
            raise Refused(
                "hold promotions of",
                to=ctx.query,
                found=f"it is on hold already: {all_told(own)}",
                next=f"nothing; or kumo-assets unhold {ctx.query}, if that one is over",
            )
        others = of_others(holds, by)
        if len(others) >= MOST_HOLDS:
            raise Refused(
                "hold promotions of",
                to=ctx.query,
                found=f"{len(others)} people hold it already, and a pointer has room for {MOST_HOLDS}",
                next="nothing: promotion stops until each has lifted theirs",
            )
        note = Hold(by=by, at=utc_now(), reason=reason)
        pointer = with_holds(as_ours(ctx, current, next_generation(ctx, current)), (*others, note))
        return _move(ctx, pointer, current, "hold", by, reason, run_id)


def preview_unhold(ctx: ReleaseContext, *, by: str = "", of: str | None = None) -> Unholding:
    """What would go live if a hold were lifted now; nothing is changed.

    `of` names the author whose hold it is. Without it, that of the only author, else that of `by`. Refused when there is
    no such hold, or several and none is of `by`.
    """
    current = _existing(ctx, "lift the hold on")
    holds = holds_on(ctx, current)
    author = _whose(ctx, holds, by, of)
    lifted, kept = tuple(one for one in holds if one.by == author), of_others(holds, author)
    if kept:
        message = f"the active release stays: promotion is still on hold: {all_told(kept)}"
        return Unholding(current, all_told(lifted), None, message, kept)
    release, decision = would_follow(ctx, current)
    goes = release is not None and decision.outcome == "promote"
    message = f"{release} goes live next" if goes else f"the active release stays: {decision.reason}"
    owner = owner_of_served(ctx, current.pointer.table)
    if owner is not None:
        message += f"{', and until then ' if goes else '; '}{owner}"
    return Unholding(current, all_told(lifted), release if goes else None, message)


def unhold(ctx: ReleaseContext, preview: Unholding, *, by: str, run_id: str = "") -> Pointer:
    """Lift the holds that `preview` names, and no other. LostRace when the pointer moved since: what goes live might be
    another."""
    check_texts("lift the hold on", ctx.query, by=by)
    current = preview.current
    pointer = with_holds(as_ours(ctx, current, next_generation(ctx, current)), preview.kept)
    with refusals_recorded(ctx, "unhold", by=by, run_id=run_id, from_release=current.pointer.release_id):
        return _move(ctx, pointer, current, "unhold", by, f"{preview.message}; lifts: {preview.hold}", run_id)


def _whose(ctx: ReleaseContext, holds: tuple[Hold, ...], by: str, of: str | None) -> str:
    """The author whose holds are to be lifted."""
    authors = list(dict.fromkeys(one.by for one in holds))
    if not authors:
        raise Refused("lift the hold on", to=ctx.query, found="there is no hold", next="kumo-assets status")
    if of is not None and of not in authors:
        raise Refused(
            "lift the hold on",
            to=ctx.query,
            found=f"{of} holds nothing here; the holds: {all_told(holds)}",
            next=f"kumo-assets unhold {ctx.query} --of AUTHOR",
        )
    if of is None and len(authors) > 1 and by not in authors:
        raise Refused(
            "lift the hold on",
            to=ctx.query,
            found=f"{len(authors)} people hold it, and {by or 'you'} are none of them: {all_told(holds)}",
            next=f"ask them; or name whose hold ends: kumo-assets unhold {ctx.query} --of AUTHOR",
        )
    if of is not None:
        return of
    return by if by in authors else authors[0]


def _existing(ctx: ReleaseContext, doing: str) -> VersionedPointer:
    current = ctx.pointers.read()
    if current is None:
        raise Refused(
            doing,
            to=ctx.query,
            found="there is no active pointer",
            next=f"kumo-assets promote {ctx.query}; or rollback --to RELEASE, when it was deleted",
        )
    record_quietly(ctx, current)
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
        reason=shortened(reason, MOST_REASON_BYTES),
        from_release=pointer.release_id,
        run_id=run_id,
    )
    if moved.warning:
        log.warning("%s", moved.warning)
    return moved.pointer


def would_follow(
    ctx: ReleaseContext, current: VersionedPointer, listed: Sequence[Listing] | None = None
) -> tuple[str | None, Decision]:
    """The release that would go live if nothing held promotion, and the decision on it. `listed` as in `next_candidate`."""
    active = active_of(ctx, current)
    assert active is not None
    return next_candidate(ctx, replace(active, held=None, hand_edited=False), listed)
