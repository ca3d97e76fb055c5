"""Holds: stop automatic promotion, and lift that again. A hold lives in the pointer, so it moves by compare-and-set too."""

from __future__ import annotations

from dataclasses import dataclass

from kumo_serving.pointer import Hold, Pointer, Previous, Promoted, partition_of_release

from kumo_assets.errors import Refused
from kumo_assets.releases.decision import decide
from kumo_assets.releases.documents import LedgerEntry, utc_now
from kumo_assets.releases.operations.outside import Outside, active_of, candidate_of
from kumo_assets.releases.pointers import VersionedPointer


@dataclass(frozen=True)
class Unholding:
    """What lifting a hold would do: the release that goes live next, None when nothing waits."""

    found: VersionedPointer
    next_release: str | None
    words: str


def hold(world: Outside, *, by: str, reason: str) -> Pointer:
    """Stop automatic promotion. Refused when there is no pointer, or a hold stands already."""
    found = _pointer(world, "hold promotions of")
    if found.pointer.hold is not None and not found.hand_edited:
        standing = found.pointer.hold
        raise Refused(
            "hold promotions of",
            to=world.query,
            found=f"{standing.by} holds since {standing.at}: {standing.reason}",
            next="kumo-assets unhold, if that one is over",
        )
    note = Hold(
        by=by,
        at=utc_now(),
        reason=reason,
        from_release=found.pointer.served_release_id,
        to_release=found.pointer.served_release_id,
    )
    written = world.pointers.write(
        settled(found).replace(generation=found.pointer.generation + 1, hold=note), found.version
    )
    _record(world, "hold", by, reason, written.pointer)
    return written.pointer


def preview_unhold(world: Outside) -> Unholding:
    """What goes live next once the hold is lifted; nothing is changed. Refused when there is nothing to lift."""
    found = _pointer(world, "lift the hold on")
    if found.pointer.hold is None and not found.hand_edited:
        raise Refused("lift the hold on", to=world.query, found="there is no hold", next="kumo-assets status")
    release = _next_without_hold(world, found)
    words = f"{release} goes live next" if release else "nothing waits; the active release stays"
    return Unholding(found, release, words)


def unhold(world: Outside, preview: Unholding, *, by: str) -> Pointer:
    """Lift the hold that `preview` saw. LostRace when the pointer moved since: what goes live might be another."""
    pointer = settled(preview.found).replace(generation=preview.found.pointer.generation + 1, hold=None)
    written = world.pointers.write(pointer, preview.found.version)
    _record(world, "unhold", by, preview.words, written.pointer)
    return written.pointer


def settled(found: VersionedPointer) -> Pointer:
    """The pointer as it would be had we written it: a hand-edited table's own release, partition and history."""
    pointer = found.pointer
    if not pointer.edited:
        return pointer
    left = Previous(pointer.release_id, pointer.partition, "", pointer.fallback)
    known = tuple(item for item in pointer.previous if item.table != pointer.table)
    release = pointer.served_release_id
    return pointer.replace(
        release_id=release,
        partition=pointer.served_partition or partition_of_release(release),
        fallback=pointer.served_fallback,
        previous=known if not left.table else (left, *known),
        forced=None,
        promoted=Promoted(at=utc_now(), by="a hand edit"),
    )


def _next_without_hold(world: Outside, found: VersionedPointer) -> str | None:
    """The release the sensor would promote at its next tick if nothing were held."""
    active = active_of(world, VersionedPointer(settled(found).replace(hold=None), found.version, hand_edited=False))
    assert active is not None
    for item in reversed(world.store.listings(active.partition or None)):
        if not item.sealed or item.rejected or item.retired:
            continue
        if decide(candidate_of(world, item.release_id, look_at_table=False), active).outcome == "promote":
            return item.release_id
    return None


def _pointer(world: Outside, doing: str) -> VersionedPointer:
    found = world.pointers.read()
    if found is None:
        raise Refused(
            doing,
            to=world.query,
            found="nothing is active yet",
            next="kumo-assets promote, or wait for the first release",
        )
    return found


def _record(world: Outside, action: str, by: str, reason: str, pointer: Pointer) -> None:
    world.ledger.append(
        LedgerEntry(
            query=world.query,
            at=utc_now(),
            action=action,  # type: ignore[arg-type]
            by=by,
            reason=reason,
            from_release=pointer.served_release_id,
            to_release=pointer.served_release_id,
            generation=pointer.generation,
        )
    )
