"""Retirement: delete what old releases left, and nothing that anybody may still read (rule 7).

Kept: the active release and every one the pointer remembers, the target and origin of a hold, releases referenced by a
kept one, releases in flight, the newest `keep` sealed ones, those younger than the minimum age or the grace. The
pointer is read again right before each delete. A release that was half deleted is finished next time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kumo_serving.pointer import Pointer, release_of_table

from kumo_assets.errors import Refused
from kumo_assets.releases.documents import LedgerEntry, Retirement, utc_now
from kumo_assets.releases.operations.outside import Outside
from kumo_assets.releases.store import RETIRED, RETIRING, Listing
from kumo_assets.resources.dynamodb import tables

DropTables = Callable[[list[str]], None]


@dataclass(frozen=True)
class Plan:
    """What would go and what stays, each with its reason; and tables with our name that no release owns."""

    going: dict[str, str]
    kept: dict[str, str]
    orphans: list[str]


def plan(world: Outside, now: datetime | None = None) -> Plan:
    """What retirement would do now; nothing is changed."""
    moment = now or datetime.now(UTC)
    listed = world.store.listings()
    found = world.pointers.read()
    protected = _protected(world, found.pointer if found is not None else None, listed)
    policy = world.definition.spec.retention
    finished = [item for item in listed if not _gone(item)]
    newest = {
        item.release_id
        for item in sorted(
            (item for item in finished if item.sealed), key=lambda item: (item.release_id[:8], item.sealed_at or "")
        )[-policy.keep :]
    }
    oldest_kept = moment - max(timedelta(hours=policy.min_age_hours), timedelta(minutes=policy.grace_minutes))
    going: dict[str, str] = {}
    kept: dict[str, str] = {}
    for item in finished:
        release = item.release_id
        if RETIRING in item.files and release not in protected:
            going[release] = "half retired before"
            continue
        opened = world.store.opened(release)
        began = opened.opened_at if opened is not None else item.sealed_at
        why: str | None = (
            protected.get(release)
            or (f"one of the newest {policy.keep}" if release in newest else None)
            or (
                "younger than the minimum age"
                if began is None or datetime.fromisoformat(item.sealed_at or began) > oldest_kept
                else None
            )
        )
        if why is not None:
            kept[release] = why
        else:
            going[release] = "rejected" if item.rejected else "old" if item.sealed else "never sealed"
    owned = {item.release_id for item in listed}
    prefix = f"{world.store.names.environment}-{world.query}-"
    orphans = [
        name
        for name in tables.list_tables(world.dynamodb, prefix)
        if (release := release_of_table(name)) is not None
        and release not in owned
        and name.startswith(prefix + release)
    ]
    return Plan(going, kept, orphans)


def retire(world: Outside, drop_tables: DropTables, *, by: str, now: datetime | None = None) -> list[str]:
    """Delete what `plan` lets go; the releases retired. `drop_tables` drops Snowflake tables by unqualified name.

    Raises Refused when the pointer came to name a release between plan and delete: nothing of it is touched.
    """
    done = []
    for release, reason in plan(world, now).going.items():
        _check_again(world, release)
        note = Retirement(query=world.query, release_id=release, at=utc_now(), by=by, reason=reason)
        world.store.mark_retiring(note)
        _check_again(world, release)
        _delete(world, release, drop_tables)
        world.store.mark_retired(note)
        world.ledger.append(
            LedgerEntry(query=world.query, at=utc_now(), action="retire", by=by, reason=reason, from_release=release)
        )
        done.append(release)
    return done


def _gone(item: Listing) -> bool:
    return RETIRED in item.files


def _protected(world: Outside, pointer: Pointer | None, listed: list[Listing]) -> dict[str, str]:
    """Releases the pointer or a kept release needs, with why."""
    found: dict[str, str] = {}
    if pointer is not None:
        found[pointer.served_release_id] = "active"
        for earlier in pointer.previous[: world.definition.spec.retention.keep]:
            found.setdefault(earlier.release_id or release_of_table(earlier.table) or "", "a rollback target")
        if pointer.hold is not None:
            for release in (pointer.hold.from_release, pointer.hold.to_release):
                found.setdefault(release, "named by the hold")
    for item in listed:
        if not item.sealed and not item.retired and _in_flight(world, item):
            found.setdefault(item.release_id, "being built")
    for release in list(found):
        opened = world.store.opened(release) if release else None
        for other in opened.adopted.values() if opened is not None else ():
            found.setdefault(other, f"adopted by {release}")
    found.pop("", None)
    return found


def _in_flight(world: Outside, item: Listing) -> bool:
    """An unsealed release counts as being built for a day: no chain runs longer than its deadlines."""
    opened = world.store.opened(item.release_id)
    if opened is None:
        return True
    return datetime.now(UTC) - datetime.fromisoformat(opened.opened_at) < timedelta(days=1)


def _check_again(world: Outside, release: str) -> None:
    found = world.pointers.read()
    pointer = found.pointer if found is not None else None
    if pointer is not None and release in (pointer.served_release_id, pointer.hold.to_release if pointer.hold else ""):
        raise Refused(
            "retire",
            to=f"{release} of {world.query}",
            found="the pointer names it now",
            next="nothing was deleted; ask again",
        )


def _delete(world: Outside, release: str, drop_tables: DropTables) -> None:
    """Tables first, then the export; the small objects stay, as the release's history."""
    names = world.store.names
    for table in tables.list_tables(world.dynamodb, names.dynamodb_table(release)):
        tables.delete(world.dynamodb, table)
    warehouse = []
    for asset in ("predictions", "postprocessed"):
        artefact = world.store.artefact(release, asset)
        if artefact is not None:
            warehouse += [names.warehouse_table(release, asset, attempt) for attempt in range(1, artefact.attempt + 1)]
        else:
            warehouse.append(names.warehouse_table(release, asset))
    drop_tables(warehouse)
    pages = world.store.s3.get_paginator("list_objects_v2").paginate(
        Bucket=names.bucket, Prefix=names.release_prefix(release) + "export"
    )
    for page in pages:
        for item in page.get("Contents", []):
            world.store.s3.delete_object(Bucket=names.bucket, Key=item["Key"])
