"""The write side of the pointer stores: one contract, and how a hand edit is recognised (rules 4 and 9).

The document itself, and reading it, belong to `kumo_serving.pointer`. What we write carries, beside its fields, the move
that led to it and a digest of both: a document without them was written by a person. Each store is a module of
its own beside this one; what moves a pointer, and when, is in `releases.operations`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import (
    Pointer,
    Previous,
    dump_pointer,
    parse_pointer,
    partition_of_release,
    release_of_table,
)
from pydantic import ValidationError

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry, utc_text
from kumo_assets.errors import LostRace, ReleaseError

# What follows when the pointer cannot be read.
READERS_GO_ON = "readers keep the last pointer they saw"
_DIGEST = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True)
class RawPointer:
    """What a store holds: bytes, the token a compare-and-set compares, and when the store says they were written."""

    data: bytes
    version: str
    modified: datetime

    @property
    def mark(self) -> str:
        """8 hex digits of the content: the name under which the ledger knows a document of no digest of ours."""
        return hashlib.sha256(self.data).hexdigest()[:8]


@dataclass(frozen=True)
class VersionedPointer:
    """A pointer as read: its version, whether a person wrote it, and (when we did) the move that led to it.

    `edited_over` is the move that a person's edit was made over, with its mark, as far as the document still says:
    the process that made it may have died before the ledger knew."""

    pointer: Pointer
    version: str
    hand_edited: bool
    modified: datetime
    move: LedgerEntry | None = None
    mark: str = ""
    edited_over: tuple[LedgerEntry, str] | None = None


def stored_mark(current: VersionedPointer | None) -> str:
    """Names a pointer document as it was stored: its version and time, because an S3 version is a hash, and an old
    document that was put back has its old one."""
    return f"{current.version} {utc_text(current.modified)}" if current is not None else "no pointer"


class PointerStore(Protocol):
    """Where one query's pointer is kept. One writer of many wins; the others get LostRace."""

    uri: str
    names: QueryNames

    def peek(self) -> RawPointer | None:
        """The bytes as they are now, None when there are none. ReleaseError when the store does not answer."""

    def read(self) -> VersionedPointer | None:
        """The pointer, None when there is none yet. PointerMalformed names the field of a damaged one."""

    def write(self, pointer: Pointer, move: LedgerEntry, expected: str | None) -> VersionedPointer:
        """Write when the stored version is `expected` (None: when there is none); returns once that was read back.

        Raises LostRace when somebody else moved it, ReleaseError when it could not be written, or nobody can tell.
        """

    def close(self) -> None:
        """Give back connections."""


def digest_of(document: Mapping[str, Any]) -> str:
    """16 hex digits over all other fields as they are: what a person with an editor would not update.

    Of the document, not of what this version makes of it: a field that only a newer writer knows is no hand edit.
    """
    fields = {name: value for name, value in document.items() if name != "digest"}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def document_of(pointer: Pointer, move: LedgerEntry) -> dict[str, Any]:
    """The document as we write it. Readers ignore `move` and `digest` (docs/contract.md: unknown fields)."""
    document: dict[str, Any] = json.loads(dump_pointer(pointer))
    document["move"] = json.loads(move.to_json())
    document["digest"] = digest_of(document)
    return document


def to_bytes(pointer: Pointer, move: LedgerEntry) -> bytes:
    """Indented, because people edit this file by hand."""
    return (json.dumps(document_of(pointer, move), indent=2, ensure_ascii=False) + "\n").encode()


def from_raw(raw: RawPointer, names: QueryNames) -> VersionedPointer:
    """Parse what a store holds. Raises PointerMalformed naming the field."""
    pointer = parse_pointer(raw.data, names.query, names.environment)
    document = json.loads(raw.data.decode("utf-8-sig"))
    written = document.get("digest")
    try:
        move = LedgerEntry.model_validate(document["move"]) if document.get("move") else None
    except ValidationError:
        move = None  # a person's work on our field; the digest below says so too
    ours = move is not None and written == digest_of(document)
    return VersionedPointer(
        pointer=_of_releases(pointer),
        version=raw.version,
        hand_edited=not ours,
        modified=raw.modified,
        move=move if ours else None,
        mark=str(written)[:8] if ours else raw.mark,
        edited_over=(move, str(written)[:8]) if not ours and move is not None and _DIGEST.match(str(written)) else None,
    )


def _of_releases(pointer: Pointer) -> Pointer:
    """The same, where a person named as previous what can be no release, an impossible date say: then the entry's table
    says which release it is of, or that it is a table of no release."""

    def known(item: Previous) -> Previous:
        if not item.release_id or partition_of_release(item.release_id):
            return item
        release = release_of_table(item.table) or ""
        return replace(item, release_id=release, partition=partition_of_release(release))

    return pointer.replace(previous=tuple(map(known, pointer.previous)))


def confirm(
    store: PointerStore, wanted: Pointer, move: LedgerEntry, error: Exception | None, *, lost: bool
) -> VersionedPointer:
    """What came of a write, by reading back: a failed write must not be reported as good, nor a good one as failed.

    `error` is what the store raised, None when it did not; `lost` says that the store is sure that another writer was
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
    if current is not None and current.pointer == wanted and current.move == move:
        return current
    if lost:
        raise _lost(store.uri, current)
    if error is None:
        if current is not None and current.pointer.generation > wanted.generation:
            # The store said yes, so this generation was ours; somebody has moved on from it since.
            mark = document_of(wanted, move)["digest"][:8]
            return VersionedPointer(wanted, current.version, False, current.modified, move, mark)
        raise ReleaseError(
            "write the active pointer",
            to=store.uri,
            found="the store said that it was written, but "
            + (f"the pointer is at generation {current.pointer.generation}" if current else "there is no pointer"),
            next="look at `kumo-assets status`; nothing was promoted",
        )
    if current is None or current.pointer.generation < wanted.generation:
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
