"""Taking the counts of all of a query's raw logs for one day. The statements are in `raw.count_sql`; when they are run,
and where their counts are kept, is decided in `raw.checks`. Of logs outside Snowflake there is no more than how far they
reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.counts import RawCounts
from kumo_assets.gates.raw.count_sql import Watched, count_raw_log, minutes_before
from kumo_assets.resources.raw_logs.reach import reach
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def count_raw(
    warehouse: Warehouse,
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    day: tuple[datetime, datetime],
    baselines: Baselines,
    s3: Callable[[], S3Client],
) -> dict[str, RawCounts]:
    """Raw log -> its counts over a day, given by its start and end. Raises WarehouseError, and as of `raw_logs.reach`."""
    watched = definition.spec.gates.raw_drift
    before, fixed = _stored(baselines.main), _stored(baselines.reference)
    found = {}
    for name, source in sources.items():
        if not source.table.counted:
            found[name] = _reached(name, source, day[1], s3)
            continue
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


def _reached(name: str, source: RawSource, end: datetime, s3: Callable[[], S3Client]) -> RawCounts:
    """How far a log outside Snowflake reaches. Its rows are not counted, so they are no figure, not zero."""
    if not source.table.is_stream:
        return {}
    newest = reach(name, source.table, end, s3).newest
    return {"lag_minutes": None if newest is None else max(minutes_before(end, newest), 0.0)}


def _stored(baseline: Baseline | None) -> dict[str, RawCounts]:
    return (baseline.predictions.get("raw") or {}) if baseline is not None else {}
