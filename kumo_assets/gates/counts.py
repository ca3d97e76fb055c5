"""The counts that gates judge: one statement per table, counts only, kept with the release as the next baseline.

SQL stands in `sql/`; what the counts mean is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "sql"

Row = Callable[[str], Mapping[str, Any]]


def count_predictions(row: Row, table: str, task: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """rows, entities, nulls and distinct keys of Kumo's table. `table` is quoted; `row` runs one statement."""
    if task in ("ranking", "multiclass_classification"):
        sql = _text("predictions_pairs.sql", table=table)
    else:
        sql = _text("predictions_single.sql", table=table, value="TARGET_PRED" if "TARGET_PRED" in columns else "SCORE")
    found = row(sql)
    return {
        "rows": int(found["ROW_COUNT"]),
        "entities": int(found["ENTITY_COUNT"]),
        "nulls": int(found["NULL_COUNT"] or 0),
        "keys": int(found["KEY_COUNT"]),
    }


def count_lists(row: Row, table: str, top_k: int) -> dict[str, Any]:
    """Lists, short, misranked and disordered ones, and the longest."""
    found = row(_text("lists.sql", table=table, top_k=str(top_k)))
    names = ("LISTS", "SHORT", "MISRANKED", "DISORDERED", "LONGEST")
    return {name.lower(): int(found[name] or 0) for name in names}


def _text(name: str, **values: str) -> str:
    text = (_FOLDER / name).read_text()
    for placeholder, value in values.items():
        text = text.replace("{{ " + placeholder + " }}", value)
    return text
