"""What is known of a query's moves: the ledger's entries, and those that the pointer document carries because the ledger
could not take them; and whether that history is whole.

Every move has a generation of its own. One that no entry has is a hole: a move was lost, and nobody can say which. One
that two entries have is a fork: two writers each got the answer that it had won. Reads only; recording is in
`operations.reconcile`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from kumo_serving.errors import PointerMalformed

from kumo_assets.documents import LedgerEntry
from kumo_assets.pointers.document import RawPointer, Unrecorded, VersionedPointer, from_raw, moves_told
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.ledger import Recorded, is_move, name_of

# Entries that a quick look reads. A hole is made at the newest end, by at most as many moves as a pointer carries.
NEWEST = 64


@dataclass(frozen=True)
class Faults:
    """What is wrong with a history, but for what a person accepted: `holes` as first and last generation that no entry
    has, oldest first, and generations that several have."""

    holes: tuple[tuple[int, int], ...] = ()
    forks: tuple[int, ...] = ()

    def found_at(self, generation: int) -> tuple[int, int] | None:
        """The hole or fork that a generation is in."""
        spans = (*self.holes, *((fork, fork) for fork in self.forks))
        return next((span for span in spans if span[0] <= generation <= span[1]), None)

    def sentences(self, query: str) -> list[str]:
        """For a person: each fault, and the way to accept it."""
        lost = [
            f"the ledger has no entry of generation {shown(hole)}: {'a move was' if hole[0] == hole[1] else 'moves were'} "
            f"lost, and nothing is retired until somebody accepts it: {accept(query, hole[0])}"
            for hole in self.holes
        ]
        twice = [
            f"the ledger has two entries of generation {fork}: two writers both won, so the store may ignore conditional "
            f"writes (kumo-assets doctor tries it); once it is understood: {accept(query, fork)}"
            for fork in self.forks
        ]
        return lost + twice


def accept(query: str, generation: int) -> str:
    """The command that accepts a fault."""
    return f"kumo-assets doctor {query} --accept-hole {generation} --reason 'WHY'"


def shown(span: tuple[int, int]) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def read_or_raw(ctx: ReleaseContext) -> VersionedPointer | RawPointer | None:
    """The pointer, or its bytes when it is damaged. ReleaseError when the store does not answer."""
    raw = ctx.pointers.peek()
    try:
        return from_raw(raw, ctx.names) if raw is not None else None
    except PointerMalformed:
        return raw


def carried_in(query: str, found: VersionedPointer | RawPointer | None) -> tuple[Unrecorded, ...]:
    """The moves that a pointer document names, oldest first, its own last. Of a damaged one what can be read."""
    if isinstance(found, RawPointer):
        return moves_told(found, query)
    if found is None:
        return ()
    return (*found.carried, Unrecorded(found.move, found.mark)) if found.move is not None else found.carried


def missing_from(
    recorded: Iterable[Recorded], query: str, found: VersionedPointer | RawPointer | None
) -> list[Recorded]:
    """The moves that the pointer document names and these entries do not."""
    names = {record.name for record in recorded}
    told = [Recorded(name_of(entry, mark), entry) for entry, mark in carried_in(query, found)]
    return [record for record in told if record.name not in names]


def known(ctx: ReleaseContext, found: VersionedPointer | RawPointer | None) -> list[Recorded]:
    """Every entry of the ledger, and the moves that only the pointer document names."""
    recorded = ctx.ledger.read(ctx.ledger.names_since())
    return [*recorded, *missing_from(recorded, ctx.query, found)]


def known_moves(ctx: ReleaseContext, found: VersionedPointer | RawPointer | None) -> list[LedgerEntry]:
    """Every known move of the pointer, in order of generation."""
    entries = (record.entry for record in known(ctx, found))
    return sorted(filter(is_move, entries), key=lambda entry: entry.generation)


def history(
    ctx: ReleaseContext, found: VersionedPointer | RawPointer | None, limit: int | None = None
) -> list[LedgerEntry]:
    """Moves that only the pointer names, then the ledger's entries, newest first, at most `limit`."""
    told = missing_from((), ctx.query, found)
    oldest = min((datetime.fromisoformat(record.entry.at) for record in told), default=None)
    recorded = set(ctx.ledger.names_since(oldest)) if told else set()
    entries = [record.entry for record in told if record.name not in recorded]
    return [*reversed(entries), *ctx.ledger.history(limit, moved_at(found))][:limit]


def moved_at(found: VersionedPointer | RawPointer | None) -> datetime | None:
    """When the pointer was moved last, as its document says; None where it does not say."""
    if isinstance(found, VersionedPointer) and found.move is not None:
        return datetime.fromisoformat(found.move.at)
    return None


def faults(ctx: ReleaseContext, found: VersionedPointer | RawPointer | None, newest: int | None = NEWEST) -> Faults:
    """What is wrong with the history of a query, from its `newest` entries by S3's clock, or from all where those are not
    whole. ReleaseError when the ledger cannot be read."""
    # One more than is read: with no more than `newest` these are all there are.
    times = ctx.ledger.newest_listed(newest + 1, moved_at(found)) if newest is not None else ctx.ledger.listed_since()
    ordered = sorted(times, key=lambda name: (times[name], name))
    if newest is not None and len(ordered) > newest:
        some = ctx.ledger.read(ordered[-newest:])
        floor = min((record.entry.generation for record in some if is_move(record.entry)), default=0)
        if floor and not _any(faults_of([*some, *missing_from(some, ctx.query, found)], found, floor)):
            return Faults()
        ordered = ctx.ledger.names_since()
    every = ctx.ledger.read(ordered)
    return faults_of([*every, *missing_from(every, ctx.query, found)], found)


def faults_of(records: Iterable[Recorded], found: VersionedPointer | RawPointer | None, floor: int = 1) -> Faults:
    """Pure: the faults in these entries, from generation `floor` on."""
    entries = [record.entry for record in records]
    counts = Counter(entry.generation for entry in entries if is_move(entry))
    written = found.pointer.generation if isinstance(found, VersionedPointer) else 0
    newest = max([written, *(entry.generation for entry in entries)])
    accepted = [entry.accepts for entry in entries if entry.accepts is not None]
    present = sorted({generation for generation in counts if generation >= floor} | {floor - 1, newest + 1})
    gaps = [(low + 1, high - 1) for low, high in pairwise(present) if high - low > 1]
    holes = [part for gap in gaps for part in _without(gap, accepted)]
    forks = [one for one, count in sorted(counts.items()) if count > 1 and _without((one, one), accepted)]
    return Faults(tuple(holes), tuple(forks))


def _without(span: tuple[int, int], accepted: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a span of generations that nobody accepted."""
    left = [span]
    for first, last in accepted:
        left = [
            part
            for low, high in left
            for part in ((low, min(high, first - 1)), (max(low, last + 1), high))
            if part[0] <= part[1]
        ]
    return left


def _any(found: Faults) -> bool:
    return bool(found.holes or found.forks)
