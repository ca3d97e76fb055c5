"""Promotion: find the release that should go live, ask the decision with fresh eyes, try it, move the pointer.

Shared by the sensor (`next_promotion`), the pointer asset and the command line (`promote`).
"""

from __future__ import annotations

from dataclasses import dataclass

from kumo_serving.pointer import Forced, Hold, KeyAttribute, Pointer, Previous, Promoted

from kumo_assets.errors import ConfigError, GateBlocked, Refused, ReleaseError
from kumo_assets.releases.decision import Decision, decide
from kumo_assets.releases.documents import Forcing, LedgerEntry, utc_now
from kumo_assets.releases.operations.outside import Outside, active_of, candidate_of
from kumo_assets.releases.pointers import VersionedPointer
from kumo_assets.releases.store import SealedRelease

MOST_PREVIOUS = 10
# Newer partitions than the active one that are looked at for one that may go live.
MOST_CANDIDATES = 20


@dataclass(frozen=True)
class Promotion:
    """What came of it: the pointer that stands, whether this call moved it, where it is, and a sentence."""

    pointer: Pointer
    moved: bool
    where: str
    words: str


def next_promotion(world: Outside, found: VersionedPointer | None = None) -> tuple[str | None, Decision]:
    """The release that should go live next, and the decision on it; without looking at its table (the promotion does).

    Looks at releases of the active partition and later, newest first; one that is blocked or rejected does not hide an
    older one that is still newer than the active. (None, why) when there is nothing to promote.
    """
    found = found or world.pointers.read()
    active = active_of(world, found)
    listed = world.store.listings(active.partition if active is not None and active.partition else None)
    ordered = sorted(
        (item for item in listed if item.sealed and not item.rejected and not item.retired),
        key=lambda item: (item.release_id[:8], item.sealed_at or "", item.release_id),
        reverse=True,
    )
    first: Decision | None = None
    for item in ordered[:MOST_CANDIDATES]:
        if active is not None and item.release_id == active.release_id:
            break
        decision = decide(candidate_of(world, item.release_id, look_at_table=False), active)
        if decision.outcome in ("promote", "refuse"):
            return item.release_id, decision
        first = first or decision
    return None, first or Decision("wait", "no sealed release is newer than the active one")


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
        if release is None:
            if found is not None and decision.outcome == "wait":
                return Promotion(found.pointer, False, world.pointers.uri, decision.reason)
            _raise(world, "a release", decision, by, run_id, found)
            raise AssertionError("unreachable")
    decision = decide(
        candidate_of(world, release, look_at_table=True), active_of(world, found), forced=forced is not None
    )
    if decision.outcome == "wait" and found is not None and found.pointer.served_release_id == release:
        return Promotion(found.pointer, False, world.pointers.uri, decision.reason)
    if decision.outcome != "promote":
        _raise(world, release, decision, by, run_id, found)
    sealed = world.store.sealed(release)
    assert sealed is not None, "the decision promotes sealed releases only"
    try_lookups(world, sealed)
    now = utc_now()
    if forced is not None:
        # Before the pointer moves: a forced release is never known good, even if this process dies next.
        world.store.force(Forcing(query=world.query, release_id=release, at=now, by=by, reason=forced))
    pointer = pointer_to(
        world,
        sealed,
        found,
        by=by,
        run_id=run_id,
        forced=Forced(by=by, at=now, reason=forced) if forced is not None else None,
    )
    written = world.pointers.write(pointer, found.version if found is not None else None)
    leaving = found.pointer.served_release_id if found is not None else ""
    world.ledger.append(
        LedgerEntry(
            query=world.query,
            at=now,
            action="force" if forced is not None else "promote",
            by=by,
            reason=forced or "",
            from_release=leaving,
            to_release=release,
            generation=pointer.generation,
            run_id=run_id,
        )
    )
    copy_plain_text(world, written.pointer)
    return Promotion(
        written.pointer,
        True,
        world.pointers.uri,
        f"{release} is live (generation {pointer.generation}), after {leaving or 'nothing'}",
    )


