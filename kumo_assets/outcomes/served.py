"""The sample of what a release serves: one CREATE TABLE AS of the chain, before the seal, and its record.

The table outlives the release's other tables. An entity is in the sample by a hash of its text, with a threshold: the same
hash in every release, so that samples of releases of any size share as many entities as can be (permanent random numbers;
Ohlsson, "Coordination of samples using permanent random numbers", 1995).
"""

from __future__ import annotations

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Artefact, Opened, Served, WarehouseDetails, utc_now
from kumo_assets.outcomes.text import shipped
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.creating import create_once
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table

# The hash is looked at in so many parts: a share of it is a whole number of them.
PARTS = 1_000_000


def kept_parts(entities: int, wanted: int) -> int:
    """How many of the PARTS are kept, so that about `wanted` of the `entities` are in the sample; all when fewer."""
    return PARTS if entities <= wanted else max(1, round(PARTS * wanted / entities))


def keep_sample(
    store: ReleaseStore, opened: Opened, definition: QueryDefinition, warehouse: Warehouse, artefact: Artefact
) -> Served | None:
    """Keep a sample of the post-processed table `artefact`, or find that it was kept. None for a query without outcomes.

    One statement. The sample belongs to the release that made the table, which may be one that `opened` adopted. Raises
    WarehouseError.
    """
    settings = definition.spec.outcomes
    if settings is None:
        return None
    home = store.home(opened, artefact.asset)
    found = store.served(home)
    if found is not None:
        return found
    name = store.names.served_table(home)
    parts = kept_parts(artefact.entities, settings.sample)
    create_once(warehouse, name, _select(artefact, parts), doing=f"keep a sample of {artefact.name} as {name}")
    return store.write_served(
        Served(
            query=definition.name,
            release_id=home,
            partition=opened.partition,
            task=definition.spec.task,
            top_k=definition.spec.top_k,
            table=name,
            database=warehouse.database,
            schema=warehouse.schema,
            entities=artefact.entities,
            share=parts / PARTS,
            taken_at=utc_now(),
        )
    )


def _select(artefact: Artefact, parts: int) -> str:
    place = artefact.details_as(WarehouseDetails)
    source = table(place.database, place.schema_name, artefact.name)
    if parts == PARTS:
        return f"SELECT * FROM {source}"  # noqa: S608 - quoted
    return shipped("served.sql", postprocessed=source, all_parts=str(PARTS), parts=str(parts))
