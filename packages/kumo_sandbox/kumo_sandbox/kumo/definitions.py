"""From the vendor's definitions (a graph of tables, a PQL text) to what the emulator can answer, and back.

Pure: no store, no warehouse. Of PQL it understands the four questions the recommender and its siblings answer; any other
is refused by name, as the vendor refuses what its own parser does not know.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from kumo_sandbox.kumo.queries import QuerySpec, Task

QUERY = re.compile(
    r"PREDICT\s+(?P<function>\w+)\s*\(\s*(?P<table>\w+)\.(?P<column>\w+|\*)\s*,\s*0\s*,\s*(?P<days>\d+)"
    r"(?:\s*,\s*(?P<unit>\w+))?\s*\)\s*(?P<rest>.*?)\s*FOR\s+EACH\s+(?P<of>\w+)\.(?P<entity>\w+)\s*;?",
    re.IGNORECASE | re.DOTALL,
)
UNDERSTOOD = """the sandbox answers four questions: LIST_DISTINCT(t.item, 0, N, days) RANK TOP K; SUM(t.number, 0, N, days);
COUNT(t.*, 0, N, days) = 0; FIRST(t.class, 0, N, days); each FOR EACH table.column, without further filters"""


class NotUnderstood(ValueError):
    """A query the emulator cannot answer; the text is shown as a validation error."""


def content_id(kind: str, *parts: Any) -> str:
    """`<kind>-<32 hex>` of what a definition says, as the vendor's ids are."""
    text = json.dumps(parts, sort_keys=True)
    return f"{kind}-{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"


def understand(query_string: str, graph: dict[str, Any], *, name: str | None, graph_name: str) -> QuerySpec:
    """The query as the emulator answers it. Raises `NotUnderstood`, saying what would be."""
    found = QUERY.fullmatch(query_string.strip())
    if found is None:
        raise NotUnderstood(f"{query_string!r} is not understood: {UNDERSTOOD}")
    if (found["unit"] or "days").lower() not in ("day", "days"):
        raise NotUnderstood(f"the horizon is in {found['unit']}: {UNDERSTOOD}")
    task, columns = _task(found["function"].upper(), found["column"], " ".join(found["rest"].split()))
    tables = graph.get("tables", {})
    if found["table"] not in tables:
        raise NotUnderstood(f"table {found['table']} is not in the graph, which has {', '.join(sorted(tables))}")
    events = tables[found["table"]]
    if not events.get("time_col"):
        raise NotUnderstood(f"table {found['table']} has no time column")
    key = _key(graph, found["of"], found["entity"], found["table"])
    document = {
        "id": name or content_id("pquery", query_string, graph),
        "task": task,
        "table": source_name(events["source_table"]),
        "entity": key,
        "time": events["time_col"],
        "horizon_days": int(found["days"]),
        "graph": graph_name,
        **columns,
    }
    return QuerySpec.model_validate(document)


def _task(function: str, column: str, rest: str) -> tuple[Task, dict[str, str]]:
    if function == "LIST_DISTINCT" and re.fullmatch(r"RANK TOP \d+", rest, re.IGNORECASE):
        return "temporal_link_prediction", {"item": column}
    if function == "SUM" and not rest:
        return "regression", {"target": column}
    if function == "COUNT" and re.fullmatch(r"=\s*0", rest):
        return "binary_classification", {}
    if function == "FIRST" and not rest:
        return "multiclass_classification", {"item": column}
    raise NotUnderstood(f"{function}(...) {rest} is not understood: {UNDERSTOOD}")


def _key(graph: dict[str, Any], of: str, entity: str, events: str) -> str:
    """The events' column that holds the entity: itself, or what a link of the graph joins with it."""
    if of == events:
        return entity
    for group in graph.get("col_groups", []):
        columns = {(c["table_name"], c["col_name"]) for c in group["columns"]}
        if (of, entity) in columns:
            for table, column in sorted(columns):
                if table == events:
                    return str(column)
    raise NotUnderstood(f"no link of the graph leads from {of}.{entity} to {events}")


def source_name(source_table: dict[str, Any]) -> str:
    """DATABASE.SCHEMA.TABLE of a Snowflake source table."""
    if source_table.get("data_source_type") != "SNOWFLAKE":
        raise NotUnderstood(f"the sandbox reads Snowflake only, not {source_table.get('data_source_type')}")
    return ".".join(str(source_table[name]) for name in ("database", "schema_name", "table"))


def described(spec: QuerySpec, connector: dict[str, Any]) -> dict[str, Any]:
    """A shipped query as a `PQueryResource`: the PQL and graph a person would have written for it."""
    parts = spec.table.split(".")
    name = parts[-1].lower()
    target = {
        "temporal_link_prediction": f"LIST_DISTINCT({name}.{spec.item}, 0, {spec.horizon_days}, days) RANK TOP 12",
        "regression": f"SUM({name}.{spec.target}, 0, {spec.horizon_days}, days)",
        "binary_classification": f"COUNT({name}.*, 0, {spec.horizon_days}, days) = 0",
        "multiclass_classification": f"FIRST({name}.{spec.item}, 0, {spec.horizon_days}, days)",
    }[spec.task]
    kinds = [(spec.entity, "ID", "int"), (spec.time, "timestamp", "time")]
    kinds += [(column, "ID", "int") for column in (spec.item, spec.basket) if column]
    kinds += [(spec.target, "numerical", "float")] if spec.target else []
    table = {
        "cols": [{"name": n, "stype": s, "dtype": d, "timestamp_format": None} for n, s, d in dict.fromkeys(kinds)],
        "source_table": {
            "snowflake_connector_id": connector["name"],
            "database": parts[0] if len(parts) == 3 else connector["database"],
            "schema_name": parts[-2],
            "table": parts[-1],
            "data_source_type": "SNOWFLAKE",
        },
        "pkey": None,
        "time_col": spec.time,
        "end_time_col": None,
    }
    query = f"PREDICT {target} FOR EACH {name}.{spec.entity}"
    return {"query_string": query, "graph": {"tables": {name: table}, "col_groups": []}, "name": spec.id, "desc": ""}


def column_kinds(name: str, sql_type: str, *, key: bool) -> tuple[str, str]:
    """(stype, dtype) of a column, guessed from its name and SQL type as `infer_metadata` does."""
    base = sql_type.split("(")[0].upper()
    if base.startswith("TIMESTAMP") or base in ("DATE", "DATETIME"):
        return "timestamp", "date" if base == "DATE" else "time"
    if base == "BOOLEAN":
        return "categorical", "bool"
    if base in ("TEXT", "VARCHAR", "STRING"):
        return ("ID" if key or name.upper().endswith("ID") else "categorical"), "string"
    whole = base in ("NUMBER", "INT", "INTEGER", "BIGINT") and not sql_type.rstrip(")").endswith((",2", ",4"))
    if key or name.upper().endswith("_ID"):
        return "ID", "int"
    return "numerical", "int" if whole else "float"
