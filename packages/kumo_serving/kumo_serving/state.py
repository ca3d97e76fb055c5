"""What lookups need to know, derived from one pointer and replaced as a whole when the pointer changes.

Values only: who asks the tables is `core`, who makes a new state is `refresh`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kumo_serving.answers import Source
from kumo_serving.aws import Account, Endpoint
from kumo_serving.fallback import parse_fallback
from kumo_serving.items import Predictions
from kumo_serving.pointer import KeyAttribute, Pointer, partition_of_release, release_of_table
from kumo_serving.wire import TableWire

# Previous releases a lookup may fall back to. More would not fit in a time budget anyway.
PREVIOUS = 2
# What a caller names the release that waits for approval.
STAGED = "staged"


class Target(msgspec.Struct, frozen=True):
    """One table that can be asked."""

    source: Source
    key: KeyAttribute
    item_format: str
    endpoint: Endpoint
    wire: TableWire


class Fallback(msgspec.Struct, frozen=True):
    """A release's fallback list, in memory."""

    source: Source
    predictions: Predictions


class State(msgspec.Struct, frozen=True):
    """Everything a lookup needs to know, replaced as a whole when the pointer changes. `previous` are the tables to go to
    when the active one is gone, `older` those that are asked only by their release's name."""

    active: Target
    previous: tuple[Target, ...] = ()
    fallback: Fallback | None = None
    staged: Target | None = None
    older: tuple[Target, ...] = ()

    def of_release(self, release: str) -> State | None:
        """The state of lookups in one release alone: "staged", or the id of the active, the staged or a previous one.
        None for any other name. It has nothing to fall back to: an answer is that release's, or there is none."""
        if release == STAGED:
            found = self.staged
        else:
            found = next((one for one in self.named() if one.source.release_id == release), None)
        return State(found) if found is not None else None

    def named(self) -> list[Target]:
        """What can be asked by its release's id. An entry that a person gave another release's table is left out."""
        found = (self.active, *((self.staged,) if self.staged is not None else ()), *self.previous, *self.older)
        return [one for one in found if one.source.release_id and _agrees(one.source)]


def _agrees(source: Source) -> bool:
    return release_of_table(source.table) in (None, source.release_id)


def build_state(
    pointer: Pointer, account: Account, endpoint: Endpoint, fallback: bytes = b"", beside: Endpoint | None = None
) -> State:
    """What lookups of this pointer will use. `beside` is the endpoint of the staged release's region; without it the
    staged release is not answered."""

    def target(table: str, release: str, partition: str, via: Literal["active", "previous"]) -> Target:
        source = Source(pointer.query, release, partition, table, pointer.generation, pointer.promoted.at, via)
        return Target(
            source, pointer.key, pointer.item_format, endpoint, TableWire(account, endpoint, table, pointer.key)
        )

    active = target(pointer.table, pointer.served_release_id, pointer.served_partition, "active")
    named = [entry for entry in pointer.previous if entry.table != pointer.table]
    before = tuple(target(entry.table, entry.release_id, entry.partition, "previous") for entry in named)
    previous, older = before[:PREVIOUS], before[PREVIOUS:]
    waits, staged = pointer.staged, None
    if waits is not None and beside is not None:
        # It has not been promoted: nobody can say since when it is live.
        source = Source(
            pointer.query,
            waits.served_release_id,
            waits.served_partition,
            waits.table,
            pointer.generation,
            "",
            "staged",
        )
        wire = TableWire(account, beside, waits.table, waits.key)
        staged = Target(source, waits.key, waits.item_format, beside, wire)
    held = None
    if fallback:
        release, predictions = parse_fallback(fallback, pointer.query)
        release = release or release_of_table(pointer.table) or ""
        source = Source(
            pointer.query,
            release,
            partition_of_release(release),
            "",
            pointer.generation,
            pointer.promoted.at,
            "fallback",
        )
        held = Fallback(source, predictions)
    return State(active, previous, held, staged, older)
