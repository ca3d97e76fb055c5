"""The columns of the table that a source writes for a task, before there is one: what a query's SQL is compiled against.

A table that exists says more; these are for a query's first day, and for a source that changes its form. What a table
must prove once it is there is each source's own.
"""

from __future__ import annotations

from itertools import product

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.tasks import OUTPUT_COLUMNS

# SQL types of all columns but keys, by name.
TYPES = {"SCORE": "FLOAT", "TRUE_PROB": "FLOAT", "FALSE_PROB": "FLOAT", "PREDICTED": "BOOLEAN"}
# A key has the type of the raw log's column, which no definition says: number or text.
KEY_TYPES = ("NUMBER", "VARCHAR")
# Columns besides those of the task, by source: those that Kumo's launch asks for, and what the copy of another job's table
# records (`day_table`).
BESIDE: dict[str, dict[str, str]] = {
    "kumo": {"ANCHOR_TIMESTAMP": "TIMESTAMP_NTZ", "JOB_TIMESTAMP": "TIMESTAMP_NTZ"},
    "table": {"SOURCE_RUN": "VARCHAR", "SOURCE_ROWS": "NUMBER", "SOURCE_ENTITIES": "NUMBER"},
}


def possible_columns(definition: QueryDefinition) -> list[dict[str, str]]:
    """Each form, column -> SQL type, that the table of this query's predictions may have; the likeliest first."""
    spec = definition.spec
    found = []
    for form in OUTPUT_COLUMNS[spec.task]:
        names = [*form, "FALSE_PROB"] if "TRUE_PROB" in form and spec.source.name == "kumo" else [*form]
        keys = [name for name in names if name in ("ENTITY", "CLASS")]
        for kinds in product(KEY_TYPES, repeat=len(keys)):
            types = dict(zip(keys, kinds, strict=True))
            columns = {name: types.get(name) or _type(name, spec.task) for name in names}
            found.append(columns | BESIDE.get(spec.source.name, {}))
    return found


def _type(column: str, task: str) -> str:
    if column == "TARGET_PRED":
        return "FLOAT" if task == "regression" else "BOOLEAN"
    return TYPES[column]
