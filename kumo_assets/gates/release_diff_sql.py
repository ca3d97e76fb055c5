"""What only the tables of two releases can say: how lists changed entity by entity, over bins that both share, and a few
entities side by side. Few statements; only counts are fetched, the lists of those few entities excepted.

Sampling and spelling are those of the gates' comparison with the active release (`count_sql.count_continuity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import WarehouseDetails
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.count_sql import Rows, bins, cumulative, sample_of, text, value_column
from kumo_assets.gates.counts import statistics_in
from kumo_assets.gates.release_diff import Diff, Example, named, score_bins
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, quote, table

MOST_ENTITIES = 20


def counted_diff(ctx: ReleaseContext, definition: QueryDefinition, warehouse: Warehouse, diff: Diff) -> Diff:
    """The stored `diff` with what the tables say besides. A table that is gone, or cannot be compared, leaves it as it is,
    with the reason in `why`."""

    def rows(sql: str) -> Sequence[dict[str, Any]]:
        return warehouse.rows(sql, doing=f"compare {diff.before.release_id} with {diff.after.release_id}")

    try:
        places = [_place(ctx, release, "postprocessed") for release in (diff.before.release_id, diff.after.release_id)]
        columns = [warehouse.columns(*place) for place in places]
        gone = [place[-1] for place, found in zip(places, columns, strict=True) if not found]
        if gone:
            return replace(diff, why=f"no table {' and no table '.join(gone)} any more")
        alike = all(columns[0].get(name) == columns[1].get(name) for name in ("ENTITY", "CLASS"))
        before, after = (table(*place) for place in places)
        entities = max(diff.before.entities, diff.after.entities)
        lists = definition.spec.task != "regression"
        diff = count_diff(rows, diff, before, after, lists=lists, entities=entities, alike=alike)
        diff = _with_scores(ctx, warehouse, rows, diff)
        return _with_names(definition, warehouse, rows, diff)
    except WarehouseError as error:
        return replace(diff, why=f"{error.found} {error.to}".strip())


def count_diff(
    rows: Rows, diff: Diff, before: str, after: str, *, lists: bool, entities: int = 0, alike: bool = False
) -> Diff:
    """Counts of two tables to be served, whose names are quoted, and a few entities of both. `entities` and `alike` as in
    `count_continuity`."""
    sample = sample_of(entities)
    entity, label = ("ENTITY", "CLASS") if alike else ("TO_VARCHAR(ENTITY)", "TO_VARCHAR(CLASS)")
    names = {"before": before, "after": after, "sample": str(sample), "entity": entity}
    found = rows(text("diff_lists.sql", **{"class": label}, **names) if lists else text("diff_numbers.sql", **names))[0]
    old, new = int(found["BEFORE_ENTITIES"] or 0), int(found["AFTER_ENTITIES"] or 0)
    lost, gained = int(found["LOST"] or 0), int(found["GAINED"] or 0)
    diff = replace(
        diff,
        counted="tables",
        sample=sample,
        lost=_share(lost, old),
        gained=_share(gained, new),
        unchanged=_share(int(found["UNCHANGED"] or 0), old - lost),
    )
    if lists:
        entries, shared = int(found["ENTRIES"] or 0), int(found["SHARED"] or 0)
        diff = replace(
            diff,
            same_classes=_share(int(found["SAME_CLASSES"] or 0), old - lost),
            changed=_share(entries - shared, entries),
            moved=_share(int(found["MOVED"] or 0), shared),
        )
    else:
        means = [None if found[name] is None else float(found[name]) for name in ("CHANGE", "ABSOLUTE")]
        diff = replace(diff, change=means[0], absolute_change=means[1])
    shown = {"class": "TO_VARCHAR(CLASS)", "value": "SCORE", "rank": "RANK"}
    alone = {"class": "NULL", "value": "TARGET_PRED", "rank": "1"}
    few = rows(text("diff_entities.sql", most=str(MOST_ENTITIES), **names, **(shown if lists else alone)))
    return replace(diff, examples=_examples(few))


def _examples(rows: Sequence[Any]) -> list[Example]:
    found: dict[str, Example] = {}
    for row in rows:
        one = found.setdefault(str(row["ENTITY"]), Example(str(row["ENTITY"]), [], []))
        label = [] if row["CLASS"] is None else [str(row["CLASS"])]
        (one.after if int(row["SIDE"]) else one.before).append([*label, float(row["SCORE"])])
    return list(found.values())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _place(ctx: ReleaseContext, release: str, asset: str) -> tuple[str, str, str]:
    """(database, schema, name) of the table that a release's asset is, its own or the one it adopted."""
    opened = ctx.store.opened(release)
    artefact = ctx.store.artefact(ctx.store.home(opened, asset) if opened is not None else release, asset)
    if artefact is None:
        raise WarehouseError("find the table of", to=f"{release} ({asset})", found="no record of a table")
    place = artefact.details_as(WarehouseDetails)
    return place.database, place.schema_name, artefact.name


def _with_scores(ctx: ReleaseContext, warehouse: Warehouse, rows: Rows, diff: Diff) -> Diff:
    """Both releases' scores over the bins of the earlier one, where the stored counts have no bins in common."""
    sealed = ctx.store.sealed(diff.before.release_id)
    edges = statistics_in(sealed.seal.statistics).get("predictions", {}).get("edges") if sealed is not None else None
    if diff.scores or not edges:
        return diff
    counts = []
    for release in (diff.before.release_id, diff.after.release_id):
        readable, columns = warehouse.readable(*_place(ctx, release, "predictions"))
        if not columns:
            return diff
        value = value_column(columns)
        histogram = cumulative(value, edges, "B")
        found = rows(text("histogram.sql", table=readable, histogram=histogram, alike="1 = 0", value=value))[0]
        counts.append(bins(found, edges, "B"))
    return replace(diff, scores=score_bins(edges, *counts))


def _with_names(definition: QueryDefinition, warehouse: Warehouse, rows: Rows, diff: Diff) -> Diff:
    """The names of the classes that moved most, where the catalogue has a column of names."""
    catalogue = definition.spec.gates.unknown_items.catalogue
    labels = [one.label for one in (*diff.classes_gained, *diff.classes_lost)]
    if catalogue is None or catalogue.name is None or not labels:
        return diff
    where = table(catalogue.database or warehouse.database, catalogue.schema_name, catalogue.table)
    return named(diff, item_names(rows, where, quote(catalogue.column), quote(catalogue.name), labels))


def item_names(rows: Rows, catalogue: str, column: str, label: str, items: Sequence[str]) -> dict[str, str]:
    """Class -> its name in the catalogue, of these classes. Table and columns are quoted."""
    found = rows(
        text("item_names.sql", catalogue=catalogue, column=column, label=label, items=", ".join(map(literal, items)))
    )
    return {str(row["ITEM"]): str(row["NAME"]) for row in found if row["NAME"] is not None}
