"""How far back a look goes: after three years a query has a thousand releases, and a listing of all takes seconds.

S3 lists in order of keys and cannot begin at the newest. Release ids and names of the ledger's entries begin with a date,
so that a listing can begin some days before the active release. What decides about deleting never looks through here: it
reads everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from kumo_serving.pointer import Pointer

from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import Listing, gathered
from kumo_assets.resources.s3_objects import Listed


@dataclass(frozen=True)
class Reach:
    """How much a look takes in: releases from so many `days` before the active partition on (None: all), so many
    `documents` read to see whether they are damaged, so many of the ledger's newest `entries`."""

    days: int | None
    documents: int
    entries: int


# What `status` of one query looks at, of each of several queries, and on request.
ONE, SEVERAL, EVERYTHING = Reach(14, 64, 64), Reach(2, 0, 8), Reach(None, 100_000, 64)


@dataclass(frozen=True)
class Recent:
    """What listings show of the releases from `since` on (None: of all), by key and by release."""

    since: str | None
    objects: Mapping[str, datetime]
    releases: Sequence[Listing]


def first_partition(pointer: Pointer | None, days: int | None) -> str | None:
    """The partition `days` before the one served; None where the pointer names no partition, or all are wanted."""
    served = [pointer.served_partition, *(item.partition for item in pointer.previous)] if pointer is not None else []
    # A person may have written a partition that is no day.
    known = [day for day in map(_day, served) if day is not None]
    return (known[0] - timedelta(days=days)).isoformat() if known and days is not None else None


def _day(partition: str) -> date | None:
    try:
        return date.fromisoformat(partition)
    except ValueError:
        return None


def list_recent(ctx: ReleaseContext, since: str | None) -> Recent:
    """One listing of the releases of the partition `since` and later ones. Raises ObjectStoreError."""
    root = ctx.names.releases_prefix
    found: list[Listed] = list(ctx.objects.list(root, after=ctx.names.day_prefix(since) if since else None))
    return Recent(since, {item.key: item.modified for item in found}, gathered(found, root))
