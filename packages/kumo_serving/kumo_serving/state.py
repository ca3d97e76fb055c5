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
    """Everything a lookup needs to know, replaced as a whole when the pointer changes."""

    active: Target
    previous: tuple[Target, ...] = ()
    fallback: Fallback | None = None


def build_state(pointer: Pointer, account: Account, endpoint: Endpoint, fallback: bytes = b"") -> State:
    """What lookups of this pointer will use."""

    def target(table: str, release: str, partition: str, via: Literal["active", "previous"]) -> Target:
        source = Source(pointer.query, release, partition, table, pointer.generation, pointer.promoted.at, via)
        return Target(
            source, pointer.key, pointer.item_format, endpoint, TableWire(account, endpoint, table, pointer.key)
        )

    active = target(pointer.table, pointer.served_release_id, pointer.served_partition, "active")
    older = [entry for entry in pointer.previous if entry.table != pointer.table][:PREVIOUS]
    previous = tuple(target(entry.table, entry.release_id, entry.partition, "previous") for entry in older)
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
    return State(active, previous, held)
