"""Stray and damaged objects of a query: found from one listing, and said, because everything else reads past them.

An object is read again only when S3 dates it anew. What a damaged document means for its release is decided in `decision`
and `operations.retention`; here nothing is decided and nothing changed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from kumo_serving.errors import PointerMalformed

from kumo_assets.config.names import ReleaseId
from kumo_assets.errors import DamagedDocument
from kumo_assets.pointers.document import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import damage
from kumo_assets.releases.ledger import Ledger, is_entry
from kumo_assets.releases.listing import RETIRED, SEAL, WRITTEN_IN_RELEASE, is_foreign
from kumo_assets.releases.recent import ONE, Recent, first_partition, list_recent
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.s3_objects import ObjectStore

# How many objects one look reads at most. The rest are read by the next look, or by retirement, which reads all.
MOST_READ = 1000
EVERY = timedelta(minutes=5)
# What is older than `recent.ONE` reaches is looked at so often by one who asks all the time; so many of its documents are
# read then. The first time comes within the first hour, not for all queries at once.
EVERY_OLD, FIRST_OLD, MOST_OLD = timedelta(hours=24), timedelta(hours=1), 300
_UNREAD = re.compile(r"(statistics/.*|fallback\.json)")


def inspect(ctx: ReleaseContext, most: int = MOST_READ, seen: Recent | None = None) -> list[str]:
    """A sentence for each stray or damaged object of the query; of those that are not older than what was `seen`, and of
    the ledger's entries since then, where that is given. What was written last is read first: a person's work on a document
    shows in its time. Raises ObjectStoreError."""
    return list(_look(ctx, most, _listed(ctx, seen)).values())


def _look(ctx: ReleaseContext, most: int, listed: Mapping[str, datetime]) -> dict[str, str]:
    """Key -> sentence, for what is stray or damaged of the objects that are listed."""
    found = {key: f"{ctx.objects.uri(key)} is foreign: it is left, and read past" for key in _foreign(ctx, listed)}
    good, bad = ctx.cache.inspections.good, ctx.cache.inspections.bad
    documents = _documents(ctx, listed)
    changed = {key for key in documents if key in good and good[key] != listed[key]}
    # Whether a seal holds depends on the documents beside it.
    changed |= {seal for key in changed for seal in [_seal_beside(ctx, key)] if seal in listed}
    unread = {key for key in documents if key not in good} - bad
    again = changed | (bad & set(documents))
    keys = sorted(unread, key=lambda key: (listed[key], key), reverse=True)[:most] + sorted(again)
    # What was cached before it changed is no longer what is stored.
    objects = ObjectStore(ctx.objects.bucket, ctx.objects.client)
    anew = (ReleaseStore(ctx.names, objects), Ledger(ctx.names, objects))

    def fault(key: str) -> str | None:
        return _fault(ctx, *(anew if key in again else (ctx.store, ctx.ledger)), key)

    with ThreadPoolExecutor(max_workers=16) as pool:
        for key, wrong in zip(keys, pool.map(fault, keys), strict=True):
            good.pop(key, None)
            bad.discard(key)
            if wrong is None:
                good[key] = listed[key]
            else:
                bad.add(key)
                found[key] = f"{wrong}; it is read past, and counts in nobody's favour"
    return found


def inspected(ctx: ReleaseContext, now: datetime, most: int, current: VersionedPointer | None = None) -> list[str]:
    """The same, for one who asks every few seconds: the last two weeks are looked at anew after minutes, what is older once
    a day. `current` is the pointer when it was read already."""
    kept, root = ctx.cache.inspections, ctx.names.root
    at, found = kept.last.get(root, (None, []))
    if at is not None and now - at < EVERY:
        return found
    seen = list_recent(ctx, _since(ctx, current))
    recent = _listed(ctx, seen)
    wrong = _look(ctx, most, recent)
    if seen.since is not None:
        due, old = kept.old.get(root, (now + FIRST_OLD * (zlib.crc32(root.encode()) / 2**32), {}))
        if now >= due:
            every = _listed(ctx, None)
            old = _look(ctx, MOST_OLD, {key: written for key, written in every.items() if key not in recent})
            due = now + EVERY_OLD
        kept.old[root] = due, old
        wrong |= {key: words for key, words in old.items() if key not in recent}
    kept.last[root] = now, list(wrong.values())
    return kept.last[root][1]


def _since(ctx: ReleaseContext, current: VersionedPointer | None) -> str | None:
    """The first partition that is recent; None, for all, where nobody can say what is active."""
    try:
        current = current or ctx.pointers.read()
    except PointerMalformed:
        return None
    return first_partition(current.pointer if current is not None else None, ONE.days)


def _listed(ctx: ReleaseContext, seen: Recent | None) -> dict[str, datetime]:
    """When each object was written, by key."""
    if seen is None or seen.since is None:
        return {item.key: item.modified for item in ctx.objects.list(ctx.names.root)}
    # Names of entries begin with the day of the move, which is that of the partition or a later one.
    ledger = ctx.names.ledger_prefix
    entries = ctx.objects.list(ledger, after=ledger + seen.since.replace("-", ""))
    return {**seen.objects, **{item.key: item.modified for item in entries}}


def _foreign(ctx: ReleaseContext, listed: Mapping[str, datetime]) -> list[str]:
    """Keys in the ledger and among the releases that nothing of ours wrote."""
    found = []
    for key in listed:
        entry, release, _ = _place(ctx, key)
        note = entry is not None and not key.endswith("/") and not is_entry(entry)
        if note or (release is not None and is_foreign(ctx.names, key)):
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


def _seal_beside(ctx: ReleaseContext, key: str) -> str:
    """The key of the seal of the release that a document is of; "" for an entry of the ledger."""
    _, release, _ = _place(ctx, key)
    return f"{ctx.names.releases_prefix}{release}/{SEAL}" if release is not None else ""


def _fault(ctx: ReleaseContext, store: ReleaseStore, ledger: Ledger, key: str) -> str | None:
    """What is wrong with one document, None when nothing is."""
    entry, release, name = _place(ctx, key)
    try:
        if entry is not None:
            ledger.entry(entry)
        elif release is not None:
            store.document(release, name)
    except DamagedDocument as error:
        return damage(error)
    return None
