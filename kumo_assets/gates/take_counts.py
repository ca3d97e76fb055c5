"""Taking the counts of one asset of a release: once, in the asset's own step, and kept with the release.

So each statistic is a number of the materialisation, and one session serves the asset and its gates. A check that runs
later, or against other baselines than were counted over, counts again. The statements are in `count_sql`; raw logs are
counted in `raw.take_counts`, and their counts kept with those of the predictions.
"""

from __future__ import annotations

from typing import cast

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Artefact, NoticeDetails, Opened, WarehouseDetails
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.baseline import Baselines, baselines_of
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.count_sql import Row, Rows, count_continuity, count_lists, count_predictions
from kumo_assets.gates.counts import Continuity, Counts, ListCounts, PredictionCounts, counts_in
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import quote, table

# Counts that an asset shows over time, beside the figure of each gate.
SHOWN = ("lowest", "highest", "coverage", "short")


def stored_counts(
    ctx: ReleaseContext, definition: QueryDefinition, opened: Opened, asset: str, baselines: Baselines
) -> Counts | None:
    """The counts taken against exactly these baselines. None when they have to be taken: also when the comparison with
    the active release failed, which may succeed now, or was not needed then."""
    stored = ctx.store.statistics(opened.release_id, asset)
    if stored is None or stored.get("baselines") != baselines.mark:
        return None
    counts = counts_in(stored)
    if asset == "postprocessed" and _compares_rows(definition, baselines):
        found = cast(ListCounts, counts).get("continuity")
        return None if found is None or found.get("failed") else counts
    return counts


def take_counts(
    ctx: ReleaseContext,
    warehouse: Warehouse,
    definition: QueryDefinition,
    opened: Opened,
    artefact: Artefact,
    baselines: Baselines,
) -> Counts:
    """Count, store and return. Raises WarehouseError when Snowflake refuses."""
    place = artefact.details_as(WarehouseDetails)
    where = table(place.database, place.schema_name, artefact.name)
    sent: list[str] = []

    def rows(sql: str) -> list[Row]:
        sent.append(sql)
        return [*warehouse.rows(sql, doing=f"count {artefact.name} for its gates")]

    counts: Counts
    if artefact.asset == "predictions":
        counts = _of_predictions(rows, warehouse, artefact, baselines)
        stored = ctx.store.statistics(opened.release_id, artefact.asset) or {}
        if "raw" in stored:
            counts["raw"] = stored["raw"]
    else:
        counts = _of_lists(rows, warehouse, definition, artefact, where, baselines)
    counts["statements"], counts["scans"] = len(sent), sum(sql.count(where) for sql in sent)
    counts["baselines"] = baselines.mark
    ctx.store.write_statistics(opened.release_id, artefact.asset, {**counts})
    return counts


def count_asset(
    ctx: ReleaseContext, warehouse: Warehouse, definition: QueryDefinition, opened: Opened, artefact: Artefact
) -> dict[str, float]:
    """Count for an asset's own step: its statistics, and each gate's figure, as numbers to show over time."""
    baselines = baselines_of(ctx, definition.spec.gates, opened)
    counts = stored_counts(ctx, definition, opened, artefact.asset, baselines)
    if counts is None:
        counts = take_counts(ctx, warehouse, definition, opened, artefact, baselines)
    judges = bind(definition.spec, artefact.details_as(NoticeDetails), counts, baselines)
    gates = definition.spec.asked_gates
    figures = {f"gate {gate}": judges[gate]().value for gate in gates if gates[gate]["asset"] == artefact.asset}
    shown = {name: value for name, value in counts.items() if name in SHOWN and isinstance(value, int | float)}
    return {name: float(value) for name, value in (figures | shown).items() if value is not None}


def _of_predictions(rows: Rows, warehouse: Warehouse, artefact: Artefact, baselines: Baselines) -> PredictionCounts:
    main, reference = (item.predictions if item is not None else None for item in (baselines.main, baselines.reference))
    place = artefact.details_as(WarehouseDetails)
    readable, columns = warehouse.readable(place.database, place.schema_name, artefact.name)
    return count_predictions(rows, readable, columns, main, reference)


def _of_lists(
    rows: Rows,
    warehouse: Warehouse,
    definition: QueryDefinition,
    artefact: Artefact,
    where: str,
    baselines: Baselines,
) -> ListCounts:
    lists = definition.spec.task != "regression"
    counts: ListCounts = {"lists": artefact.entities}
    if lists:
        catalogue = _catalogue(warehouse, definition)
        counts = count_lists(rows, where, definition.spec.top_k, catalogue, closed=_closed(definition, baselines))
    if _compares_rows(definition, baselines):
        counts["continuity"] = _continuity(rows, warehouse, artefact, baselines, lists=lists)
    return counts


def _closed(definition: QueryDefinition, baselines: Baselines) -> int | None:
    """Where classes are a closed set, how many the baseline's lists have (0 without one); None elsewhere."""
    if definition.spec.task != "multiclass_classification":
        return None
    return baselines.main.lists.get("coverage", 0) if baselines.main is not None else 0


def _compares_rows(definition: QueryDefinition, baselines: Baselines) -> bool:
    """Whether a gate compares with the active release's table, and there is such a release."""
    gates = definition.spec.asked_gates
    return baselines.active is not None and not gates.keys().isdisjoint(("entities_lost", "overlap"))


def _continuity(
    rows: Rows, warehouse: Warehouse, artefact: Artefact, baselines: Baselines, *, lists: bool
) -> Continuity:
    """The comparison with the active release's table. It never raises WarehouseError, because it is made inside the
    asset's own step: a query whose task or SQL has changed could otherwise seal no release, so none could be forced."""
    place = artefact.details_as(WarehouseDetails)
    database, schema = place.database, place.schema_name
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
    """(quoted table, quoted column) of the catalogue, when the gate that needs it judges this query."""
    found = definition.spec.gates.unknown_items.catalogue
    if found is None or "unknown_items" not in definition.spec.asked_gates:
        return None
    return table(found.database or warehouse.database, found.schema_name, found.table), quote(found.column)
