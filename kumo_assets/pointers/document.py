"""The pointer document as it is stored: our fields beside those that readers know, and how a hand edit is recognised.

`kumo_serving.pointer` has what readers need. What we write carries besides the move that led to it, earlier moves that the
ledger could not take yet, and a digest of all: a document without a right digest was written by a person. Where documents
are stored is in `store` and the modules beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from kumo_serving.errors import PointerMalformed
from kumo_serving.pointer import (
    MAX_BYTES,
    MAX_GENERATION,
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
from kumo_assets.errors import ReleaseError
from kumo_assets.pointers.limits import MOST_AUTHOR_BYTES, MOST_REASON_BYTES, shortened, within_limits

_DIGEST = re.compile(r"[0-9a-f]{16}\Z")
_MARK = re.compile(r"[0-9a-f]{8}\Z")
# Moves that one document can name and the ledger does not know: its own, and those that it carries.
MOST_UNRECORDED = 32
_NOT_UNSTAGED = ("staged", "unstaged_digest")


class Unrecorded(NamedTuple):
    """A move that the ledger may not know, and the mark of its own pointer document: together they name its entry."""

    entry: LedgerEntry
    mark: str


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

    `carried` are earlier moves that the ledger may not know, oldest first. In a document that a person edited they are
    what it still says, the move that the edit was made over included. `over_a_hand` is set of what a write returns, when
    a person had put the expected document back by hand meanwhile."""

    pointer: Pointer
    version: str
    hand_edited: bool
    modified: datetime
    move: LedgerEntry | None = None
    mark: str = ""
    carried: tuple[Unrecorded, ...] = ()
    over_a_hand: bool = False


def stored_mark(current: VersionedPointer | None) -> str:
    """Names a pointer document as it was stored: its version and time, because an S3 version is a hash, and an old
    document that was put back has its old one."""
    return f"{current.version} {utc_text(current.modified)}" if current is not None else "no pointer"


def digest_of(document: Mapping[str, Any]) -> str:
    """16 hex digits over all other fields as they are: what a person with an editor would not update.

    Of the document, not of what this version makes of it: a field that only a newer writer knows is no hand edit.
    """
    fields = {name: value for name, value in document.items() if name != "digest"}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def document_of(pointer: Pointer, move: LedgerEntry, carried: Sequence[Unrecorded] = ()) -> dict[str, Any]:
    """The document as we write it. Readers ignore `move`, `unrecorded` and `digest` (docs/contract.md: unknown fields)."""
    document: dict[str, Any] = json.loads(dump_pointer(pointer))
    document["move"] = move.model_dump(mode="json")
    if carried:
        document["unrecorded"] = [{"mark": mark, **entry.model_dump(mode="json")} for entry, mark in carried]
    if pointer.staged is not None:
        document["unstaged_digest"] = _unstaged_digest(document)
    document["digest"] = digest_of(document)
    return document


def _unstaged_digest(document: Mapping[str, Any]) -> str:
    """The digest of the document without what is staged: by it we know that a person took out `staged` and edited nothing
    else."""
    return digest_of({name: value for name, value in document.items() if name not in _NOT_UNSTAGED})


def _written_by_us(document: Mapping[str, Any]) -> bool:
    """True for a document as we wrote it, and for one from which a person took out `staged` and nothing else: that is no
    hand on what is served."""
    if document.get("digest") == digest_of(document):
        return True
    return document.get("staged") is None and document.get("unstaged_digest") == _unstaged_digest(document)


def to_bytes(pointer: Pointer, move: LedgerEntry, carried: Sequence[Unrecorded] = ()) -> bytes:
    """Indented, because people edit this file by hand. ReleaseError for a document that a reader would not take, or would
    take for another."""
    document = _dumped(document_of(pointer, move, carried))
    try:
        as_read = parse_pointer(document, pointer.query, pointer.environment)
    except PointerMalformed as error:
        raise _unreadable(pointer, error.found) from error
    if as_read != pointer:
        raise _unreadable(pointer, "a reader would read something else in it")
    return document


