"""Retirement: delete what old releases left, and nothing that anybody may still read (rule 7).

`retention` decides what may go. Here: marks first, then one move of the pointer that drops the going releases from
`previous` and makes every promotion or rollback decided before it lose its race, then the deletes, each after reading
the pointer again. A release that was half deleted is finished next time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Pointer

from kumo_assets.documents import LedgerEntry, Retirement, ServedDropped, utc_now
from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.pointers.limits import check_texts
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import past
from kumo_assets.releases.holds import written_holds
from kumo_assets.releases.operations.belongings import export_keys, named_elsewhere, own_table
from kumo_assets.releases.operations.move import move_pointer, must_have_room, record, refusals_recorded
from kumo_assets.releases.operations.protection import references
from kumo_assets.releases.operations.reconcile import record_quietly
from kumo_assets.releases.operations.retention import Plan, plan, releases_staged, tables_in
from kumo_assets.releases.operations.target import as_ours, next_generation
from kumo_assets.resources.dynamodb import tables
from kumo_assets.resources.dynamodb.imports import MOST_ATTEMPTS
from kumo_assets.resources.s3_objects import describing

__all__ = ["DropTables", "Plan", "plan", "retire"]

DropTables = Callable[[list[str]], None]


def retire(
    ctx: ReleaseContext,
    drop_tables: DropTables,
    *,
    by: str,
    run_id: str = "",
    now: datetime | None = None,
    planned: Plan | None = None,
) -> list[str]:
    """Delete what `plan` lets go; the releases retired. `drop_tables` drops Snowflake tables by unqualified name, and
    takes names that do not exist. `planned` is the plan, where the caller has just made it.

    Raises Refused (LostRace when the pointer moved meanwhile; then nothing was deleted), ReleaseError after all others
    were tried when something of a release could not be deleted: it stays marked, and is finished next time.
    """
    check_texts("retire releases of", ctx.query, by=by)
    record_quietly(ctx, ctx.pointers.read())
    planned = planned or plan(ctx, now)
    with refusals_recorded(ctx, "retire", by=by, run_id=run_id):
        return _retire(ctx, planned, drop_tables, by, run_id)


def _retire(ctx: ReleaseContext, planned: Plan, drop_tables: DropTables, by: str, run_id: str) -> list[str]:
    for table in planned.leftovers:
        _delete_tables(ctx, [table])
    if not planned.going:
        return []
    must_have_room(ctx, ctx.pointers.read())
    for release, reason in planned.going.items():
        ctx.store.mark_retiring(Retirement(query=ctx.query, release_id=release, at=utc_now(), by=by, reason=reason))
    try:
        _fence(ctx, planned, by, run_id)
    except Refused:
        _unmark_what_is_live(ctx, planned)
        raise
    referenced = references(ctx, ctx.store.listings())
    done: list[str] = []
    problems: list[str] = []
    for release, reason in planned.going.items():
        if release in referenced:
            problems.append(f"{release} was adopted by {referenced[release]} meanwhile, and stays")
            continue
        try:
            _delete(ctx, release, drop_tables, by)
            ctx.store.mark_retired(Retirement(query=ctx.query, release_id=release, at=utc_now(), by=by, reason=reason))
        except KumoAssetsError as error:
            problems.append(f"{release}: {error}")
            continue
        done.append(release)
        entry = LedgerEntry(
            query=ctx.query, at=utc_now(), action="retire", by=by, reason=reason, from_release=release, run_id=run_id
        )
        record(ctx, entry)
    if problems:
        raise ReleaseError(
            "retire all of",
            to=f"{ctx.query} that may go",
            found=f"{len(done)} are retired; {'; '.join(problems)}",
            next="run it again: what was begun is finished then",
        )
    return done


def _fence(ctx: ReleaseContext, planned: Plan, by: str, run_id: str) -> None:
    """Move the pointer on by one generation, with what goes taken out of `previous`. From here on, whoever decided to
    promote or roll back to one of these before they were marked writes over an old version, and loses."""
    current = _must_not_name(ctx, planned.going)
    kept = tuple(item for item in current.pointer.previous if item.release_id not in planned.going)
    pointer = as_ours(ctx, current, next_generation(ctx, current)).replace(previous=kept)
    move_pointer(
        ctx,
        pointer,
        current,
        action="retire",
        by=by,
        reason=f"{len(planned.going)} old releases go",
        from_release=pointer.release_id,
        run_id=run_id,
    )


def _unmark_what_is_live(ctx: ReleaseContext, planned: Plan) -> None:
    """A rollback that was decided before the marks may have put one of these live: it stays, and is no longer going.

    Only what the pointer names now, which nobody deletes: another retirement may go by the other marks.
    """
    current = ctx.pointers.read()
    for release in planned.going.keys() & (_named(current.pointer) if current is not None else set()):
        ctx.store.unmark_retiring(release)


def _named(pointer: Pointer) -> set[str]:
    ends = [end for hold in written_holds(pointer) for end in (hold.from_release, hold.to_release)]
    return {pointer.served_release_id, *releases_staged(pointer), *ends}


def _must_not_name(ctx: ReleaseContext, going: dict[str, str]) -> VersionedPointer:
    """The pointer, read now; Refused when it is gone, edited by hand, or names one of these."""
    current = ctx.pointers.read()
    if current is None or current.hand_edited:
        raise _refused(ctx, "the pointer was edited by hand or deleted meanwhile")
    named = _named(current.pointer)
    for release in going:
        if release in named:
            raise _refused(ctx, f"the pointer names {release} now")
    return current


def _refused(ctx: ReleaseContext, reason: str) -> Refused:
    return Refused(
        "retire releases of", to=ctx.query, found=reason, next="nothing more was deleted; look at `kumo-assets status`"
    )


def _delete(ctx: ReleaseContext, release: str, drop_tables: DropTables, by: str) -> None:
    """Tables first, then the export; the small objects stay, as the release's history."""
    names = ctx.names
    _must_not_name(ctx, {release: ""})
    _delete_tables(ctx, tables.list_tables(ctx.dynamodb, names.dynamodb_table(release)))
    warehouse = []
    for asset in ("predictions", "postprocessed"):
        artefact = past([], partial(ctx.store.artefact, release, asset))
        # Without a record nobody knows which attempt the release died in; dropping one that is not there costs nothing.
        last = artefact.attempt if artefact is not None else MOST_ATTEMPTS
        warehouse += [names.warehouse_table(release, asset, attempt) for attempt in range(1, last + 1)]
    sample: list[str] = []
    if ctx.definition is not None and ctx.definition.spec.outcomes is None:
        # Nobody counts from it any more; else `<query>/outcomes` drops it after the last age.
        warehouse += (sample := _sample(ctx, release))
    drop_tables(warehouse)
    if sample:
        gone = ServedDropped(query=ctx.query, release_id=release, at=utc_now(), by=by, reason="the release is retired")
        ctx.store.mark_served_dropped(gone)
    _delete_export(ctx, release)


def _sample(ctx: ReleaseContext, release: str) -> list[str]:
    served = past([], partial(ctx.store.served, release))
    return [served.table] if served is not None else []


def _delete_tables(ctx: ReleaseContext, names: list[str]) -> None:
    """Delete these tables, as far as they are ours, the pointers read right before: by the table's name too, which a person
    may have put there, or into another query's."""
    ours = [table for table in names if own_table(ctx, table)]
    elsewhere = named_elsewhere(ctx) if ours else {}
    for table in ours:
        current = ctx.pointers.read()
        if current is None or table in tables_in(current.pointer):
            raise _refused(ctx, f"the pointer names table {table}, or is gone")
        if table in elsewhere:
            raise _refused(ctx, f"{elsewhere[table]} names table {table}")
        tables.delete(ctx.dynamodb, table)


def _delete_export(ctx: ReleaseContext, release: str) -> None:
    with describing("delete the export", "what was begun is finished by the next retirement"):
        ctx.objects.delete_many(export_keys(ctx, release))
