"""One move of the pointer: the current one is recorded first, then compare-and-set, ledger, plain-text copy, in order.
What to move it to is decided by `promote`, `rollback`, `hold` and `retire`; nothing else writes a pointer.

A crash after the compare-and-set loses nothing: the document carries the ledger's entry, and `reconcile`, of the sensor
or of the next command, records it. While the ledger cannot be written each document carries on what those before it could
not record, at most 32 moves; with no room left nothing is promoted, and only what people do still moves the pointer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Pointer

from kumo_assets.documents import Action, LedgerEntry, utc_now
from kumo_assets.errors import GateBlocked, Refused, ReleaseError
from kumo_assets.pointers.document import MOST_UNRECORDED, RawPointer, Unrecorded, VersionedPointer, fitted
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.moves import carried_in
from kumo_assets.releases.operations.giving_way import forked, give_way
from kumo_assets.releases.operations.plain_text import copy_plain_text
from kumo_assets.releases.operations.reconcile import forget, reconcile, record_moves, unrecorded

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moved:
    """The pointer as it is now, and what could not be done beside the move (empty when all was)."""

    written: VersionedPointer
    warning: str

    @property
    def pointer(self) -> Pointer:
        return self.written.pointer


def move_pointer(
    ctx: ReleaseContext,
    pointer: Pointer,
    current: VersionedPointer | RawPointer | None,
    *,
    action: Action,
    by: str,
    reason: str = "",
    from_release: str = "",
    run_id: str = "",
    at: str | None = None,
    stages: str = "",
    unstages: str = "",
) -> Moved:
    """Write `pointer` over `current` (None: where there is none), then record it. Raises LostRace, or ReleaseError when
    nothing moved.

    A ledger or copy that cannot be written is no failure of the move: it is reported in `warning`. So is the oldest of what
    the ledger could not take, when the document has no room for it: see `must_have_room`.
    """
    entry = LedgerEntry(
        query=ctx.query,
        at=at or utc_now(),
        action=action,
        by=by,
        reason=reason,
        from_release=from_release,
        to_release=pointer.release_id,
        generation=pointer.generation,
        run_id=run_id,
        stages=stages,
        unstages=unstages,
    )
    warnings: list[str] = []
    carried = _not_recorded(ctx, current, warnings)
    pointer, kept = fitted(pointer, entry, carried)
    if len(kept) < len(carried):
        lost = ", ".join(str(move.generation) for move, _ in carried[: len(carried) - len(kept)])
        warnings.append(f"the pointer has no room for all that the ledger could not take: generation {lost} is lost")
    forget(ctx)
    written = ctx.pointers.write(pointer, entry, current.version if current is not None else None, kept)
    if isinstance(current, VersionedPointer) and (written.over_a_hand or forked(ctx, current, written)):
        raise give_way(ctx, current, written, kept)
    try:
        ctx.ledger.append(entry, written.mark)
    except KumoAssetsError as error:
        if not carried:  # else it was said already that the ledger is out
            warnings.append(str(error))
    try:
        copy_plain_text(ctx)
    except KumoAssetsError as error:
        warnings.append(f"{error} (the promotion sensor writes it again)")
    return Moved(written, " ".join(warnings))


def _not_recorded(
    ctx: ReleaseContext, current: VersionedPointer | RawPointer | None, warnings: list[str]
) -> tuple[Unrecorded, ...]:
    """Record the moves that the current document names, or say what the next one must carry because the ledger is out."""
    try:
        if isinstance(current, VersionedPointer):
            reconcile(ctx, current)
        else:
            record_moves(ctx, current)
    except KumoAssetsError as error:
        # A ledger that is out must not stop a rollback.
        warnings.append(str(error))
        return unrecorded(ctx, current)
    return ()


def must_have_room(ctx: ReleaseContext, current: VersionedPointer | RawPointer | None) -> None:
    """Refused when the pointer names as many moves as it has room for, and the ledger still takes none of them. Asked
    before a promotion or a retirement; what people do for the sake of what is served goes on, and loses the oldest."""
    if len(carried_in(ctx.query, current)) < MOST_UNRECORDED:
        return
    try:
        record_moves(ctx, current)
    except KumoAssetsError as error:
        raise Refused(
            "move the active pointer of",
            to=ctx.query,
            found=f"{MOST_UNRECORDED} moves are not in the ledger, and it cannot be written: {error.found}",
            next=f"{error.next or 'let the ledger be written'}; rollback, hold and unhold still work",
        ) from error


@contextmanager
def refusals_recorded(
    ctx: ReleaseContext, doing: str, *, by: str, run_id: str = "", from_release: str = "", to_release: str = ""
) -> Iterator[None]:
    """Whatever refuses what is done here, a lost race too, is in the ledger before the caller hears of it."""
    try:
        yield
    except (GateBlocked, Refused) as error:
        entry = LedgerEntry(
            query=ctx.query,
            at=utc_now(),
            action="refuse",
            by=by,
            reason=f"{doing}: {error.found}",
            from_release=from_release,
            to_release=to_release,
            run_id=run_id,
        )
        record(ctx, entry)
        raise


def record(ctx: ReleaseContext, entry: LedgerEntry) -> None:
    """Append what was no move (a refusal). What the ledger cannot take must not hide the refusal itself."""
    try:
        ctx.ledger.append(entry)
    except ReleaseError as error:
        # The caller raises the refusal, which says more to a person than "the ledger is down" would.
        log.warning("%s", error)
