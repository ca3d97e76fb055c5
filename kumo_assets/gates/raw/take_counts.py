"""Taking the counts of all of a query's raw logs for one day. The statements are in `raw.count_sql`; when they are run,
and where their counts are kept, is decided in `raw.checks`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.counts import RawCounts
from kumo_assets.gates.raw.count_sql import Watched, count_raw_log
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table


def count_raw(
    warehouse: Warehouse,
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    day: tuple[datetime, datetime],
    baselines: Baselines,
) -> dict[str, RawCounts]:
    """Raw log -> its counts over a day, given by its start and end. Raises WarehouseError."""
    watched = definition.spec.gates.raw_drift
    before, fixed = _stored(baselines.main), _stored(baselines.reference)
    found = {}
    for name, source in sources.items():
        database = source.database or warehouse.database
        log = Watched(
            name,
            table(database, source.schema, source.table.table),
            source.table,
            warehouse.columns(database, source.schema, source.table.table),
            watched.columns.get(name, ()),
            watched.per.get(name),
        )
        rows = partial(warehouse.rows, doing=f"count the raw log {name}")
        found[name] = count_raw_log(rows, log, *day, before.get(name), fixed.get(name))
    return found


def _stored(baseline: Baseline | None) -> dict[str, RawCounts]:
    return (baseline.predictions.get("raw") or {}) if baseline is not None else {}
