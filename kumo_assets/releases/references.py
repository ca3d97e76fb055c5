"""Tables of other releases that a release is built from: `{{ active }}` and `{{ query.spend }}` of a `postprocess.sql`.

Here: which table a name stands for, recorded once, and which releases must not be retired meanwhile. The note beside the
release that is read comes first, then a look at whether that release is being retired; retirement marks a release, then
looks for notes. So one of the two always sees the other. How the names get into SQL is in `assets.postprocess_sql`.

| the pointer | `{{ active }}` | `{{ query.x }}` |
|---|---|---|
| none, and none in the ledger: nothing was ever active | an empty table | refused |
| none, though the ledger knows one | refused | refused |
| edited by hand to the table of a sealed release of its query | that release's | that release's |
| edited by hand to any other table, or damaged | refused | refused |
| names a release that is retired, or whose Snowflake table is gone | refused | refused |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kumo_assets.config.names import QueryNames, ReleaseId
from kumo_assets.documents import Opened, Reference, ReferredTable, WarehouseDetails, utc_now
from kumo_assets.errors import ConfigError, ReleaseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import OPENED, READERS, RETIRED, SEAL, Listing
from kumo_assets.releases.store import ReleaseStore

ACTIVE = "active"
ASSET = "postprocessed"


def resolve(
    store: ReleaseStore,
    opened: Opened,
    name: str,
    source: ReleaseContext,
    exists: Callable[[ReferredTable], bool],
) -> Reference:
    """What `name` stands for in this release: as recorded, else what the pointer of `source` says now, recorded.

    `source` is the query that the name means; `exists` says whether a Snowflake table is there. Raises ReleaseError for
    what the table above refuses, PointerError for a damaged pointer.
    """
    recorded = store.reference(opened.release_id, name)
    if recorded is None:
        recorded = store.write_reference(
            Reference(
                query=opened.query,
                release_id=opened.release_id,
                name=name,
                resolved_at=utc_now(),
                source=_active_table(store, opened, name, source, exists),
            )
        )
    elif recorded.source is not None and not exists(recorded.source):
        raise _refused(
            opened,
            name,
            f"{recorded.source.table}, which this release recorded at {recorded.resolved_at}, is not in Snowflake any more",
            "build a new release (kumo-assets materialize --fresh)",
        )
    return recorded


def _active_table(
    store: ReleaseStore, opened: Opened, name: str, source: ReleaseContext, exists: Callable[[ReferredTable], bool]
) -> ReferredTable | None:
    found = source.pointers.read()
    if found is None:
        if name == ACTIVE and not source.ledger.moves():
            return None
        raise _refused(
            opened,
            name,
            f"no release of {source.query} is active",
            f"promote one (kumo-assets promote {source.query}), or leave the placeholder out until then",
        )
    release = found.pointer.served_release_id
    sealed = source.store.sealed(release) if release else None
    if sealed is None or sealed.seal.table != found.pointer.table:
        raise _refused(
            opened,
            name,
            f"the pointer of {source.query} names table {found.pointer.table}, which is of no sealed release: nobody "
            "knows the list behind it",
            f"kumo-assets status {source.query} says how to put a release there",
        )
    home = _home(source, release)
    artefact = source.store.artefact(home, ASSET)
    if artefact is None:
        raise _refused(
            opened,
            name,
            f"{home} of {source.query} has no record of its {ASSET} table",
            f"build and promote a release of {source.query}",
        )
    place = artefact.details_as(WarehouseDetails)
    table = ReferredTable(
        query=source.query,
        release_id=release,
        home=home,
        database=place.database,
        schema=place.schema_name,
        table=artefact.name,
    )
    # The note first, then the look: see the module's beginning.
    source.store.mark_read(home, store.names, opened.release_id)
    if source.store.retirement(home) is not None or not exists(table):
        raise _refused(
            opened,
            name,
            f"{table.table} of release {home} of {source.query} is retired, or is not in Snowflake any more",
            f"build and promote a release of {source.query}",
        )
    return table


def _home(source: ReleaseContext, release: str) -> str:
    opened = source.store.opened(release)
    return source.store.home(opened, ASSET) if opened is not None else release


def being_read(ctx: ReleaseContext, listed: Iterable[Listing]) -> dict[str, str]:
    """Release of this query -> a release, of this or another query, that is being built from its table.

    Being built ends with the seal, or with the retirement of a release that was never sealed.
    """
    found: dict[str, str] = {}
    for item in listed:
        for file in sorted(item.files):
            query, _, reading = file.removeprefix(READERS).partition("-") if file.startswith(READERS) else ("", "", "")
            if query and ReleaseId.parse(reading) is not None and _is_building(ctx, query, reading):
                found.setdefault(item.release_id, f"{reading} of {query}, which is being built from its table")
    return found


def _is_building(ctx: ReleaseContext, query: str, release: str) -> bool:
    try:
        prefix = QueryNames(ctx.names.environment, query, ctx.names.bucket).release_prefix(release)
    except ConfigError:
        return False  # no name of ours
    there = [ctx.objects.exists(prefix + file) for file in (OPENED, SEAL, RETIRED)]
    return there == [True, False, False]


def _refused(opened: Opened, name: str, found: str, next_step: str) -> ReleaseError:
    return ReleaseError(
        f"fill in {{{{ {name} }}}} of postprocess.sql for release",
        to=f"{opened.release_id} of {opened.query}",
        found=found,
        next=next_step,
    )
