"""Staging: the pointer names a release beside the active one, for a person to look at before they promote it.

What is served, and who holds promotion, stay as they are. A release is staged by the promotion decision itself, a hold
apart: looking is what a hold is for. The promotion sensor keeps the newest one staged where the query's promotion is
`manual`; a command stages any. Promotion and rollback clear it, for they write the document anew (`target.pointer_to`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kumo_serving.pointer import Pointer

from kumo_assets.errors import GateBlocked, Refused
from kumo_assets.pointers.limits import check_texts
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Active, Decision, decide
from kumo_assets.releases.evidence import active_of, candidate_of, put_back, with_table
from kumo_assets.releases.operations.hold import would_follow
from kumo_assets.releases.operations.move import Moved, move_pointer, must_have_room, refusals_recorded
from kumo_assets.releases.operations.reconcile import record_quietly
from kumo_assets.releases.operations.target import as_ours, next_generation, staged_of, still_staged, try_lookups

DOING = "stage a release of"


@dataclass(frozen=True)
class Staging:
    """The pointer as it is now, whether this call moved it, where it is, and a sentence."""

    pointer: Pointer
    moved: bool
    where: str
    message: str


def stage(ctx: ReleaseContext, release: str | None, *, by: str, run_id: str = "") -> Staging:
    """Stage a release: the named one, else the newest that may go live. One that is staged already moves nothing.

    Raises GateBlocked or Refused (LostRace when somebody else moved the pointer), ReleaseError when its sampled items are
    not answered; then nothing moved.
    """
    check_texts(DOING, ctx.query, by=by)
    if release is not None:
        ctx.names.release_prefix(release)  # ConfigError for what is no release id
    current = ctx.pointers.read()
    record_quietly(ctx, current)
    with refusals_recorded(ctx, "stage", by=by, run_id=run_id, to_release=release or ""):
        if current is None:
            found = put_back(ctx, None) or "nothing is active yet, and a staged release waits beside the active one"
            raise Refused(DOING, to=ctx.query, found=found, next=f"kumo-assets status {ctx.query}")
        in_the_way = _hand_on(ctx, current)
        if in_the_way is not None:
            following = f"kumo-assets unhold {ctx.query}, once the edit has done its work"
            raise Refused(DOING, to=ctx.query, found=in_the_way, next=following)
        wanted, decision = (release, _decision(ctx, current, release)) if release else would_follow(ctx, current)
        if wanted is None or decision.outcome != "promote":
            kind = GateBlocked if decision.outcome == "blocked" else Refused
            raise kind("stage", to=f"{wanted or 'a release'} of {ctx.query}", found=decision.reason, next=decision.next)
        if _is_staged(ctx, current, wanted):
            return Staging(current.pointer, False, ctx.pointers.uri, f"{wanted} is staged already")
        moved = _stage(ctx, current, wanted, by=by, run_id=run_id)
    message = (
        f"{wanted} is staged (generation {moved.pointer.generation}); {current.pointer.served_release_id} stays live"
    )
    if moved.warning:
        message += f". But: {moved.warning}"
    return Staging(moved.pointer, True, ctx.pointers.uri, message)


def keep_staged(ctx: ReleaseContext, current: VersionedPointer, *, by: str) -> VersionedPointer:
    """The pointer with the newest release staged that may go live, a hold apart; `current` when it is so already.

    What is staged and may not go live any more is taken back. Under a hand edit nothing moves, and a staging that a
    person took out of the document is not repeated while nothing else happens. Raises KumoAssetsError.
    """
    if _hand_on(ctx, current) is not None:
        return current
    staged = current.pointer.staged
    valid = staged is not None and _is_staged(ctx, current, staged.release_id)
    valid = valid and staged is not None and _by_its_documents(ctx, current, staged.release_id).outcome == "promote"
    release, decision = would_follow(ctx, current)
    if release is not None and decision.outcome == "promote" and release != _taken_out_by_hand(current):
        if not valid or _newer(ctx, release, staged.release_id if staged is not None else ""):
            must_have_room(ctx, current)
            return _stage(ctx, current, release, by=by).written
    elif staged is not None and not valid:
        must_have_room(ctx, current)
        pointer = as_ours(ctx, current, next_generation(ctx, current)).replace(staged=None)
        return move_pointer(
            ctx,
            pointer,
            current,
            action="retire",
            by=by,
            reason=f"{staged.release_id} is no longer staged: it may not go live any more",
            from_release=pointer.release_id,
            unstages=staged.release_id,
        ).written
    return current


def _stage(ctx: ReleaseContext, current: VersionedPointer, release: str, *, by: str, run_id: str = "") -> Moved:
    sealed = ctx.store.sealed(release)
    assert sealed is not None, "the decision lets sealed releases through only"
    must_have_room(ctx, current)
    try_lookups(ctx, sealed)
    pointer = as_ours(ctx, current, next_generation(ctx, current)).replace(staged=staged_of(sealed))
    return move_pointer(
        ctx,
        pointer,
        current,
        action="retire",
        by=by,
        reason=f"{release} is staged for a person's approval",
        from_release=pointer.release_id,
        run_id=run_id,
        stages=release,
    )


def _decision(ctx: ReleaseContext, current: VersionedPointer, release: str) -> Decision:
    return decide(with_table(ctx, candidate_of(ctx, release)), _free(ctx, current))


def _by_its_documents(ctx: ReleaseContext, current: VersionedPointer, release: str) -> Decision:
    """The decision but for the table, which may be busy for a moment: nothing is taken back for that."""
    return decide(candidate_of(ctx, release), _free(ctx, current))


def _free(ctx: ReleaseContext, current: VersionedPointer) -> Active:
    """What the decision wants to know of the pointer, without its holds."""
    active = active_of(ctx, current)
    assert active is not None
    return replace(active, held=None)


def _hand_on(ctx: ReleaseContext, current: VersionedPointer) -> str | None:
    """What a hand did to the pointer (rule 9): staging would make it regular."""
    if current.hand_edited:
        return f"the pointer was edited by hand to {current.pointer.table}"
    return put_back(ctx, current)


def _is_staged(ctx: ReleaseContext, current: VersionedPointer, release: str) -> bool:
    staged = still_staged(ctx, current.pointer)
    return staged is not None and staged.release_id == release


def _taken_out_by_hand(current: VersionedPointer) -> str | None:
    """The release that the document's own move staged, and that a person took out of it."""
    return current.move.stages if current.move is not None and current.pointer.staged is None else None


def _newer(ctx: ReleaseContext, release: str, than: str) -> bool:
    order, other = ctx.store.order_of(release), ctx.store.order_of(than)
    return order is not None and (other is None or order > other)
