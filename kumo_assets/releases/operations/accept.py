"""Accepting that a query's history is not whole: a person says so once, with a reason, and retirement works again.

The entry is the ledger's own, so that it lasts as long as what it accepts. What is wrong with a history is in
`releases.moves`.
"""

from __future__ import annotations

from kumo_assets.documents import LedgerEntry, utc_now
from kumo_assets.errors import Refused
from kumo_assets.pointers.limits import check_texts
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.moves import faults, read_or_raw, shown
from kumo_assets.releases.operations.reconcile import record_moves


def accept_hole(ctx: ReleaseContext, generation: int, *, by: str, reason: str) -> tuple[int, int]:
    """Accept the hole that `generation` is in, or that two entries have it; its first and last generation.

    Raises ConfigError without a reason, Refused when nothing is wrong there, ReleaseError when the ledger does not take
    it. What only the pointer names is recorded first: it is not lost.
    """
    doing = "accept a hole in the history of"
    check_texts(doing, ctx.query, by=by, reason=reason)
    found = read_or_raw(ctx)
    record_moves(ctx, found)
    span = faults(ctx, found, newest=None).found_at(generation)
    if span is None:
        raise Refused(
            doing,
            to=ctx.query,
            found=f"nothing is wrong with generation {generation}",
            next=f"kumo-assets status {ctx.query} names what is",
        )
    what = f"accepts generation {shown(span)}: {reason}"
    ctx.ledger.append(LedgerEntry(query=ctx.query, at=utc_now(), action="hand_edit", by=by, reason=what, accepts=span))
    return span
