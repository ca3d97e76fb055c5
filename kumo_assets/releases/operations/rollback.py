"""Rollback: back to a known good release by one command, with Snowflake, Kumo and Dagster all down.

It verifies the target (table ACTIVE, seal whole, sample reads), rejects the release it leaves, then moves the pointer and
places a hold in the same compare-and-set. It works from a damaged or deleted pointer too: then the ledger says what was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from kumo_serving.pointer import MAX_PREVIOUS, Hold, Pointer, Previous, partition_of_release

from kumo_assets.config.query import Table
from kumo_assets.documents import Rejection, utc_now
from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.pointers.document import RawPointer, VersionedPointer
from kumo_assets.pointers.limits import check_texts
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Active, Candidate, Decision, decide
from kumo_assets.releases.evidence import active_of, candidate_of, past, served_release
from kumo_assets.releases.holds import of_others, with_holds, written_holds
from kumo_assets.releases.moves import faults_of, known_moves, missing_from, read_or_raw
from kumo_assets.releases.operations.move import move_pointer, refusals_recorded
from kumo_assets.releases.operations.reconcile import record_quietly
from kumo_assets.releases.operations.target import next_generation, pointer_to, try_lookups, usable
from kumo_assets.releases.store import SealedRelease
from kumo_assets.resources.dynamodb import tables

# Only that the table is ACTIVE here: at 3 a.m. a cold table or a replica that lags is better than what is being left.
ENOUGH = Table()


@dataclass(frozen=True)
class Rollback:
    """What was left ("" when nobody could tell), the pointer as it is now, where it is, and sentences for a person."""

    left: str
    pointer: Pointer
    where: str
    message: str


def rollback(ctx: ReleaseContext, *, by: str, reason: str, to: str | None = None, run_id: str = "") -> Rollback:
    """Go back to `to`, else to the newest earlier known good release.

    Raises ConfigError without a reason; Refused when held by an earlier rollback and no target is named, or the target
    is not known good; LostRace; ReleaseError when the target's sampled items are not answered. Then nothing moved.
    """
    check_texts("roll back", ctx.query, by=by, reason=reason)
    existing = read_or_raw(ctx)
    # A damaged one will be replaced as a whole.
    found = existing if isinstance(existing, VersionedPointer) else None
    record_quietly(ctx, existing)
    leaving = served_release(ctx, found.pointer) if found is not None else ""
    with refusals_recorded(ctx, "rollback", by=by, run_id=run_id, from_release=leaving, to_release=to or ""):
        return _roll_back(ctx, existing, found, by=by, reason=reason, to=to, run_id=run_id)


def _roll_back(
    ctx: ReleaseContext,
    existing: VersionedPointer | RawPointer | None,
    found: VersionedPointer | None,
    *,
    by: str,
    reason: str,
    to: str | None,
    run_id: str,
) -> Rollback:
    if to is None:
        _must_not_be_held(ctx, found)
    leaving = _left_release(ctx, existing, found)
    active = active_of(ctx, found)
    target, decision = (
        _named(ctx, found, active, to) if to is not None else _newest_known_good(ctx, found, active, leaving)
    )
    if target is None:
        raise _refused(ctx, to, decision)
    if leaving == target.release_id and found is not None:
        # A person put it there by hand already: what is left, and rejected, is what that edit left.
        leaving = _left_by_hand(ctx, found, target.release_id)
    try_lookups(ctx, target)
    now = utc_now()
    if leaving:
        # First: from here on it can never come back by itself, even if this process dies before the pointer moves.
        ctx.store.reject(Rejection(query=ctx.query, release_id=leaving, at=now, by=by, reason=reason))
    note = Hold(by=by, at=now, reason=reason, from_release=leaving, to_release=target.release_id)
    # A hand edit is answered by this: what it put live is left, or becomes regular. Holds that were placed are not.
    others = of_others(written_holds(found.pointer), by) if found is not None else ()
    pointer = pointer_to(
        ctx,
        target,
        found,
        at=now,
        by=by,
        run_id=run_id,
        generation=next_generation(ctx, existing),
        previous=None if found is not None else _previous_told(ctx, target),
    )
    moved = move_pointer(
        ctx,
        with_holds(pointer, (*others, note)),
        existing,
        action="rollback",
        by=by,
        reason=reason,
        from_release=leaving,
        run_id=run_id,
        at=now,
    )
    left = leaving or (f"table {found.pointer.table}" if found is not None else "an unreadable pointer")
    message = (
        f"{target.release_id} (partition {target.seal.partition}) is live again, after {left}"
        f"{', which is rejected' if leaving else ''}. Promotion is on hold until `kumo-assets unhold {ctx.query}`"
        f"{', and until those of ' + ', '.join(sorted({one.by for one in others})) + ' end too' if others else ''}"
    )
    if moved.warning:
        message += f". But: {moved.warning}"
    return Rollback(leaving, moved.pointer, ctx.pointers.uri, message)


def _must_not_be_held(ctx: ReleaseContext, found: VersionedPointer | None) -> None:
    """A second rollback must say where to: by default it would leave what the first one chose."""
    if found is None:
        return
    rolled_back = [hold for hold in written_holds(found.pointer) if hold.to_release]
    if rolled_back:
        hold = rolled_back[-1]
        stopped = (
            f"{hold.by} rolled back from {hold.from_release or 'an unreadable pointer'} to {hold.to_release} at {hold.at}"
            f" ({hold.reason})"
        )
    elif found.hand_edited:
        stopped = f"the pointer was edited by hand to {found.pointer.table}"
    else:
        return
    raise Refused(
        "roll back",
        to=ctx.query,
        found=f"it is on hold already: {stopped}",
        next=f"name the target, if you want another: kumo-assets rollback {ctx.query} --to RELEASE --reason TEXT",
    )


def _left_release(
    ctx: ReleaseContext, existing: VersionedPointer | RawPointer | None, found: VersionedPointer | None
) -> str:
    if found is not None:
        return served_release(ctx, found.pointer)
    # Damaged or deleted: nobody can say that the release it named was bad, so none is rejected.
    if existing is None and not ctx.ledger.names_since():
        raise Refused(
            "roll back",
            to=ctx.query,
            found="nothing has been promoted yet",
            next=f"kumo-assets promote {ctx.query}",
        )
    return ""


def _left_by_hand(ctx: ReleaseContext, found: VersionedPointer, target: str) -> str:
    """The release that a hand edit to `target` left: the one the document still names, or the last one moved to. A person
    can have typed any text in its place."""
    if found.pointer.release_id != target and partition_of_release(found.pointer.release_id):
        return found.pointer.release_id
    last = [entry.to_release for entry in known_moves(ctx, found) if entry.to_release][-1:]
    return next((release for release in last if release != target and partition_of_release(release)), "")


def _candidate(ctx: ReleaseContext, found: VersionedPointer | None, release: str, *, was_active: bool) -> Candidate:
    """The evidence about a target, its table looked at with a rollback's lesser demands."""
    candidate = candidate_of(ctx, release)
    fault = None
    if candidate.sealed is not None and not candidate.rejected and not candidate.retired and not candidate.damaged:
        fault = tables.fault(
            tables.describe(ctx.dynamodb_in(candidate.sealed.seal.region), candidate.sealed.seal.table), ENOUGH
        )
    forced = candidate.forced and _went_live_by_force(ctx, found, release)
    return replace(candidate, table_fault=fault, forced=forced, was_active=was_active)


