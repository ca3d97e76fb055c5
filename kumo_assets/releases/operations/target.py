"""What a move points at: the pointer document that names a release, and the trial lookups that prove it answers.

It reads the ledger and the release store; writing the document is `move`'s.
"""

from __future__ import annotations

from kumo_serving.pointer import (
    MAX_GENERATION,
    MAX_PREVIOUS,
    Forced,
    Pointer,
    Previous,
    Promoted,
    Staged,
    partition_of_release,
)

from kumo_assets.documents import SampleDetails, moment_in, utc_text
from kumo_assets.errors import DamagedDocument, ReleaseError
from kumo_assets.pointers.document import RawPointer, VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import past
from kumo_assets.releases.holds import HAND
from kumo_assets.releases.ledger import is_move
from kumo_assets.releases.moves import carried_in
from kumo_assets.releases.store import SealedRelease


def pointer_to(
    ctx: ReleaseContext,
    sealed: SealedRelease,
    found: VersionedPointer | None,
    *,
    at: str,
    by: str,
    run_id: str,
    forced: Forced | None = None,
    generation: int | None = None,
    previous: tuple[Previous, ...] | None = None,
) -> Pointer:
    """The pointer document that names `sealed`, following the one that stands. `previous`, unless given, is that one's
    with what is left in front; a rejected release is left out, for a reader falls back to what stands there."""
    if previous is None:
        previous = previous_after(ctx, found, sealed.seal.table)
    if generation is None:
        generation = found.pointer.generation + 1 if found is not None else 1
    return Pointer(
        query=ctx.query,
        environment=ctx.names.environment,
        generation=generation,
        release_id=sealed.release_id,
        partition=sealed.seal.partition,
        table=sealed.seal.table,
        region=sealed.seal.region,
        key=sealed.seal.key,
        item_format=sealed.seal.item_format,
        fallback=sealed.seal.fallback,
        releases=ctx.names.releases_uri,
        promoted=Promoted(at=at, by=by, run_id=run_id),
        previous=previous[:MAX_PREVIOUS],
        forced=forced,
    )


def previous_after(ctx: ReleaseContext, found: VersionedPointer | None, table: str) -> tuple[Previous, ...]:
    """`previous` of a document that follows `found` and names `table`."""
    if found is None:
        return ()
    old = found.pointer
    leaving = Previous(old.served_release_id, old.served_partition, old.table, old.served_fallback)
    once = {item.table: item for item in reversed((leaving, *old.previous)) if item.table != table}
    return _to_fall_back_to(ctx, tuple(once.values())[::-1])


def _to_fall_back_to(ctx: ReleaseContext, items: tuple[Previous, ...]) -> tuple[Previous, ...]:
    """Those of `items` that a reader may be sent to. What stands in `previous` can have been rejected or retired since:
    a person who edits the pointer, or puts an old document back, may have named it again, and be rolled back from it."""
    return tuple(item for item in items if not item.release_id or usable(ctx, item.release_id))


def usable(ctx: ReleaseContext, release: str) -> bool:
    """True while a release is neither rejected nor retired, as far as its documents can be read."""
    damaged: list[DamagedDocument] = []
    marks = [
        past(damaged, read) for read in (lambda: ctx.store.rejection(release), lambda: ctx.store.retirement(release))
    ]
    return not damaged and not any(marks)


def as_ours(ctx: ReleaseContext, found: VersionedPointer, generation: int) -> Pointer:
    """The document that stands, told as we would have written it: a person's edit made regular. Its holds are kept.

    The table is never changed. One of no release of ours stays what it is, with no release named.
    """
    old = found.pointer
    waits = still_staged(ctx, old)
    if not found.hand_edited:
        return old.replace(generation=generation, staged=waits)
    sealed = past([], lambda: ctx.store.sealed(old.served_release_id))
    promoted = Promoted(at=utc_text(found.modified), by=HAND)
    if sealed is None or sealed.seal.table != old.table:
        return old.replace(
            environment=ctx.names.environment,
            generation=generation,
            release_id=old.served_release_id,
            partition=old.served_partition,
            fallback=old.served_fallback,
            releases=ctx.names.releases_uri,
            promoted=promoted if old.edited else old.promoted,
            staged=waits,
        )
    return pointer_to(
        ctx,
        sealed,
        None,
        at=promoted.at if old.edited else old.promoted.at,
        by=promoted.by if old.edited else old.promoted.by,
        run_id="" if old.edited else old.promoted.run_id,
        forced=None if old.edited else old.forced,
        generation=generation,
        previous=_previous_of_edit(ctx, old),
    ).replace(hold=old.hold, more_holds=old.more_holds, staged=waits)


