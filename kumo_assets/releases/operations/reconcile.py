"""Reconciliation: records what happened to the pointer outside of us, and reads what is new in the ledger.

A hand edit goes into the ledger (rule 9); so does a move of ours whose process died before it could record it, and the
plain-text copy is corrected. Every step is safe to repeat, and two at once write one entry. The promotion sensor calls
`reconcile` at each tick and reports `news` as asset events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kumo_assets.documents import LedgerEntry, utc_text
from kumo_assets.pointers.store import VersionedPointer, stored_mark
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import put_back
from kumo_assets.releases.ledger import SKEW, Recorded, name_of, time_in
from kumo_assets.releases.operations.plain_text import copy_plain_text


@dataclass(frozen=True)
class News:
    """Entries that came since the cursor, oldest first (refusals left out), and the cursor for the next time."""

    entries: list[Recorded]
    cursor: str


def reconcile(ctx: ReleaseContext, current: VersionedPointer | None = None) -> LedgerEntry | None:
    """Record what the current pointer says and the ledger does not know; that entry, None when all was known.

    `current` is the pointer when it was read already. A pointer that has not moved since the last call with the same
    cache costs nothing. Raises PointerMalformed, ReleaseError.
    """
    current = current or ctx.pointers.read()
    if current is None or ctx.cache.recorded.get(ctx.pointers.uri) == stored_mark(current):
        return None
    reason = put_back(ctx, current) if current.move is not None else f"edited by hand to {current.pointer.table}"
    if current.edited_over is not None:
        _record_edited_over(ctx, *current.edited_over)
    entry = current.move if current.move is not None and reason is None else _hand_edit(ctx, current, reason or "")
    name = name_of(entry, current.mark)
    fresh = name not in ctx.ledger.names_since(datetime.fromisoformat(entry.at))
    if fresh:
        now = ctx.pointers.peek()
        if now is None or now.version != current.version:
            return None  # it has moved on; the next call looks at what it is then
        ctx.ledger.append(entry, current.mark)
    copy_plain_text(ctx)
    ctx.cache.recorded[ctx.pointers.uri] = stored_mark(current)
    return entry if fresh else None


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


def _record_edited_over(ctx: ReleaseContext, move: LedgerEntry, mark: str) -> None:
    """A move of ours whose process died before it was recorded, and over which a person then wrote. The entry is what
    the document says; under the move's own name it is written once, whoever finds it."""
    if move.query == ctx.query and name_of(move, mark) not in ctx.ledger.names_since(datetime.fromisoformat(move.at)):
        ctx.ledger.append(move, mark)


def _hand_edit(ctx: ReleaseContext, current: VersionedPointer, reason: str) -> LedgerEntry:
    moves = ctx.ledger.moves()
    return LedgerEntry(
        query=ctx.query,
        at=utc_text(current.modified),
        action="hand_edit",
        by="a hand edit",
        reason=reason,
        from_release=moves[-1].to_release if moves else "",
        to_release=current.pointer.served_release_id,
        generation=current.pointer.generation,
    )
