"""The write side of the pointer stores: one contract, and how a hand edit is recognised (rules 4 and 9).

The document itself, and reading it, belong to `kumo_serving.pointer`. What we write carries, beside its fields, the move
that led to it, earlier moves that the ledger could not take yet, and a digest of all: a document without a right digest
was written by a person. Each store is a module of its own beside this one; what moves a pointer, and when, is in
`releases.operations`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from kumo_serving.errors import KumoAssetsError, PointerMalformed
from kumo_serving.pointer import MAX_BYTES, MAX_GENERATION, Pointer, dump_pointer, parse_pointer
from pydantic import ValidationError

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry, utc_text
from kumo_assets.errors import LostRace, ReleaseError
from kumo_assets.pointers.limits import MOST_AUTHOR_BYTES, MOST_REASON_BYTES, shortened, within_limits

# What follows when the pointer cannot be read.
READERS_GO_ON = "readers keep the last pointer they saw"
_DIGEST = re.compile(r"[0-9a-f]{16}\Z")
_MARK = re.compile(r"[0-9a-f]{8}\Z")
# Moves that one document can tell of and the ledger does not know: its own, and those that it carries.
MOST_UNRECORDED = 32


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
    what it still says, the move that the edit was made over included."""

    pointer: Pointer
    version: str
    hand_edited: bool
    modified: datetime
    move: LedgerEntry | None = None
    mark: str = ""
    carried: tuple[Unrecorded, ...] = ()


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

    def write(
        self, pointer: Pointer, move: LedgerEntry, expected: str | None, carried: Sequence[Unrecorded] = ()
    ) -> VersionedPointer:
        """Write when the stored version is `expected` (None: when there is none); returns once that was read back.
        `carried` are earlier moves that the ledger may not know.

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


def document_of(pointer: Pointer, move: LedgerEntry, carried: Sequence[Unrecorded] = ()) -> dict[str, Any]:
    """The document as we write it. Readers ignore `move`, `unrecorded` and `digest` (docs/contract.md: unknown fields)."""
    document: dict[str, Any] = json.loads(dump_pointer(pointer))
    document["move"] = move.model_dump(mode="json")
    if carried:
        document["unrecorded"] = [{"mark": mark, **entry.model_dump(mode="json")} for entry, mark in carried]
    document["digest"] = digest_of(document)
    return document


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
    pointer = parse_pointer(raw.data, names.query, names.environment)
    try:
        document = json.loads(raw.data.decode("utf-8-sig"))
        ours = document.get("digest") == digest_of(document)
    except (ValueError, RecursionError) as error:  # a reader gets less deep into it than the digest does
        raise PointerMalformed(
            "read the active pointer",
            to=f"of {names.query}",
            found=f"it cannot be written again as it is ({type(error).__name__})",
            next="correct the document, or roll back with `kumo-assets rollback`",
        ) from error
    carried, own = _moves_in(document, names.query)
    if not ours or own is None:
        return VersionedPointer(
            pointer, raw.version, True, raw.modified, mark=raw.mark, carried=(*carried, own) if own else carried
        )
    return VersionedPointer(pointer, raw.version, False, raw.modified, own.entry, own.mark, carried)


def moves_told(raw: RawPointer, query: str) -> tuple[Unrecorded, ...]:
    """The moves that a document tells of and the ledger may not know, oldest first; of a damaged one what can be read."""
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
            return replace(wanted, version=current.version, modified=current.modified)
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
