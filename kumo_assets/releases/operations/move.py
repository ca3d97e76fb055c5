"""One move of the pointer: the current one is recorded first, then compare-and-set, ledger, plain-text copy, in order.
What to move it to is decided by `promote`, `rollback`, `hold` and `retire`; nothing else writes a pointer.

A crash after the compare-and-set loses nothing: the document carries the ledger's entry, and `reconcile`, of the sensor
or of the next move, completes it before another document takes its place.
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
from kumo_assets.pointers.store import RawPointer, VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.plain_text import copy_plain_text
from kumo_assets.releases.operations.reconcile import forget, reconcile

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
) -> Moved:
    """Write `pointer` over `current` (None: where there is none), then record it. Raises LostRace, or ReleaseError when
    nothing moved.

    A ledger or copy that cannot be written after the move is no failure of the move: it is reported in `warning`.
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
    )
    warnings = []
    try:
        if isinstance(current, VersionedPointer):
            reconcile(ctx, current)
    except KumoAssetsError as error:
        # A ledger that is down must not stop a rollback.
        warnings.append(str(error))
    forget(ctx)
    written = ctx.pointers.write(pointer, entry, current.version if current is not None else None)
    for follow in (lambda: ctx.ledger.append(entry, written.mark), lambda: copy_plain_text(ctx)):
        try:
            follow()
        except KumoAssetsError as error:
            warnings.append(f"{error} (`kumo-assets status` or the promotion sensor makes it good)")
    return Moved(written, " ".join(warnings))


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
