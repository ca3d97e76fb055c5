"""Giving way to a hand: a person put an old document back while a move was being decided, and the move's compare-and-set
went over it, because equal documents have equal ETags.

What the person put there is put back, with a hold of its own (rule 9). Noticing it by the bucket's versions is in
`pointers.s3`; by the ledger, here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Hold

from kumo_assets.documents import LedgerEntry, utc_now
from kumo_assets.errors import LostRace, Refused, ReleaseError
from kumo_assets.pointers.document import Unrecorded, VersionedPointer, fitted
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.holds import HAND, with_holds, written_holds
from kumo_assets.releases.ledger import is_move
from kumo_assets.releases.moves import known_moves
from kumo_assets.releases.operations.reconcile import reconcile
from kumo_assets.releases.operations.target import as_ours, next_generation

log = logging.getLogger(__name__)


def forked(ctx: ReleaseContext, current: VersionedPointer, written: VersionedPointer) -> bool:
    """True when the ledger knows another move of the generation that was written: a hand put `current` back over it."""
    since = current.move.at if current.move is not None else None
    try:
        names = ctx.ledger.names_since(datetime.fromisoformat(since) if since is not None else None)
        others = [record for record in ctx.ledger.read(names) if not record.name.endswith(f"-{written.mark}.json")]
    except ReleaseError:
        return False  # whoever finds two entries of one generation later says so
    return any(is_move(record.entry) and record.entry.generation == written.pointer.generation for record in others)


def give_way(
    ctx: ReleaseContext, current: VersionedPointer, written: VersionedPointer, kept: Sequence[Unrecorded]
) -> Refused:
    """Put back what a hand had put there and the move went over, with that hand's hold; the refusal to raise.

    Raises LostRace when somebody has moved on from what was written. The move that went over the hand is in the ledger
    only when no other has its generation.
    """
    assert written.move is not None
    if written.pointer.generation not in {entry.generation for entry in known_moves(ctx, current)}:
        kept = (*kept, Unrecorded(written.move, written.mark))
    reason = f"an old pointer was put back by hand while {written.move.shown_action} to {written.pointer.table} was under way"
    now = utc_now()
    generation = max(next_generation(ctx, current), written.pointer.generation + 1)
    holds = (*written_holds(current.pointer), Hold(by=HAND, at=now, reason=reason))
    entry = LedgerEntry(
        query=ctx.query,
        at=now,
        action="hold",
        by=HAND,
        reason=reason,
        from_release=written.pointer.release_id,
        to_release=current.pointer.served_release_id,
        generation=generation,
    )
    pointer, kept = fitted(with_holds(as_ours(ctx, current, generation), holds), entry, kept)
    again = ctx.pointers.write(pointer, entry, written.version, kept)
    try:
        reconcile(ctx, again)
    except KumoAssetsError as error:
        log.warning("%s", error)
    return LostRace(
        "move the active pointer",
        to=ctx.pointers.uri,
        found=f"{reason}; that one is served again, and counts as a hold",
        next=f"kumo-assets status {ctx.query}; kumo-assets unhold {ctx.query}, once the hand has done its work",
    )
