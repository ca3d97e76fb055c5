"""What the promotion decision is made from: a release and its verdicts, the pointer, the table, each read now.

Reads only. The decision itself is in `decision`; acting on it is in `operations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from kumo_serving.pointer import Hold, Pointer, partition_of_release

from kumo_assets.config.names import owner_of
from kumo_assets.documents import utc_text
from kumo_assets.errors import DamagedDocument
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Active, Candidate
from kumo_assets.releases.holds import HAND, all_told, written_holds
from kumo_assets.releases.ledger import is_move
from kumo_assets.releases.listing import FORCED, Listing
from kumo_assets.resources.dynamodb import tables

T = TypeVar("T")


def candidate_of(
    ctx: ReleaseContext, release: str, listed: Listing | None = None, *, frozen: bool = False
) -> Candidate:
    """What the decision wants to know of a release, read now; `with_table` adds what its table lacks. A damaged document
    is read past, and named: the release it belongs to cannot go live. `listed` saves asking for what is rarely there;
    `frozen` goes by the verdicts of a sealed release as they were read before."""
    store = ctx.store
    damaged: list[DamagedDocument] = []
    unreadable: dict[str, DamagedDocument] = {}
    opened = past(damaged, lambda: store.opened(release))
    forcing = past(damaged, lambda: store.forcing(release)) if listed is None or FORCED in listed.files else None
    return Candidate(
        release_id=release,
        opened=opened,
        sealed=past(damaged, lambda: store.sealed(release)),
        verdicts=store.required_verdicts(opened, unreadable, once=frozen) if opened is not None else {},
        rejected=past(damaged, lambda: store.rejection(release)) is not None,
        retired=past(damaged, lambda: store.retirement(release)) is not None,
        forced=forcing is not None,
        damaged=damage(damaged[0]) if damaged else None,
        unreadable={gate: damage(error) for gate, error in unreadable.items()},
    )


def past(damaged: list[DamagedDocument], read: Callable[[], T | None]) -> T | None:
    """What `read` finds; None for a damaged document, which is added to `damaged`."""
    try:
        return read()
    except DamagedDocument as error:
        damaged.append(error)
        return None


def damage(error: DamagedDocument) -> str:
    """A damaged document, in a sentence's middle."""
    return f"{error.to} is damaged ({error.found})"


def with_table(ctx: ReleaseContext, candidate: Candidate) -> Candidate:
    """The same candidate, its table looked at."""
    if candidate.sealed is None:
        return candidate
    state = tables.describe(ctx.dynamodb_in(candidate.sealed.seal.region), candidate.sealed.seal.table)
    return replace(candidate, table_fault=tables.fault(state, ctx.table))


def served_release(ctx: ReleaseContext, pointer: Pointer) -> str:
    """The release of this query that the pointer serves; "" for a table of no release, or of another query, whose release
    may even have the same id."""
    owner = owner_of(pointer.table)
    ours = owner is None or (owner.environment, owner.query) == (ctx.names.environment, ctx.query)
    return pointer.served_release_id if ours else ""


def active_of(ctx: ReleaseContext, current: VersionedPointer | None) -> Active | None:
    """What the decision wants to know of the pointer."""
    if current is None:
        return None
    pointer = current.pointer
    release = served_release(ctx, pointer)
    return Active(
        release_id=release,
        partition=partition_of_release(release),
        generation=pointer.generation,
        order=ctx.store.order_of(release),
        held=all_told(written_holds(pointer)) or None,
        hand_edited=current.hand_edited,
    )


def holds_on(ctx: ReleaseContext, current: VersionedPointer) -> tuple[Hold, ...]:
    """Every hold that exists, oldest first: those that the document shows, and that of a hand on it (rule 9)."""
    pointer = current.pointer
    reason = f"edited by hand to {pointer.table}" if current.hand_edited else put_back(ctx, current)
    of_hand = (Hold(by=HAND, at=utc_text(current.modified), reason=reason),) if reason is not None else ()
    return (*written_holds(pointer), *of_hand)


def put_back(ctx: ReleaseContext, current: VersionedPointer | None) -> str | None:
    """What was put back, when the ledger knows a later generation than the current pointer: somebody deleted the pointer,
    or put an old document back, digest and all. None when all is in order. One listing, and each new entry read once."""
    since = datetime.fromisoformat(current.move.at) if current is not None and current.move is not None else None
    generation = current.pointer.generation if current is not None else 0
    later = [
        record.entry
        for record in ctx.ledger.read(ctx.ledger.names_since(since))
        if is_move(record.entry) and record.entry.generation > generation
    ]
    if not later:
        return None
    # Somebody may simply have moved on between our read and the listing: then the pointer is no longer what we read.
    now = ctx.pointers.peek()
    if (now.version if now is not None else None) != (current.version if current is not None else None):
        return None
    newest = max(later, key=lambda entry: entry.generation)
    known = f"generation {newest.generation} ({newest.shown_action} to {newest.to_release or 'nothing'} by {newest.by})"
    if current is None:
        return f"the pointer was deleted: the ledger knows {known}"
    return f"an old pointer, generation {generation}, was put back over {known}"
