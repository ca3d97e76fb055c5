"""The counts that gates judge: few statements per table, counts only, kept with the release as the next baseline.

Predictions: one scan (two for a first release, which sets its own bins). Post-processed: one for the shape of lists, one
for classes, one join with the active release's table. SQL stands in `sql/`; what the counts mean is judged elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kumo_assets.gates.statistics import distinct_edges

_FOLDER = Path(__file__).parent / "sql"

Rows = Callable[[str], Sequence[Mapping[str, Any]]]

BINS = 10
# Classes kept by name; the rest is one class. Enough for a catalogue's head, little enough for a small document.
MOST_CLASSES = 200
# A release sets bins of its own when the baseline's have become this lopsided: an outer bin that holds half of all
# scores sees little.
LOPSIDED = 0.5


def value_column(columns: Mapping[str, str]) -> str:
    """The column with the number Kumo predicts, in every task's form."""
    return next(name for name in ("SCORE", "TRUE_PROB", "TARGET_PRED") if name in columns)


def count_predictions(
    rows: Rows, table: str, columns: Mapping[str, str], baseline: Mapping[str, Any] | None
) -> dict[str, Any]:
    """rows, entities, nulls, distinct keys and the score histogram of Kumo's table. `table` is quoted.

    `against` counts over the baseline's edges; `edges` and `histogram` are what the next release compares with.
    """
    value = value_column(columns)
    name = "predictions_pairs.sql" if "CLASS" in columns else "predictions_single.sql"
    known: list[float] = list((baseline or {}).get("edges") or [])
    found = rows(_text(name, table=table, value=value, histogram=_select(value, known, quantiles=True)))[0]
    against = _bins(found, len(known)) if known else []
    bounds = (found["LOWEST"], found["HIGHEST"])
    counts: dict[str, Any] = {
        "rows": int(found["ROW_COUNT"]),
        "entities": int(found["ENTITY_COUNT"]),
        "nulls": int(found["NULL_COUNT"] or 0),
        "keys": int(found["KEY_COUNT"]),
        "finite": all(bound is None or math.isfinite(float(bound)) for bound in bounds),
        "against": against,
        "edges": known,
        "histogram": against,
    }
    if counts["finite"] and (not known or max(against, default=0) > LOPSIDED * max(sum(against), 1)):
        edges = distinct_edges(
            [float(found[f"Q{index}"]) for index in range(1, BINS) if found[f"Q{index}"] is not None]
        )
        if edges:
            own = rows(_text("histogram.sql", table=table, histogram=_select(value, edges, quantiles=False)))[0]
            counts |= {"edges": edges, "histogram": _bins(own, len(edges))}
    return counts


def count_lists(rows: Rows, table: str, top_k: int) -> dict[str, Any]:
    """Lists, short, misranked and disordered ones, the longest; and what is recommended, by class."""
    shape = rows(_text("lists.sql", table=table, top_k=str(top_k)))[0]
    names = ("LISTS", "SHORT", "MISRANKED", "DISORDERED", "LONGEST")
    counts: dict[str, Any] = {name.lower(): int(shape[name] or 0) for name in names}
    classes = rows(_text("classes.sql", table=table, most=str(MOST_CLASSES)))
    counts["classes"] = {str(row["CLASS"]): int(row["SERVED"]) for row in classes}
    counts["coverage"] = int(classes[0]["CLASSES"]) if classes else 0
    counts["served"] = int(classes[0]["TOTAL"]) if classes else 0
    counts["most_first"] = int(classes[0]["MOST_FIRST"]) if classes else 0
    return counts


def count_continuity(rows: Rows, table: str, active: str, *, lists: bool) -> dict[str, Any]:
    """Entities lost, and list entries changed, against the active release's table. Both names are quoted."""
    found = rows(_text("continuity_lists.sql" if lists else "continuity_entities.sql", table=table, active=active))[0]
    names = {"old": "OLD_ENTITIES", "lost": "LOST", "entries": "ENTRIES", "changed": "CHANGED"}
    return {name: int(found[column] or 0) for name, column in names.items()}


def _select(value: str, edges: Sequence[float], *, quantiles: bool) -> str:
    """SQL of bin counts over `edges`: (-inf, e1], (e1, e2], ..., (en, inf). Numbers are written by repr, which
    Snowflake reads back exactly."""
    pieces = []
    bounds = [None, *edges, None]
    for index, (low, high) in enumerate(pairwise(bounds)):
        parts = [f"{value} > {low!r}"] if low is not None else []
        parts += [f"{value} <= {high!r}"] if high is not None else []
        if edges:
            pieces.append(f"COUNT_IF({' AND '.join(parts)}) AS B{index}")
    if quantiles:
        pieces += [f"APPROX_PERCENTILE({value}, {index / BINS}) AS Q{index}" for index in range(1, BINS)]
        pieces += [f"MIN({value}) AS LOWEST", f"MAX({value}) AS HIGHEST"]
    return ",\n    ".join(pieces)


def _bins(row: Mapping[str, Any], edges: int) -> list[int]:
    return [int(row[f"B{index}"] or 0) for index in range(edges + 1)]


def _text(name: str, **values: str) -> str:
    text = (_FOLDER / name).read_text()
    for placeholder, value in values.items():
        text = text.replace("{{ " + placeholder + " }}", value)
    return text
