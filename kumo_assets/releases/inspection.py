"""Stray and damaged objects of a query: found from one listing, and said, because everything else reads past them.

An object is read again only when S3 dates it anew. What a damaged document means for its release is decided in `decision`
and `operations.retention`; here nothing is decided and nothing changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from kumo_assets.config.names import ReleaseId
from kumo_assets.errors import DamagedDocument
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import damage
from kumo_assets.releases.ledger import is_entry
from kumo_assets.releases.listing import RETIRED, WRITTEN_IN_RELEASE

# How many objects one look reads at most. The rest are read by the next look, or by retirement, which reads all.
MOST_READ = 1000
EVERY = timedelta(minutes=5)
_UNREAD = re.compile(r"(statistics/.*|fallback\.json)")


def inspect(ctx: ReleaseContext, most: int = MOST_READ) -> list[str]:
    """A sentence for each stray or damaged object of the query. What was written last is read first: a person's work on a
    document shows in its time. Raises ObjectStoreError."""
    listed = {item.key: item.modified for item in ctx.objects.list(ctx.names.root)}
    found = [f"{ctx.objects.uri(key)} is foreign: it is left, and read past" for key in _foreign(ctx, listed)]
    good = ctx.cache.inspections.good
    unread = [key for key in _documents(ctx, listed) if good.get(key) != listed[key]]
    unread = sorted(unread, key=lambda key: (listed[key], key), reverse=True)[:most]
    with ThreadPoolExecutor(max_workers=16) as pool:
        for key, fault in zip(unread, pool.map(lambda key: _fault(ctx, key), unread), strict=True):
            if fault is None:
                good[key] = listed[key]
            else:
                found.append(f"{fault}; it is read past, and counts in nobody's favour")
    return found


def inspected(ctx: ReleaseContext, now: datetime, most: int) -> list[str]:
    """The same, for one who asks every few seconds: looked at anew after a while."""
    at, found = ctx.cache.inspections.last.get(ctx.names.root, (None, []))
    if at is None or now - at >= EVERY:
        found = inspect(ctx, most)
        ctx.cache.inspections.last[ctx.names.root] = (now, found)
    return found


def _foreign(ctx: ReleaseContext, listed: Mapping[str, datetime]) -> list[str]:
    """Keys in the ledger and among the releases that nothing of ours wrote. A folder's own marker is none."""
    found = []
    for key in listed:
        if key.endswith("/"):
            continue
        ledger, release, name = _place(ctx, key)
        if (ledger is not None and not is_entry(ledger)) or (
            release is not None and (ReleaseId.parse(release) is None or not WRITTEN_IN_RELEASE.match(name))
        ):
            found.append(key)
    return found


def _documents(ctx: ReleaseContext, listed: Mapping[str, datetime]) -> list[str]:
    """Keys of the documents that are read to decide something: of a retired release only its mark."""
    retired = {release for key in listed for _, release, name in [_place(ctx, key)] if name == RETIRED}
    found = []
    for key in listed:
        ledger, release, name = _place(ctx, key)
        if ledger is not None and is_entry(ledger):
            found.append(key)
        elif release is not None and ReleaseId.parse(release) is not None and name.endswith(".json"):
            known = WRITTEN_IN_RELEASE.fullmatch(name) and not _UNREAD.fullmatch(name)
            if known and (release not in retired or name == RETIRED):
                found.append(key)
    return found


def _place(ctx: ReleaseContext, key: str) -> tuple[str | None, str | None, str]:
    """Where a key is: a name in the ledger, or a release and a name in its folder."""
    if key.startswith(ctx.names.ledger_prefix):
        return key.removeprefix(ctx.names.ledger_prefix), None, ""
    if key.startswith(ctx.names.releases_prefix):
        release, _, name = key.removeprefix(ctx.names.releases_prefix).partition("/")
        return None, release, name
    return None, None, ""


def _fault(ctx: ReleaseContext, key: str) -> str | None:
    """What is wrong with one document, None when nothing is."""
    ledger, release, name = _place(ctx, key)
    try:
        if ledger is not None:
            ctx.ledger.entry(ledger)
        elif release is not None:
            ctx.store.document(release, name)
    except DamagedDocument as error:
        return damage(error)
    return None
