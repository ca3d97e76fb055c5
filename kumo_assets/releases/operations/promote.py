"""Promotion: find the release that should go live, ask the decision with fresh eyes, try it, move the pointer.

Shared by the sensor (`next_promotion`), the pointer asset and the command line (`promote`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Forced, Pointer

from kumo_assets.errors import ConfigError, GateBlocked, Refused
from kumo_assets.releases.decision import Decision, decide
from kumo_assets.releases.documents import Forcing, utc_now
from kumo_assets.releases.operations.move import move_pointer, refusals_recorded
from kumo_assets.releases.operations.outside import Outside, active_of, candidate_of, put_back, with_table
from kumo_assets.releases.operations.target import pointer_to, try_lookups
from kumo_assets.releases.pointers import VersionedPointer
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


def newer_sealed(world: Outside, found: VersionedPointer | None, partition: str) -> list[Listing]:
    """Sealed releases that come after the active one, newest first; rejected and retired ones left out."""
    served = found.pointer.served_release_id if found is not None else ""
    ordered = sorted(
        (item for item in world.store.listings(partition or None) if item.sealed),
        key=lambda item: (item.release_id[:8], item.sealed_at or "", item.release_id),
        reverse=True,
    )
    newer = []
    for item in ordered:
        if item.release_id == served:
            break
        if not item.rejected and not item.retired:
            newer.append(item)
    return newer


def next_promotion(world: Outside, found: VersionedPointer | None = None) -> tuple[str | None, Decision]:
    """The release that should go live next, and the decision on it; (None, why) when there is none.

    Looks at releases of the active partition and later, newest first; one that is blocked, or whose table is gone, does
    not hide an older one that is still newer than the active. In the usual case, nothing new, this is one listing.
    """
    found = found or world.pointers.read()
    active = active_of(world, found)
    first: tuple[str, Decision] | None = None
    for item in newer_sealed(world, found, active.partition if active is not None else "")[:MOST_CANDIDATES]:
        release = item.release_id
        candidate = candidate_of(world, release)
        decision = decide(candidate, active)
        if decision.outcome == "promote":
            decision = decide(with_table(world, candidate), active)
        if decision.outcome == "promote":
            return release, _unless_put_back(world, found, decision)
        first = first or (release, decision)
        if active is not None and (active.held or active.hand_edited) and decision.outcome == "refuse":
            return release, decision
    return first or (None, Decision("wait", "no sealed release is newer than the active one"))


def promote(world: Outside, release: str | None, *, by: str, run_id: str = "", forced: str | None = None) -> Promotion:
    """Put a release live: the named one, else the newest that may.

    `forced` is the reason for passing failed verdicts; it never passes rule 6, a hold, or an older partition. Raises
    GateBlocked, Refused (LostRace when somebody else was first), ReleaseError. A release that is active already is no
    error: nothing moves.
    """
    if forced is not None and (not forced.strip() or release is None):
        raise ConfigError(
            "force a promotion",
            to=world.query,
            found="no reason or no release",
            next="name the release, and give --reason TEXT",
        )
    found = world.pointers.read()
    if release is None:
        release, decision = next_promotion(world, found)
    else:
        candidate = with_table(world, candidate_of(world, release))
        decision = decide(candidate, active_of(world, found), forced=forced is not None)
        if decision.outcome == "promote":
            decision = _unless_put_back(world, found, decision)
    if decision.outcome == "wait" and found is not None and release in (None, found.pointer.served_release_id):
        return Promotion(found.pointer, False, world.pointers.uri, decision.reason)
    if release is None:
        raise _refusal(world, release, decision)
    leaving = found.pointer.served_release_id if found is not None else ""
    with refusals_recorded(world, "promote", by=by, run_id=run_id, from_release=leaving, to_release=release):
        if decision.outcome != "promote":
            raise _refusal(world, release, decision)
        return _go_live(world, release, found, leaving, by=by, run_id=run_id, forced=forced)


def _go_live(
    world: Outside,
    release: str,
    found: VersionedPointer | None,
    leaving: str,
    *,
    by: str,
    run_id: str,
    forced: str | None,
) -> Promotion:
    """Try the release, then move the pointer to it, from the one that it is `leaving`."""
    sealed = world.store.sealed(release)
    assert sealed is not None, "the decision promotes sealed releases only"
    try_lookups(world, sealed)
    now = utc_now()
    note = None
    if forced is not None:
        # Before the pointer moves: a forced release is never known good, even if this process dies next.
        note = Forced(by=by, at=now, reason=forced)
        world.store.force(Forcing(query=world.query, release_id=release, at=now, by=by, reason=forced))
    moved = move_pointer(
        world,
        pointer_to(world, sealed, found, at=now, by=by, run_id=run_id, forced=note),
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
        moved.pointer, True, world.pointers.uri, words + (f". But: {moved.trouble}" if moved.trouble else "")
    )


def _unless_put_back(world: Outside, found: VersionedPointer | None, decision: Decision) -> Decision:
    """Rule 9 for a hand that left no trace in the document itself: an old one put back, or the pointer deleted."""
    words = put_back(world, found)
    if words is None:
        return decision
    following = (
        "kumo-assets unhold, once it has done its work"
        if found is not None
        else "kumo-assets rollback --to RELEASE puts one back"
    )
    return replace(decision, outcome="refuse", reason=f"{words}; that counts as a hold", next=following)


def _refusal(world: Outside, release: str | None, decision: Decision) -> KumoAssetsError:
    """The error that says why it is not promoted."""
    kind = GateBlocked if decision.outcome == "blocked" else Refused
    what = f"{release} of {world.query}" if release is not None else f"a release of {world.query}"
    return kind("promote", to=what, found=decision.reason, next=decision.next)
