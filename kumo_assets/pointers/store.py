"""The write side of the pointer stores: one contract, and how a write is confirmed (rule 4).

The document is in `document`. Each store is a module of its own beside this one; what moves a pointer, and when, is in
`releases.operations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Pointer

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import LostRace, ReleaseError
from kumo_assets.pointers.document import (
    MOST_UNRECORDED,
    RawPointer,
    Unrecorded,
    VersionedPointer,
    digest_of,
    document_of,
    fitted,
    from_raw,
    moves_told,
    stored_mark,
    to_bytes,
)

__all__ = [
    "MOST_UNRECORDED",
    "READERS_GO_ON",
    "PointerStore",
    "RawPointer",
    "Unrecorded",
    "VersionedPointer",
    "confirm",
    "describe_error",
    "digest_of",
    "document_of",
    "fitted",
    "from_raw",
    "moves_told",
    "read_failed",
    "stored_mark",
    "to_bytes",
    "write_failed",
]

# What follows when the pointer cannot be read.
READERS_GO_ON = "readers keep the last pointer they saw"


class PointerStore(Protocol):
    """Where one query's pointer is kept. One writer of many wins; the others get LostRace."""

    uri: str
    names: QueryNames

    def peek(self) -> RawPointer | None:
        """The bytes as they are now, None when there are none. ReleaseError when the store does not answer."""

    def read(self) -> VersionedPointer | None:
        """The pointer, None when there is none yet. PointerMalformed names the field of a damaged one."""

    def write(
        self, pointer: Pointer, move: LedgerEntry, expected: str | None, carried: Sequence[Unrecorded] = ()
    ) -> VersionedPointer:
        """Write when the stored version is `expected` (None: when there is none); returns once that was read back.
        `carried` are earlier moves that the ledger may not know.

        Raises LostRace when somebody else moved it, ReleaseError when it could not be written, or nobody can tell.
        """

    def close(self) -> None:
        """Give back connections."""


def confirm(store: PointerStore, sent: bytes, error: Exception | None, *, lost: bool) -> VersionedPointer:
    """What came of a write, by reading back: a failed write must not be reported as good, nor a good one as failed.

    `sent` is the document, from `to_bytes`; `error` is what the store raised, None when it did not; `lost` says that the store is sure that another writer was
    first. With neither, the store said that it wrote. Returns our document when it is the current one, or was and a later
    move followed. Raises LostRace or ReleaseError.
    """
    try:
        current = store.read()
    except KumoAssetsError as unread:
        if error is not None:
            what = f"{describe_error(error)}, and it could not be read back"
        elif lost:
            what = "another writer was first, and the pointer could not be read back"
        else:
            what = "the store took it, but it could not be read back"
        raise _unsure(store.uri, what, unread) from unread
    wanted = from_raw(RawPointer(sent, "", datetime.now(UTC)), store.names)
    if current is not None and (current.pointer, current.move) == (wanted.pointer, wanted.move):
        return current
    if lost:
        raise _lost(store.uri, current)
    if error is None:
        if current is not None and current.pointer.generation > wanted.pointer.generation:
            # The store said yes, so this generation was ours; somebody has moved on from it since.
            return replace(wanted, modified=current.modified)
        raise ReleaseError(
            "write the active pointer",
            to=store.uri,
            found="the store said that it was written, but "
            + (f"the pointer is at generation {current.pointer.generation}" if current else "there is no pointer"),
            next="look at `kumo-assets status`; nothing was promoted",
        )
    if current is None or current.pointer.generation < wanted.pointer.generation:
        raise write_failed(store.uri, error) from error
    raise _lost(store.uri, current)


def _lost(uri: str, current: VersionedPointer | None) -> LostRace:
    now = f"it is at generation {current.pointer.generation} ({current.pointer.table})" if current else "it is gone"
    return LostRace(
        "move the active pointer",
        to=uri,
        found=f"somebody else moved it meanwhile: {now}",
        next="look at `kumo-assets status`; try again if it is still wanted",
    )


def _unsure(uri: str, what: str, error: Exception) -> ReleaseError:
    return ReleaseError(
        "know whether the active pointer was moved",
        to=uri,
        found=f"{what} ({error})",
        next="look at `kumo-assets status` when the store answers again; a move that did happen is recorded then",
    )


def write_failed(uri: str, error: Exception) -> ReleaseError:
    return ReleaseError(
        "write the active pointer",
        to=uri,
        found=describe_error(error),
        next=f"{_advice(error)}; the old pointer stands, and readers go on with it",
    )


def read_failed(uri: str, error: Exception) -> ReleaseError:
    return ReleaseError(
        "read the active pointer", to=uri, found=describe_error(error), next=f"{_advice(error)}; {READERS_GO_ON}"
    )


def describe_error(error: Exception) -> str:
    """What a store's client raised, in a few words: the exception's class and its own text."""
    return error.found if isinstance(error, KumoAssetsError) else f"{type(error).__name__}: {error}".rstrip(": ")


def _advice(error: Exception) -> str:
    return error.next if isinstance(error, KumoAssetsError) else "try again"
