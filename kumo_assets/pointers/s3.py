"""The pointer as an S3 object, moved by the compare-and-set of `resources.s3_objects`.

An ETag is a hash of the content, so equal bytes have equal tags; the body's generation keeps every version different.
"""

from __future__ import annotations

from collections.abc import Sequence

from kumo_serving.pointer import Pointer

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import ObjectStoreError
from kumo_assets.pointers.store import (
    READERS_GO_ON,
    RawPointer,
    Unrecorded,
    VersionedPointer,
    confirm,
    from_raw,
    to_bytes,
)
from kumo_assets.resources.s3_objects import ObjectStore, describing


class S3PointerStore:
    """Compare-and-set on one object."""

    def __init__(self, names: QueryNames, objects: ObjectStore, key: str = "") -> None:
        self.names = names
        self.objects = objects
        self.key = key or names.pointer_key
        self.uri = objects.uri(self.key)

    def peek(self) -> RawPointer | None:
        with describing("read the active pointer", READERS_GO_ON):
            stored = self.objects.get(self.key)
        return RawPointer(stored.data, stored.etag, stored.modified) if stored is not None else None

    def read(self) -> VersionedPointer | None:
        raw = self.peek()
        return from_raw(raw, self.names) if raw is not None else None

    def write(
        self, pointer: Pointer, move: LedgerEntry, expected: str | None, carried: Sequence[Unrecorded] = ()
    ) -> VersionedPointer:
        data = to_bytes(pointer, move, carried)
        error: ObjectStoreError | None = None
        lost = False
        try:
            if expected:
                lost = not self.objects.replace(self.key, data, etag=expected)
            else:
                lost = not self.objects.create(self.key, data)
        except ObjectStoreError as caught:
            error = caught
        # Lost, surely; even where the client retried, and the 412 came of its own first write, whose answer was lost.
        # Then our document is there, which the read-back sees first.
        return confirm(self, data, error, lost=lost)

    def close(self) -> None:
        """The client is shared; nothing to give back."""
