"""Whether Snowflake compiles a query's `postprocess.sql`, and whether its columns are those to serve: asked before the
source is paid for, and by `doctor`.

Tables that releases make are stood in for by empty temporary ones; raw logs are the real ones. No row is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from kumo_serving.errors import KumoAssetsError

from kumo_assets.assets.postprocess_proof import prove_shape
from kumo_assets.assets.postprocess_sql import (
    FILE,
    empty_tables,
    fixed_values,
    has_file,
    query_meant,
    referred,
    served_columns,
    user_sql,
)
from kumo_assets.assets.step import predictions_of
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.partitions import last_full_day
from kumo_assets.errors import WarehouseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.sources.columns import possible_columns


def try_file(
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    others: Mapping[str, QueryDefinition],
    warehouse: Warehouse,
    *,
    partition: str = "",
    known: Mapping[str, str] | None = None,
) -> str:
    """Compile the query's file; what was seen, "" when it has none. `others` are the queries that its placeholders name.

    The types of keys are known only from a table that exists, so every form that the predictions may have is tried, that
    of `known` (column -> SQL type of such a table) first, and one that compiles is enough. Raises WarehouseError with
    Snowflake's message on the likeliest form, or the columns that are missing; ConfigError for a placeholder.
    """
    if not has_file(definition):
        return ""
    values = fixed_values(
        definition, sources, partition or last_full_day(definition.spec.schedule.time_zone).isoformat(), warehouse
    )
    first: WarehouseError | None = None
    for columns in [*([dict(known)] if known else []), *possible_columns(definition)]:
        tables = {"predictions": columns} | {
            name: served_columns(query_meant(definition, name, others).spec.task, columns)
            for name in referred(definition)
        }
        with empty_tables(warehouse, tables) as empty:
            sql = user_sql(definition, values | empty)
            try:
                found = warehouse.compiled(sql, doing=f"compile {definition.folder / FILE}")
                prove_shape(list(found), definition.spec.task, f"the result of {definition.folder / FILE}")
            except WarehouseError as error:
                first = first or error
                continue
        return f"{FILE} compiles; it returns {', '.join(found)}"
    assert first is not None
    raise first


def known_columns(ctx: ReleaseContext, warehouse: Warehouse) -> dict[str, str]:
    """The columns of the active release's predictions; empty where nobody can say: this only makes a trial more exact."""
    with suppress(KumoAssetsError):
        found = ctx.pointers.read()
        release = found.pointer.served_release_id if found is not None else ""
        opened = ctx.store.opened(release) if release else None
        artefact = ctx.store.artefact(ctx.store.home(opened, "predictions"), "predictions") if opened else None
        if artefact is not None:
            return predictions_of(warehouse, artefact)[1]
    return {}
