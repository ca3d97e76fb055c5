"""What the documents and the ledger of a query protect from retirement, also where some of them cannot be read.

A damaged document never counts in anybody's favour: what it may protect is not retired. Which releases go in the end is
decided in `retention`.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from kumo_assets.config.names import CHAIN
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import DamagedDocument
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import damage
from kumo_assets.releases.listing import FORCED, OPENED, REJECTED, RETIRED, RETIRING, SEAL, Listing
from kumo_assets.releases.moves import Faults, faults_of, missing_from
from kumo_assets.releases.references import being_read


@dataclass(frozen=True)
class Suspects:
    """What entries that cannot be read may say: which releases may have been active, and which forced."""

    active: set[str]
    forced: set[str]


@dataclass(frozen=True)
class LedgerFacts:
    """The ledger as read: its entries with the later of their writer's time and S3's (a clock that is behind must not
    shorten the grace), when S3 took each object by name, and the times of those that cannot be read."""

    dated: list[tuple[LedgerEntry, datetime]]
    times: dict[str, datetime]
    unread: list[datetime]
    faults: Faults

    @property
    def entries(self) -> list[LedgerEntry]:
        return [entry for entry, _ in self.dated]

    def suspects(self, ours: Iterable[Listing]) -> Suspects:
        """Nobody, when every entry could be read."""
        if not self.unread:
            return Suspects(set(), set())
        whole = {item.release_id for item in ours if item.sealed and not item.rejected and not item.retired}
        forced = {item.release_id for item in ours if FORCED in item.files}
        return Suspects(whole - forced, forced)


def read_ledger(ctx: ReleaseContext, found: VersionedPointer) -> LedgerFacts:
    """The whole ledger, and the moves that only the pointer document names. Raises ObjectStoreError."""
    times = ctx.ledger.listed_since()
    recorded = ctx.ledger.read(list(times))
    unread = times.keys() - {one.name for one in recorded}
    told = missing_from(recorded, ctx.query, found)
    recorded += told
    # S3 dates them no later than the document that names them.
    times |= dict.fromkeys((record.name for record in told), found.modified)
    dated = [(one.entry, max(datetime.fromisoformat(one.entry.at), times[one.name])) for one in recorded]
    return LedgerFacts(dated, times, [times[name] for name in unread], faults_of(recorded, found))


def retired_in(ctx: ReleaseContext, listed: Iterable[Listing]) -> set[str]:
    """Releases that were retired to the end. A mark that cannot be read is none."""
    marked = [item for item in listed if RETIRED in item.files]
    with ThreadPoolExecutor(max_workers=16) as pool:
        read = pool.map(lambda item: _fault(ctx, item.release_id, [RETIRED]), marked)
        return {item.release_id for item, fault in zip(marked, read, strict=True) if fault is None}


def damage_in(ctx: ReleaseContext, ours: Iterable[Listing]) -> dict[str, str]:
    """Release -> its first document that cannot be believed, of those that decide what becomes of it."""
    deciding = {OPENED, SEAL, REJECTED, FORCED, RETIRING, RETIRED}
    items = list(ours)
    with ThreadPoolExecutor(max_workers=16) as pool:
        faults = pool.map(lambda item: _fault(ctx, item.release_id, sorted(deciding & item.files)), items)
        return {item.release_id: fault for item, fault in zip(items, faults, strict=True) if fault is not None}


def references(ctx: ReleaseContext, listed: list[Listing]) -> dict[str, str]:
    """Release -> one that adopted artefacts of it and is not retired, or is being built from its table.

    What one with a damaged `opened.json` or seal adopted, nobody can say: then every release counts that has an artefact
    which that one does not have itself.
    """
    found: dict[str, str] = {}
    retired = retired_in(ctx, listed)
    living = [item for item in listed if item.release_id not in retired and OPENED in item.files]
    with ThreadPoolExecutor(max_workers=16) as pool:
        for item, homes in zip(living, pool.map(partial(_homes, ctx, listed), living), strict=True):
            for home in homes:
                found.setdefault(home, item.release_id)
    return being_read(ctx, listed) | found


def _homes(ctx: ReleaseContext, listed: list[Listing], item: Listing) -> set[str]:
    try:
        if item.sealed:
            ctx.store.sealed(item.release_id)
        opened = ctx.store.opened(item.release_id)
        return set(opened.adopted.values()) if opened is not None else set()
    except DamagedDocument:
        records = {f"artefacts/{asset}.json" for asset in CHAIN[:-1]}
        lacking = records - item.files
        return {other.release_id for other in listed if other is not item and lacking & other.files}


def _fault(ctx: ReleaseContext, release: str, names: Iterable[str]) -> str | None:
    """The first of these documents of a release that cannot be believed."""
    for name in names:
        try:
            ctx.store.document(release, name)
        except DamagedDocument as error:
            return damage(error)
    return None
