"""Counting one asset of a release for its gates, once, and keeping the counts with the release.

The asset's own step counts, so that the statistics stand in its materialisation and one session does for both; a check
that comes later, or against another baseline than was counted over, counts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.documents import Artefact, NoticeDetails, Opened, WarehouseDetails
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.baseline import Baselines, baselines_of
from kumo_assets.gates.counts import Rows, count_continuity, count_lists, count_predictions
from kumo_assets.gates.judges import judges
from kumo_assets.gates.raw_counts import Watched, count_raw_log
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import quote, table

# What stands under statistics/<asset>.json beside the counts themselves.
MARK = "baselines"


def stored_counts(
    ctx: ReleaseContext, definition: QueryDefinition, opened: Opened, asset: str, baselines: Baselines
) -> dict[str, Any] | None:
    """The counts taken against just these baselines, None when they have to be taken: also when the comparison with the
    active release failed, perhaps for once, or was not asked for then."""
    counts = ctx.store.statistics(opened.release_id, asset)
    if counts is None or counts.get(MARK) != baselines.mark:
        return None
    if asset == "postprocessed" and _asks_continuity(definition, baselines):
        compared = counts.get("continuity")
        return None if compared is None or compared.get("failed") else counts
    return counts


def take_counts(
    ctx: ReleaseContext,
    warehouse: Warehouse,
    definition: QueryDefinition,
    opened: Opened,
    artefact: Artefact,
    baselines: Baselines,
) -> dict[str, Any]:
    """Count, keep, return. Raises WarehouseError when Snowflake refuses."""
    counts = _counts(warehouse, definition, artefact, baselines) | {MARK: baselines.mark}
    raw = (ctx.store.statistics(opened.release_id, artefact.asset) or {}).get("raw")
    if raw is not None:
        counts["raw"] = raw
    ctx.store.write_statistics(opened.release_id, artefact.asset, counts)
    return counts


def count_asset(
    ctx: ReleaseContext, warehouse: Warehouse, definition: QueryDefinition, opened: Opened, artefact: Artefact
) -> dict[str, float]:
    """Count for an asset's own step; its statistics, and each gate's figure, as numbers to show over time."""
    baselines = baselines_of(ctx, definition.spec.gates, opened)
    counts = stored_counts(ctx, definition, opened, artefact.asset, baselines)
    if counts is None:
        counts = take_counts(ctx, warehouse, definition, opened, artefact, baselines)
    found = judges(definition.spec, artefact.details_as(NoticeDetails), counts, baselines)
    built_in = definition.spec.gates.gates_of(definition.spec.task)
    asked = [gate for gate, record in built_in.items() if record["asset"] == artefact.asset]
    figures = {f"gate {gate}": found[gate]().value for gate in asked if gate in found}
    named = {name: counts.get(name) for name in ("lowest", "highest", "coverage", "short")}
    return {name: float(value) for name, value in (figures | named).items() if value is not None}


def count_raw(
    warehouse: Warehouse,
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    day: tuple[datetime, datetime],
    baselines: Baselines,
) -> dict[str, Any]:
    """Counts of each raw log over a day, given by its start and end. Raises WarehouseError."""
    wanted = definition.spec.gates.raw_drift
    before, fixed = (
        (item.counts("predictions").get("raw") or {}) if item is not None else {}
        for item in (baselines.main, baselines.reference)
    )
    found = {}
    for name, source in sources.items():
        database = source.database or warehouse.database
        log = Watched(
            name,
            table(database, source.schema, source.table.table),
            source.table,
            warehouse.columns(database, source.schema, source.table.table),
            wanted.columns.get(name, ()),
            wanted.per.get(name),
        )
        found[name] = count_raw_log(
            lambda sql, name=name: warehouse.rows(sql, doing=f"count the raw log {name}"),  # type: ignore[misc]
            log,
            *day,
            before.get(name),
            fixed.get(name),
        )
    return found


def _counts(
    warehouse: Warehouse, definition: QueryDefinition, artefact: Artefact, baselines: Baselines
) -> dict[str, Any]:
    """Every count the gates of this asset need, and how many statements that took."""
    stored = artefact.details_as(WarehouseDetails)
    database, schema = stored.database, stored.schema_name
    where = table(database, schema, artefact.name)
    sent: list[str] = []

    def rows(sql: str) -> list[dict[str, Any]]:
        sent.append(sql)
        return warehouse.rows(sql, doing=f"count {artefact.name} for its gates")

    if artefact.asset == "predictions":
        main, reference = (
            item.counts("predictions") if item is not None else None for item in (baselines.main, baselines.reference)
        )
        columns = warehouse.columns(database, schema, artefact.name)
        counts = count_predictions(rows, where, columns, main, reference)
    else:
        lists = definition.spec.task != "regression"
        top_k, closed = definition.spec.top_k, _closed(definition, baselines)
        counts = (
            count_lists(rows, where, top_k, _catalogue(warehouse, definition), closed=closed)
            if lists
            else {"lists": artefact.entities}
        )
        if _asks_continuity(definition, baselines):
            counts["continuity"] = _continuity(rows, warehouse, artefact, baselines, lists=lists)
    return counts | {"statements": len(sent), "scans": sum(sql.count(where) for sql in sent)}


def _closed(definition: QueryDefinition, baselines: Baselines) -> int | None:
    """Where classes are a closed set, how many the baseline's lists have (0 without one); None elsewhere."""
    if definition.spec.task != "multiclass_classification":
        return None
    before = baselines.main.counts("postprocessed") if baselines.main is not None else {}
    return int(before.get("coverage", 0))


def _asks_continuity(definition: QueryDefinition, baselines: Baselines) -> bool:
    """Whether a gate that compares with the active release's table is asked, and there is such a release."""
    asked = definition.spec.gates.gates_of(definition.spec.task)
    return baselines.active is not None and not asked.keys().isdisjoint(("entities_lost", "overlap"))


def _continuity(
    rows: Rows, warehouse: Warehouse, artefact: Artefact, baselines: Baselines, *, lists: bool
) -> dict[str, Any]:
    """The comparison with the active release's table; never raises WarehouseError, for this is asked inside the asset's
    own step. A query whose task or SQL has changed would be stuck else: no release could be sealed, so none forced."""
    stored = artefact.details_as(WarehouseDetails)
    database, schema = stored.database, stored.schema_name
    old = baselines.active.artefacts.get("postprocessed", "") if baselines.active is not None else ""
    try:
        before = warehouse.columns(database, schema, old) if old else {}
        if not before:
            return {"missing": f"no table {old or '(not recorded)'}"}
        now = warehouse.columns(database, schema, artefact.name)
        return count_continuity(
            rows,
            table(database, schema, artefact.name),
            table(database, schema, old),
            lists=lists,
            entities=artefact.entities,
            alike=all(before.get(name) == now.get(name) for name in ("ENTITY", "CLASS")),
        )
    except WarehouseError as error:
        return {"failed": f"{error.found} {error.to}".strip()}


def _catalogue(warehouse: Warehouse, definition: QueryDefinition) -> tuple[str, str] | None:
    """(quoted table, quoted column) of the catalogue, when the gate that needs it is asked."""
    wanted = definition.spec.gates.unknown_items
    if wanted.catalogue is None or "unknown_items" not in definition.spec.gates.gates_of(definition.spec.task):
        return None
    found = wanted.catalogue
    return table(found.database or warehouse.database, found.schema_name, found.table), quote(found.column)
