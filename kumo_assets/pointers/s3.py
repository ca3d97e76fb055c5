"""The pointer as an S3 object, moved by the compare-and-set of `resources.s3_objects`.

An ETag is a hash of the content, so equal bytes have equal tags. The body's generation keeps every document of ours
different, but a person may put an old one back while another is being decided. Where the bucket keeps versions, each
write has an id of its own, and the one before ours shows it. A version here is `<ETag>`, or `<ETag> <S3's version id>`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

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

log = logging.getLogger(__name__)


class S3PointerStore:
    """Compare-and-set on one object."""

    def __init__(self, names: QueryNames, objects: ObjectStore, key: str = "") -> None:
        self.names = names
        self.objects = objects
        self.key = key or names.pointer_key
        self.uri = objects.uri(self.key)

    def peek(self) -> RawPointer | None:
        with describing("read the active pointer", READERS_GO_ON):
            stored = self.objects.get_current(self.key)
        if stored is None:
            return None
        return RawPointer(stored.data, f"{stored.etag} {stored.version}".rstrip(), stored.modified)

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
                lost = not self.objects.replace(self.key, data, etag=expected.partition(" ")[0])
            else:
                lost = not self.objects.create(self.key, data)
        except ObjectStoreError as caught:
            error = caught
        # Lost, surely; even where the client retried, and the 412 came of its own first write, whose answer was lost.
        # Then our document is there, which the read-back sees first.
        written = confirm(self, data, error, lost=lost)
        return replace(written, over_a_hand=expected is not None and self._over_a_hand(written, expected))

    def _over_a_hand(self, written: VersionedPointer, expected: str) -> bool:
        """True when what we wrote over was not the write that we had read, though its content was the same."""
        ours = written.version.partition(" ")[2]
        if not ours:
            return False
        try:
            versions = self.objects.versions(self.key)
        except ObjectStoreError as error:
            log.warning("nobody knows whether a hand was on the pointer meanwhile: %s", error)
            return False
        before = versions[versions.index(ours) + 1 :][:1] if ours in versions else []
        return bool(before) and before[0] != expected.partition(" ")[2]

    def close(self) -> None:
        """The client is shared; nothing to give back."""
