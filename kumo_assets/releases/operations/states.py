"""Every release with its state, derived from what is stored and never stored itself; and the last one a gate stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from kumo_serving.errors import PointerMalformed
from kumo_serving.pointer import Pointer, partition_of_release, release_of_table

from kumo_assets.documents import IMPORT_GATE, Verdict
from kumo_assets.errors import DamagedDocument
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import decide
from kumo_assets.releases.evidence import candidate_of, damage, past, served_release
from kumo_assets.releases.listing import RETIRED, Listing
from kumo_assets.releases.recent import first_partition

# Unsealed releases before the active one in which the last block is looked for.
MOST_LOOKED_AT = 5


@dataclass(frozen=True)
class ReleaseView:
    """One release with its derived state."""

    release_id: str
    partition: str
    state: str
    sealed_at: str | None
    counts: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    words: str = ""


def releases(ctx: ReleaseContext, limit: int | None = None) -> list[ReleaseView]:
    """The newest `limit` releases (all without one), newest first, with state, counts and verdicts. A damaged pointer makes
    none of them active."""
    try:
        found = ctx.pointers.read()
    except PointerMalformed:
        found = None
    pointer = found.pointer if found is not None else None
    newest = sorted(
        _listed(ctx, pointer, limit), key=lambda item: (item.partition, item.sealed_at or "~"), reverse=True
    )
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(lambda item: _view(ctx, item, pointer), newest[:limit]))


def _listed(ctx: ReleaseContext, pointer: Pointer | None, limit: int | None) -> list[Listing]:
    """The newest `limit` releases at least, from a listing that begins so many days before the active one, if there are so
    many after that; else all."""
    since = first_partition(pointer, limit)
    found = ctx.store.listings(since)
    if since is not None and len(found) < (limit or 0):
        found = ctx.store.listings()
    return found


def last_block(ctx: ReleaseContext, listed: list[Listing], active: str) -> dict[str, str] | None:
    """The newest release that a gate stopped, with the gate's words. `resolved` is "yes" once the active release is as
    new as it, else "". All releases after the active one are looked at, and a few unsealed ones before it."""
    before = 0
    day = partition_of_release(active)
    for item in sorted(listed, key=lambda item: (item.partition, item.touched), reverse=True):
        newer = item.partition > day
        if item.retired or item.release_id == active or (item.sealed and item.partition < day):
            continue
        if not newer:
            before += 1
            if before > MOST_LOOKED_AT:
                return None
        for verdict in _stored_verdicts(ctx, item):
            if verdict.blocks or (verdict.gate == IMPORT_GATE and not verdict.passed):
                return {
                    "release_id": item.release_id,
                    "partition": verdict.partition,
                    "gate": verdict.gate,
                    "message": verdict.message,
                    "at": verdict.decided_at,
                    "resolved": "" if newer else "yes",
                }
    return None


def _stored_verdicts(ctx: ReleaseContext, item: Listing) -> list[Verdict]:
    """The verdicts that the listing shows, by gate, without damaged ones: no second listing. The seal freezes them."""
    return list(ctx.store.verdicts_in(item.release_id, item.files, once=item.sealed).values())


def _view(ctx: ReleaseContext, item: Listing, pointer: Pointer | None) -> ReleaseView:
    sealed = past([], lambda: ctx.store.sealed(item.release_id)) if item.sealed else None
    state, words = _state(item, pointer, ctx)
    return ReleaseView(
        release_id=item.release_id,
        partition=item.partition,
        state=state,
        sealed_at=item.sealed_at,
        counts=sealed.seal.counts.model_dump() if sealed is not None else {},
        verdicts={verdict.gate: verdict.severity for verdict in _stored_verdicts(ctx, item)},
        words=words,
    )


def _state(item: Listing, pointer: Pointer | None, ctx: ReleaseContext) -> tuple[str, str]:
    release = item.release_id
    if pointer is not None and release == served_release(ctx, pointer):
        notes = ["forced"] if pointer.forced is not None and not pointer.edited else []
        notes += ["rejected: a rollback from it was begun and not finished"] if item.rejected else []
        return "active", "; ".join(notes)
    if item.retired:
        return "retired" if RETIRED in item.files else "retiring", ""
    if item.rejected:
        damaged: list[DamagedDocument] = []
        rejection = past(damaged, lambda: ctx.store.rejection(release))
        return "rejected", rejection.reason if rejection is not None else "; ".join(map(damage, damaged))
    if pointer is not None and release in {_id(entry.release_id, entry.table) for entry in pointer.previous}:
        return "previous", ""
    if pointer is not None and pointer.staged is not None and release == pointer.staged.served_release_id:
        return "staged", "waits for a person's approval"
    decision = decide(candidate_of(ctx, release, item, frozen=item.sealed), None)
    if decision.outcome == "blocked":
        return "blocked", decision.reason
    if not item.sealed:
        return "building", decision.reason
    # Sealed, and a rule will never let it go live: counts that disagree, a seal of another release.
    return "candidate", decision.reason if decision.outcome == "refuse" else ""


def _id(release: str, table: str) -> str:
    return release or release_of_table(table) or ""