def pointer_to(
    world: Outside,
    sealed: SealedRelease,
    found: VersionedPointer | None,
    *,
    by: str,
    run_id: str,
    forced: Forced | None = None,
    hold: Hold | None = None,
) -> Pointer:
    """The pointer document that names `sealed`, following the one that stands."""
    previous: tuple[Previous, ...] = ()
    generation = 1
    if found is not None:
        old = found.pointer
        generation = old.generation + 1
        leaving = Previous(old.served_release_id, old.served_partition, old.table, old.served_fallback)
        kept = [item for item in (leaving, *old.previous) if item.table != sealed.seal.table]
        previous = tuple(dict.fromkeys(kept))[:MOST_PREVIOUS]
    return Pointer(
        query=world.query,
        environment=world.store.names.environment,
        generation=generation,
        release_id=sealed.release_id,
        partition=sealed.seal.partition,
        table=sealed.seal.table,
        region=sealed.seal.region,
        key=KeyAttribute(**sealed.seal.key),
        item_format=sealed.seal.item_format,
        fallback=sealed.seal.fallback,
        releases=world.store.names.releases_uri,
        promoted=Promoted(at=utc_now(), by=by, run_id=run_id),
        previous=previous,
        hold=hold,
        forced=forced,
    )


def try_lookups(world: Outside, sealed: SealedRelease) -> None:
    """Read the sampled items of a release through the reader that services use; ReleaseError when one differs.

    Items are compared byte for byte by the import's verdict already; this proves that a reader gets an answer at all.
    """
    from kumo_serving import Answer, TableReader

    opened = world.store.opened(sealed.release_id)
    home = world.store.home(opened, "dynamodb_table") if opened is not None else sealed.release_id
    artefact = world.store.artefact(home, "dynamodb_table")
    sample = [item["entity"] for item in artefact.details.get("sample", [])] if artefact is not None else []
    if not sample:
        raise ReleaseError(
            "try the table of",
            to=sealed.release_id,
            found="its record names no sampled items",
            next="build a new release",
        )
    reader = TableReader(
        sealed.seal.table,
        key=KeyAttribute(**sealed.seal.key),
        item_format=sealed.seal.item_format,
        region=sealed.seal.region,
    )
    try:
        outcomes = reader.get_many(list(sample))
    finally:
        reader.close()
    wrong = [entity for entity in sample if not isinstance(outcomes.get(entity), Answer)]
    if wrong:
        raise ReleaseError(
            "try the table of",
            to=sealed.release_id,
            found=f"{len(wrong)} of {len(sample)} trial lookups got no answer; {wrong[0]}: {outcomes.get(wrong[0])}",
            next="look at the table in the DynamoDB console; the pointer was not moved",
        )


def copy_plain_text(world: Outside, pointer: Pointer) -> None:
    """The table's name alone, for the simplest service: derived, written after the document, by nobody else."""
    if not world.definition.spec.pointer.plain_text_copy:
        return
    names = world.store.names
    world.store.s3.put_object(
        Bucket=names.bucket, Key=names.pointer_text_key, Body=pointer.table.encode(), ContentType="text/plain"
    )


def _raise(
    world: Outside, release: str, decision: Decision, by: str, run_id: str, found: VersionedPointer | None
) -> None:
    """Record the refusal and raise it."""
    world.ledger.append(
        LedgerEntry(
            query=world.query,
            at=utc_now(),
            action="refuse",
            by=by,
            reason=decision.reason,
            from_release=found.pointer.served_release_id if found is not None else "",
            to_release=release if release != "a release" else "",
            generation=found.pointer.generation if found is not None else 0,
            run_id=run_id,
        )
    )
    kind = GateBlocked if decision.outcome == "blocked" else Refused
    raise kind("promote", to=f"{release} of {world.query}", found=decision.reason, next=decision.next)
