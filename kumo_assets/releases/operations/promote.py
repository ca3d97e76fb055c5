"""Promotion: find the release that should go live, ask the decision with fresh eyes, try it, move the pointer.

Shared by the sensor (`next_promotion`), the pointer asset and the command line (`promote`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Forced, Pointer

from kumo_assets.documents import Forcing, utc_now
from kumo_assets.errors import ConfigError, GateBlocked, Refused
from kumo_assets.pointers.limits import check_texts
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Active, Decision, decide
from kumo_assets.releases.evidence import active_of, candidate_of, put_back, served_release, with_table
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.operations.move import move_pointer, must_have_room, refusals_recorded
from kumo_assets.releases.operations.reconcile import record_quietly
from kumo_assets.releases.operations.target import pointer_to, try_lookups

# Of the newest candidates everything is read anew each time; of those behind them, which the sensor would read again every
# few seconds, the verdicts that the seal has frozen are read once.
READ_ANEW = 20


@dataclass(frozen=True)
class Promotion:
    """What came of it: the pointer as it is now, whether this call moved it, where it is, and a sentence."""

    pointer: Pointer
    moved: bool
    where: str
    message: str


def next_promotion(
    ctx: ReleaseContext, current: VersionedPointer | None = None, listed: Sequence[Listing] | None = None
) -> tuple[str | None, Decision]:
    """The release that should go live next, and the decision on it; (None, why) when there is none. `listed` as in
    `next_candidate`."""
    current = current or ctx.pointers.read()
    release, decision = next_candidate(ctx, active_of(ctx, current), listed)
    return release, _unless_put_back(ctx, current, decision) if decision.outcome == "promote" else decision


def next_candidate(
    ctx: ReleaseContext, active: Active | None, listed: Sequence[Listing] | None = None
) -> tuple[str | None, Decision]:
    """The newest release that may follow `active`, and the decision on it. Without one, what stops the newest that comes
    after it; (None, why) when none does.

    Looks at releases of the active partition and later, newest first; one that is blocked, or whose table is gone, does
    not hide an older one that is still newer than the active. In the usual case, nothing new, this is one listing; none
    where the caller has `listed` at least the active partition and later ones already.
    """
    newest: tuple[str, Decision] | None = None
    for position, item in enumerate(_newer_sealed(ctx, active, listed)):
        release = item.release_id
        remembered = position >= READ_ANEW
        candidate = candidate_of(ctx, release, item, frozen=remembered)
        decision = decide(candidate, active)
        if decision.outcome == "promote" and remembered:
            candidate = candidate_of(ctx, release)
            decision = decide(candidate, active)
        if decision.outcome == "promote":
            decision = decide(with_table(ctx, candidate), active)
        if decision.outcome == "promote":
            return release, decision
        newest = newest or (release, decision)
        if active is not None and (active.held or active.hand_edited) and decision.outcome == "refuse":
            return release, decision
    return newest or (None, Decision("wait", "no sealed release is newer than the active one"))


def _newer_sealed(ctx: ReleaseContext, active: Active | None, listed: Sequence[Listing] | None) -> list[Listing]:
    """Sealed releases that come after the active one, newest first; rejected and retired ones left out."""
    since = active.partition if active is not None else ""
    if listed is None:
        listed = ctx.store.listings(since or None)
    ordered = sorted(
        (item for item in listed if item.sealed and item.partition >= since), key=lambda item: item.order, reverse=True
    )
    newer = []
    for item in ordered:
        if active is not None and item.release_id == active.release_id:
            break
        if not item.rejected and not item.retired:
            newer.append(item)
    return newer


def promote(
    ctx: ReleaseContext, release: str | None, *, by: str, run_id: str = "", forced: str | None = None
) -> Promotion:
    """Put a release live: the named one, else the newest that may.

    `forced` is the reason for passing failed verdicts; it never passes rule 6, a hold, or an older partition. Raises
    GateBlocked, Refused (LostRace when somebody else was first), ReleaseError. A release that is active already is no
    error: nothing moves.
    """
    if forced is not None and (not forced.strip() or release is None):
        raise ConfigError(
            "force a promotion",
            to=ctx.query,
            found="no reason or no release",
            next="name the release, and give --reason TEXT",
        )
    check_texts("promote a release of", ctx.query, by=by, reason=forced)
    current = ctx.pointers.read()
    record_quietly(ctx, current)
    if release is None:
        release, decision = next_promotion(ctx, current)
    else:
        ctx.names.release_prefix(release)  # ConfigError for what is no release id
        candidate = with_table(ctx, candidate_of(ctx, release))
        decision = decide(candidate, active_of(ctx, current), forced=forced is not None)
        if decision.outcome == "promote":
            decision = _unless_put_back(ctx, current, decision)
    if decision.outcome == "wait" and current is not None and release in (None, served_release(ctx, current.pointer)):
        return Promotion(current.pointer, False, ctx.pointers.uri, decision.reason)
    if release is None:
        raise _refusal(ctx, release, decision)
    leaving = served_release(ctx, current.pointer) if current is not None else ""
    with refusals_recorded(ctx, "promote", by=by, run_id=run_id, from_release=leaving, to_release=release):
        if decision.outcome != "promote":
            raise _refusal(ctx, release, decision)
        return _go_live(ctx, release, current, leaving, by=by, run_id=run_id, forced=forced)


def _go_live(
    ctx: ReleaseContext,
    release: str,
    current: VersionedPointer | None,
    leaving: str,
    *,
    by: str,
    run_id: str,
    forced: str | None,
) -> Promotion:
    """Try the release, then move the pointer to it, from the one that it is `leaving`."""
    sealed = ctx.store.sealed(release)
    assert sealed is not None, "the decision promotes sealed releases only"
    must_have_room(ctx, current)
    try_lookups(ctx, sealed)
    now = utc_now()
    note = None
    if forced is not None:
        # Before the pointer moves: a forced release is never known good, even if this process dies next.
        note = Forced(by=by, at=now, reason=forced)
        ctx.store.force(Forcing(query=ctx.query, release_id=release, at=now, by=by, reason=forced))
    moved = move_pointer(
        ctx,
        pointer_to(ctx, sealed, current, at=now, by=by, run_id=run_id, forced=note),
        current,
        action="force" if forced is not None else "promote",
        by=by,
        reason=forced or "",
        from_release=leaving,
        run_id=run_id,
        at=now,
    )
    message = f"{release} is live (generation {moved.pointer.generation}), after {leaving or 'nothing'}"
    if moved.warning:
        message += f". But: {moved.warning}"
    return Promotion(moved.pointer, True, ctx.pointers.uri, message)


def _unless_put_back(ctx: ReleaseContext, current: VersionedPointer | None, decision: Decision) -> Decision:
    """Rule 9 for a hand that left no trace in the document itself: an old one put back, or the pointer deleted."""
    reason = put_back(ctx, current)
    if reason is None:
        return decision
    following = (
        "kumo-assets unhold, once it has done its work"
        if current is not None
        else "kumo-assets rollback --to RELEASE puts one back"
    )
    return replace(decision, outcome="refuse", reason=f"{reason}; that counts as a hold", next=following)


def _refusal(ctx: ReleaseContext, release: str | None, decision: Decision) -> KumoAssetsError:
    """The error that says why it is not promoted."""
    kind = GateBlocked if decision.outcome == "blocked" else Refused
    what = f"{release} of {ctx.query}" if release is not None else f"a release of {ctx.query}"
    return kind("promote", to=what, found=decision.reason, next=decision.next)