def _went_live_by_force(ctx: ReleaseContext, found: VersionedPointer | None, release: str) -> bool:
    """`forced.json` is written before the pointer moves, and that move may have lost its race: the ledger knows. One that
    is down, lost moves, or has an entry that cannot be read, proves nothing."""
    try:
        names = ctx.ledger.names_since()
        recorded = ctx.ledger.read(names)
    except ReleaseError:
        return True
    known = [*recorded, *missing_from(recorded, ctx.query, found)]
    forced = any(record.entry.action == "force" and record.entry.to_release == release for record in known)
    return forced or len(recorded) < len(names) or bool(faults_of(known, found).holes)


def _named(
    ctx: ReleaseContext, found: VersionedPointer | None, active: Active | None, release: str
) -> tuple[SealedRelease | None, Decision]:
    ctx.names.release_prefix(release)  # ConfigError for what is no release id
    was_active = release in _named_in(found) or release in _told_by_ledger(ctx, found)
    candidate = _candidate(ctx, found, release, was_active=was_active)
    decision = decide(candidate, active, rollback=True)
    return (candidate.sealed if decision.outcome == "promote" else None), decision


def _newest_known_good(
    ctx: ReleaseContext, found: VersionedPointer | None, active: Active | None, leaving: str
) -> tuple[SealedRelease | None, Decision]:
    """The newest release before the one that is left that is known good, and the decision on it, or on the last tried."""
    orders = {item.release_id: item.order for item in ctx.store.listings() if item.sealed}
    left = orders.get(leaving)
    decision = Decision("refuse", "no earlier known good release is left", f"kumo-assets releases {ctx.query}")
    known = (_named_in(found) | _told_by_ledger(ctx, found)) & orders.keys()
    for release in sorted(known, key=orders.__getitem__, reverse=True):
        if left is not None and orders[release] >= left:
            continue
        candidate = _candidate(ctx, found, release, was_active=True)
        tried = decide(candidate, active, rollback=True)
        if tried.outcome == "promote":
            return candidate.sealed, tried
        if release != leaving:
            decision = replace(
                decision, reason=f"no earlier known good release is left; the last tried: {tried.reason}"
            )
    return None, decision


def _named_in(found: VersionedPointer | None) -> set[str]:
    return {item.release_id for item in found.pointer.previous if item.release_id} if found is not None else set()


def _told_by_ledger(ctx: ReleaseContext, found: VersionedPointer | None) -> set[str]:
    return {entry.to_release for entry in known_moves(ctx, found) if entry.to_release}


def _previous_told(ctx: ReleaseContext, target: SealedRelease) -> tuple[Previous, ...]:
    """`previous` when the pointer that stood cannot say: the last active releases by the ledger, newest first."""
    told: dict[str, Previous] = {}
    for entry in reversed(ctx.ledger.moves()):
        release = entry.to_release
        if not release or release == target.release_id or release in told or len(told) == MAX_PREVIOUS:
            continue
        sealed = past([], partial(ctx.store.sealed, release))
        if sealed is None or not usable(ctx, release):
            continue
        told[release] = Previous(release, sealed.seal.partition, sealed.seal.table, sealed.seal.fallback)
    return tuple(told.values())


def _refused(ctx: ReleaseContext, to: str | None, decision: Decision) -> Refused:
    what = f"{ctx.query} to {to}" if to else ctx.query
    following = decision.next or f"kumo-assets releases {ctx.query} lists what there is"
    return Refused("roll back", to=what, found=decision.reason, next=following)