def _dumped(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _unreadable(pointer: Pointer, found: str) -> ReleaseError:
    return ReleaseError(
        "write the active pointer",
        to=f"of {pointer.query}",
        found=f"no reader would take the document: {found}",
        next="correct the pointer by hand, or roll back; the old pointer stands, and readers go on with it",
    )


def fitted(
    pointer: Pointer, move: LedgerEntry, carried: Sequence[Unrecorded]
) -> tuple[Pointer, tuple[Unrecorded, ...]]:
    """The pointer and the newest of the `carried` moves that one document has room for. Long texts are cut; of `previous`
    the oldest go last."""
    pointer = within_limits(pointer)
    kept = tuple(_shortened(move) for move in carried[-(MOST_UNRECORDED - 1) :])
    while len(_dumped(document_of(pointer, move, kept))) > MAX_BYTES:
        if kept:
            kept = kept[1:]
        elif pointer.previous:
            pointer = pointer.replace(previous=pointer.previous[:-1])
        else:
            break
    return pointer, kept


def _shortened(move: Unrecorded) -> Unrecorded:
    texts = {
        name: shortened(text, MOST_REASON_BYTES if name == "reason" else MOST_AUTHOR_BYTES)
        for name, text in move.entry
        if isinstance(text, str) and name != "query"
    }
    return Unrecorded(move.entry.model_copy(update=texts), move.mark)


def from_raw(raw: RawPointer, names: QueryNames) -> VersionedPointer:
    """Parse what a store holds. Raises PointerMalformed naming the field."""
    pointer = _of_releases(parse_pointer(raw.data, names.query, names.environment))
    document = json.loads(raw.data.decode("utf-8-sig"))  # what the reader's parser took, this one takes too
    ours = _written_by_us(document)
    carried, own = _moves_in(document, names.query)
    if not ours or own is None:
        return VersionedPointer(
            pointer, raw.version, True, raw.modified, mark=raw.mark, carried=(*carried, own) if own else carried
        )
    return VersionedPointer(pointer, raw.version, False, raw.modified, own.entry, own.mark, carried)


def _of_releases(pointer: Pointer) -> Pointer:
    """The same, where a person named as previous what can be no release, an impossible date say: then the entry's table
    says which release it is of, or that it is a table of no release."""

    def known(item: Previous) -> Previous:
        if not item.release_id or partition_of_release(item.release_id):
            return item
        release = release_of_table(item.table) or ""
        return replace(item, release_id=release, partition=partition_of_release(release))

    return pointer.replace(previous=tuple(map(known, pointer.previous)))


def moves_told(raw: RawPointer, query: str) -> tuple[Unrecorded, ...]:
    """The moves that a document names and the ledger may not know, oldest first; of a damaged one what can be read."""
    try:
        document = json.loads(raw.data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return ()
    carried, own = _moves_in(document, query) if isinstance(document, dict) else ((), None)
    return (*carried, own) if own is not None else carried


def _moves_in(document: Mapping[str, Any], query: str) -> tuple[tuple[Unrecorded, ...], Unrecorded | None]:
    """The moves that a document carries, and its own. Where a person edited them, those that are still whole."""
    listed = document.get("unrecorded")
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    carried = [_move_in(item, str(item.get("mark")), query) for item in items]
    digest = str(document.get("digest"))
    own = _move_in(document.get("move"), digest[:8], query) if _DIGEST.match(digest) else None
    return tuple(move for move in carried if move is not None)[-MOST_UNRECORDED:], own


def _move_in(value: object, mark: str, query: str) -> Unrecorded | None:
    try:
        entry = LedgerEntry.model_validate(value)
    except ValidationError:
        return None  # a person's work on our field; the digest says so too
    whole = entry.query == query and 0 <= entry.generation <= MAX_GENERATION and _MARK.match(mark)
    return Unrecorded(entry, mark) if whole else None
