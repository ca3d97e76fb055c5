"""Promotion: find the release that should go live, ask the decision with fresh eyes, try it, move the pointer.

Shared by the sensor (`next_promotion`), the pointer asset and the command line (`promote`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Forced, Pointer

from kumo_assets.documents import Forcing, utc_now
from kumo_assets.errors import ConfigError, GateBlocked, Refused
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision, decide
from kumo_assets.releases.evidence import active_of, candidate_of, put_back, with_table
from kumo_assets.releases.operations.move import move_pointer, refusals_recorded
from kumo_assets.releases.operations.target import pointer_to, try_lookups
from kumo_assets.releases.store import Listing

# Newer partitions than the active one that are looked at for one that may go live.
MOST_CANDIDATES = 20


@dataclass(frozen=True)
class Promotion:
    """What came of it: the pointer that stands, whether this call moved it, where it is, and a sentence."""

    pointer: Pointer
    moved: bool
    where: str
    words: str


def newer_sealed(ctx: ReleaseContext, found: VersionedPointer | None, partition: str) -> list[Listing]:
    """Sealed releases that come after the active one, newest first; rejected and retired ones left out."""
    served = found.pointer.served_release_id if found is not None else ""
    ordered = sorted(
        (item for item in ctx.store.listings(partition or None) if item.sealed),
        key=lambda item: item.order,
        reverse=True,
    )
    newer = []
    for item in ordered:
        if item.release_id == served:
            break
        if not item.rejected and not item.retired:
            newer.append(item)
    return newer


def next_promotion(ctx: ReleaseContext, found: VersionedPointer | None = None) -> tuple[str | None, Decision]:
    """The release that should go live next, and the decision on it; (None, why) when there is none.

    Looks at releases of the active partition and later, newest first; one that is blocked, or whose table is gone, does
    not hide an older one that is still newer than the active. In the usual case, nothing new, this is one listing.
    """
    found = found or ctx.pointers.read()
    active = active_of(ctx, found)
    first: tuple[str, Decision] | None = None
    for item in newer_sealed(ctx, found, active.partition if active is not None else "")[:MOST_CANDIDATES]:
        release = item.release_id
        candidate = candidate_of(ctx, release)
        decision = decide(candidate, active)
        if decision.outcome == "promote":
            decision = decide(with_table(ctx, candidate), active)
        if decision.outcome == "promote":
            return release, _unless_put_back(ctx, found, decision)
        first = first or (release, decision)
        if active is not None and (active.held or active.hand_edited) and decision.outcome == "refuse":
            return release, decision
    return first or (None, Decision("wait", "no sealed release is newer than the active one"))


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
    found = ctx.pointers.read()
    if release is None:
        release, decision = next_promotion(ctx, found)
    else:
        candidate = with_table(ctx, candidate_of(ctx, release))
        decision = decide(candidate, active_of(ctx, found), forced=forced is not None)
        if decision.outcome == "promote":
            decision = _unless_put_back(ctx, found, decision)
    if decision.outcome == "wait" and found is not None and release in (None, found.pointer.served_release_id):
        return Promotion(found.pointer, False, ctx.pointers.uri, decision.reason)
    if release is None:
        raise _refusal(ctx, release, decision)
    leaving = found.pointer.served_release_id if found is not None else ""
    with refusals_recorded(ctx, "promote", by=by, run_id=run_id, from_release=leaving, to_release=release):
        if decision.outcome != "promote":
            raise _refusal(ctx, release, decision)
        return _go_live(ctx, release, found, leaving, by=by, run_id=run_id, forced=forced)


def _go_live(
    ctx: ReleaseContext,
    release: str,
    found: VersionedPointer | None,
    leaving: str,
    *,
    by: str,
    run_id: str,
    forced: str | None,
) -> Promotion:
    """Try the release, then move the pointer to it, from the one that it is `leaving`."""
    sealed = ctx.store.sealed(release)
    assert sealed is not None, "the decision promotes sealed releases only"
    try_lookups(ctx, sealed)
    now = utc_now()
    note = None
    if forced is not None:
        # Before the pointer moves: a forced release is never known good, even if this process dies next.
        note = Forced(by=by, at=now, reason=forced)
        ctx.store.force(Forcing(query=ctx.query, release_id=release, at=now, by=by, reason=forced))
    moved = move_pointer(
        ctx,
        pointer_to(ctx, sealed, found, at=now, by=by, run_id=run_id, forced=note),
        found,
        action="force" if forced is not None else "promote",
        by=by,
        reason=forced or "",
        from_release=leaving,
        run_id=run_id,
        at=now,
    )
    words = f"{release} is live (generation {moved.pointer.generation}), after {leaving or 'nothing'}"
    return Promotion(
        moved.pointer, True, ctx.pointers.uri, words + (f". But: {moved.trouble}" if moved.trouble else "")
    )


def _unless_put_back(ctx: ReleaseContext, found: VersionedPointer | None, decision: Decision) -> Decision:
    """Rule 9 for a hand that left no trace in the document itself: an old one put back, or the pointer deleted."""
    words = put_back(ctx, found)
    if words is None:
        return decision
    following = (
        "kumo-assets unhold, once it has done its work"
        if found is not None
        else "kumo-assets rollback --to RELEASE puts one back"
    )
    return replace(decision, outcome="refuse", reason=f"{words}; that counts as a hold", next=following)


def _refusal(ctx: ReleaseContext, release: str | None, decision: Decision) -> KumoAssetsError:
    """The error that says why it is not promoted."""
    kind = GateBlocked if decision.outcome == "blocked" else Refused
    what = f"{release} of {ctx.query}" if release is not None else f"a release of {ctx.query}"
    return kind("promote", to=what, found=decision.reason, next=decision.next)