def staged_of(sealed: SealedRelease) -> Staged:
    """What a pointer says of a release that is staged."""
    return Staged(
        release_id=sealed.release_id,
        partition=sealed.seal.partition,
        table=sealed.seal.table,
        region=sealed.seal.region,
        key=sealed.seal.key,
        item_format=sealed.seal.item_format,
        fallback=sealed.seal.fallback,
    )


def still_staged(ctx: ReleaseContext, pointer: Pointer) -> Staged | None:
    """What stays staged in a document that follows this one. What a person wrote there that no seal says, a release that
    was rejected or retired since, and one that is live by now are not carried on."""
    staged = pointer.staged
    if staged is None or staged.table == pointer.table or not partition_of_release(staged.release_id):
        return None
    sealed = past([], lambda: ctx.store.sealed(staged.release_id))
    whole = sealed is not None and staged_of(sealed) == staged and usable(ctx, staged.release_id)
    return staged if whole else None


def _previous_of_edit(ctx: ReleaseContext, old: Pointer) -> tuple[Previous, ...]:
    """`previous` of a document whose table was changed by hand: the release it still names was active before."""
    kept = _to_fall_back_to(ctx, tuple(item for item in old.previous if item.table != old.table))
    left = past([], lambda: ctx.store.sealed(old.release_id)) if old.edited else None
    if left is None or left.seal.table in (old.table, *(item.table for item in kept)):
        return kept
    item = Previous(left.release_id, left.seal.partition, left.seal.table, left.seal.fallback)
    return (*_to_fall_back_to(ctx, (item,)), *kept)


def next_generation(ctx: ReleaseContext, found: VersionedPointer | RawPointer | None) -> int:
    """One more than any generation there was: a person may have written a smaller one, or put an old document back. One
    that a person wrote and that leaves no room for a next counts for nothing."""
    since, written = None, 0
    if isinstance(found, VersionedPointer):
        since = moment_in(found.move.at if found.move is not None else found.pointer.promoted.at)
        written = found.pointer.generation
    entries = [record.entry for record in ctx.ledger.read(ctx.ledger.names_since(since))]
    entries += [entry for entry, _ in carried_in(ctx.query, found)]
    known = [written, *(entry.generation for entry in entries if is_move(entry))]
    return max((one for one in known if one < MAX_GENERATION), default=0) + 1


def try_lookups(ctx: ReleaseContext, sealed: SealedRelease) -> None:
    """Read the sampled items of a release through the reader that services use; ReleaseError when one gets no answer. It
    names an entity only where the definition says that entities may be shown.

    Items are compared byte for byte by the import's verdict already; this proves that a reader gets an answer at all.
    """
    opened = ctx.store.opened(sealed.release_id)
    home = ctx.store.home(opened, "dynamodb_table") if opened is not None else sealed.release_id
    artefact = ctx.store.artefact(home, "dynamodb_table")
    sample = [item.entity for item in artefact.details_as(SampleDetails).sample] if artefact is not None else []
    if not sample:
        raise ReleaseError(
            "try the table of",
            to=sealed.release_id,
            found="its record names no sampled items",
            next="build a new release",
        )
    wrong = ctx.trial(sealed.seal, sample)
    if wrong:
        entity, words = next(iter(wrong.items()))
        reason = f"{entity}: {words}"
        if ctx.definition is None or not ctx.definition.spec.show_entities:
            # The message of an error names the entity before the table, perhaps cut. That of a miss shows all of it.
            reason = words.partition(f" in {sealed.seal.table}: ")[2] or "the table holds nothing for it"
        raise ReleaseError(
            "try the table of",
            to=sealed.release_id,
            found=f"{len(wrong)} of {len(sample)} trial lookups got no answer; {reason}",
            next="look at the table in the DynamoDB console; the pointer was not moved",
        )
