"""Reconciliation: records what happened to the pointer outside of us, and reads what is new in the ledger.

A hand edit goes into the ledger (rule 9); so does a move of ours whose process died before it could record it, or which
the ledger could not take then; and the plain-text copy is corrected. Every step is safe to repeat, and two at once write one entry. The promotion sensor calls
`reconcile` at each tick and reports `news` as asset events.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kumo_assets.documents import LedgerEntry, utc_text
from kumo_assets.errors import ReleaseError
from kumo_assets.pointers.document import RawPointer, Unrecorded, VersionedPointer, stored_mark
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import put_back, served_release
from kumo_assets.releases.holds import HAND
from kumo_assets.releases.ledger import SKEW, Recorded, name_of, time_in
from kumo_assets.releases.moves import NEWEST, carried_in, faults, known_moves
from kumo_assets.releases.operations.plain_text import copy_plain_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class News:
    """Entries that came since the cursor, oldest first (refusals left out), and the cursor for the next time."""

    entries: list[Recorded]
    cursor: str


def reconcile(ctx: ReleaseContext, current: VersionedPointer | None = None) -> LedgerEntry | None:
    """Record what the current pointer says and the ledger does not know, and correct the plain-text copy; the newest entry
    recorded, None when all was known.

    `current` is the pointer when it was read already. A pointer that has not moved since the last call with the same
    cache costs nothing. Raises PointerMalformed, ReleaseError.
    """
    current = current or ctx.pointers.read()
    if current is None or ctx.cache.recorded.get(ctx.pointers.uri) == stored_mark(current):
        return None
    newest = _append(ctx, current.carried)
    own = _own(ctx, current)
    if _fresh(ctx, (own,)):
        now = ctx.pointers.peek()
        if now is None or now.version != current.version:
            return newest  # it has moved on; the next call looks at what it is then
        ctx.ledger.append(*own)
        newest = own.entry
    copy_plain_text(ctx)
    ctx.cache.recorded[ctx.pointers.uri] = stored_mark(current)
    return newest


def record_moves(ctx: ReleaseContext, current: VersionedPointer | RawPointer | None) -> None:
    """Record the moves of ours that the pointer names and the ledger does not know; nothing that a hand did. Of a
    damaged pointer what can be read. ReleaseError when the ledger does not take it."""
    _append(ctx, carried_in(ctx.query, current))


def record_quietly(ctx: ReleaseContext, current: VersionedPointer | RawPointer | None) -> None:
    """The same, for a command that does something else: a ledger that does not take it is only logged."""
    try:
        record_moves(ctx, current)
    except ReleaseError as error:
        log.warning("%s", error)


def unrecorded(ctx: ReleaseContext, current: VersionedPointer | RawPointer | None) -> tuple[Unrecorded, ...]:
    """What the pointer says and the ledger does not know, oldest first, a hand edit too: what the next document carries
    when the ledger cannot be written. All that the document names when the ledger cannot be read either."""
    told = carried_in(ctx.query, current)
    try:
        if isinstance(current, VersionedPointer):
            told = (*current.carried, _own(ctx, current))
        return tuple(_fresh(ctx, told))
    except ReleaseError:
        return told


def _append(ctx: ReleaseContext, moves: Sequence[Unrecorded]) -> LedgerEntry | None:
    """Record those that the ledger does not know; the newest of them."""
    fresh = _fresh(ctx, moves)
    for entry, mark in fresh:
        ctx.ledger.append(entry, mark)
    return fresh[-1].entry if fresh else None


def _fresh(ctx: ReleaseContext, moves: Sequence[Unrecorded]) -> list[Unrecorded]:
    if not moves:
        return []
    names = set(ctx.ledger.names_since(min(datetime.fromisoformat(entry.at) for entry, _ in moves)))
    return [move for move in moves if name_of(*move) not in names]


def _own(ctx: ReleaseContext, current: VersionedPointer) -> Unrecorded:
    """The move or the hand edit that led to the pointer as it is."""
    reason = put_back(ctx, current) if current.move is not None else f"edited by hand to {current.pointer.table}"
    if current.move is not None and reason is None:
        return Unrecorded(current.move, current.mark)
    return Unrecorded(_hand_edit(ctx, current, reason or ""), current.mark)


def ledger_problems(
    ctx: ReleaseContext, current: VersionedPointer | RawPointer | None, newest: int = NEWEST
) -> list[str]:
    """What is wrong with the ledger, for a person: moves that it does not take, and those that it lost, among its `newest`
    entries. What it can take now is recorded."""
    problems = []
    try:
        record_moves(ctx, current)
    except ReleaseError as error:
        problems.append(f"{len(unrecorded(ctx, current))} moves are in the pointer, and not yet in the ledger: {error}")
    try:
        return problems + faults(ctx, current, newest).sentences(ctx.query)
    except ReleaseError as error:
        return [*problems, str(error)]


def faults_seen(ctx: ReleaseContext, current: VersionedPointer | None) -> list[str]:
    """What is wrong with the history, for a person. A pointer that has not moved since the last call with the same cache
    costs nothing. Raises ReleaseError."""
    mark = stored_mark(current)
    seen, wrong = ctx.cache.faults.get(ctx.pointers.uri, ("", []))
    if seen != mark:
        wrong = faults(ctx, current).sentences(ctx.query)
        ctx.cache.faults[ctx.pointers.uri] = mark, wrong
    return wrong


def forget(ctx: ReleaseContext) -> None:
    """Look again at the next call: the pointer was moved."""
    ctx.cache.recorded.pop(ctx.pointers.uri, None)


def news(ctx: ReleaseContext, cursor: str) -> News:
    """What was recorded since `cursor`; with "", nothing, but where to begin.

    The cursor is the names of the last hour's entries, not the last name: an entry of a machine whose clock is behind
    sorts before one already reported.
    """
    seen = cursor.split()
    names = ctx.ledger.names_since(time_in(max(seen)) if seen else None)
    newest = max([*names, *seen], default="")
    recent = [name for name in names if time_in(name) >= time_in(newest) - 2 * SKEW]
    if not seen:
        return News([], " ".join(recent) or "0")
    fresh = ctx.ledger.read([name for name in names if name not in seen])
    return News([record for record in fresh if record.entry.action != "refuse"], " ".join(recent) or cursor)


def _hand_edit(ctx: ReleaseContext, current: VersionedPointer, reason: str) -> LedgerEntry:
    moves = known_moves(ctx, current)
    return LedgerEntry(
        query=ctx.query,
        at=utc_text(current.modified),
        action="hand_edit",
        by=HAND,
        reason=reason,
        from_release=moves[-1].to_release if moves else "",
        to_release=served_release(ctx, current.pointer),
        generation=current.pointer.generation,
    )
