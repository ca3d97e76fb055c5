"""The statements that count one raw log over one partition's day: one scan for rows, newest event and every watched
column of numbers, one more for each watched column of text.

Nothing is judged here. Tables that a release makes are counted in `gates.count_sql`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.count_sql import LOPSIDED, Row, Rows, cumulative, quantile_edges, text
from kumo_assets.gates.counts import ColumnCounts, NumberColumn, RawCounts, ValueColumn
from kumo_assets.resources.sql import quote
from kumo_assets.resources.sql_values import within

# Values of a text column that are kept by name.
MOST_VALUES = 50
NUMBERS = ("NUMBER", "DECIMAL", "NUMERIC", "INT", "BIGINT", "FLOAT", "DOUBLE", "REAL", "FIXED")


@dataclass(frozen=True)
class Watched:
    """A raw log, quoted; the columns whose drift is watched; and the one whose rows move together."""

    name: str
    table: str
    raw: RawTable
    columns: Mapping[str, str]  # of the table: name -> SQL type
    watch: Sequence[str] = ()
    per: str | None = None


def count_raw_log(
    rows: Rows,
    log: Watched,
    start: datetime,
    end: datetime,
    baseline: RawCounts | None,
    reference: RawCounts | None = None,
) -> RawCounts:
    """Counts of one log from `start` up to `end` (aware; the partition's day), or of the whole table when it is no
    stream.

    Histograms are taken over the edges of `baseline` and `reference`, what this returned for the releases compared
    with. Raises WarehouseError when a watched column does not exist.
    """
    _must_exist(log)
    day = within(log.raw, log.columns, start, end)
    known = {name: _edges(baseline, name) for name in log.watch if _is_number(log.columns[name])}
    fixed = {name: _edges(reference, name) for name in known}
    event = log.raw.event_time
    found = rows(
        text(
            "raw_day.sql",
            histogram="".join(_histogram(name, at, known[name], fixed[name]) for at, name in enumerate(known)),
            units=f"COUNT(DISTINCT {quote(log.per)})" if log.per else "COUNT(*)",
            newest=f"MAX({quote(event)})" if event else "NULL",
            table=log.table,
            day=day,
        )
    )[0]
    columns: dict[str, ColumnCounts] = {}
    for at, name in enumerate(known):
        column = _numbers(found, at, known[name], fixed[name])
        against = column["against"]
        if column["rows"] and (not known[name] or max(against[:-1], default=0) > LOPSIDED * max(sum(against), 1)):
            _set_own_bins(column, rows, log.table, quote(name), day)
        columns[name] = column
    for name in log.watch:
        if name not in known:
            columns[name] = _values(found, rows, log.table, quote(name), day)
    counts: RawCounts = {"rows": int(found["ROW_COUNT"]), "columns": columns}
    if event:
        counts["lag_minutes"] = minutes_before(end, log.raw.moment(found["NEWEST"])) if counts["rows"] else None
    return counts


def _must_exist(log: Watched) -> None:
    missing = [name for name in [*log.watch, *([log.per] if log.per else [])] if name not in log.columns]
    if missing:
        raise WarehouseError(
            "count the raw log",
            to=log.name,
            found=f"no column {', '.join(missing)}; it has {', '.join(log.columns)}",
            next="fix gates.raw_drift of the query",
        )


def _is_number(kind: str) -> bool:
    return kind.upper().startswith(NUMBERS)


def _edges(counts: RawCounts | None, column: str) -> list[float]:
    """The stored edges of a column; none where it was not counted, or as text."""
    stored = ((counts or {}).get("columns") or {}).get(column)
    return list(stored["edges"]) if stored is not None and stored["kind"] == "numbers" else []


def _histogram(name: str, at: int, known: list[float], fixed: list[float]) -> str:
    column = quote(name)
    return (
        f"COUNT({column}) AS V{at},\n    " + cumulative(column, known, f"B{at}_") + cumulative(column, fixed, f"R{at}_")
    )


def _numbers(found: Row, at: int, known: list[float], fixed: list[float]) -> NumberColumn:
    """Counts over the known bins and one for nulls; empty without known bins."""
    against = _with_nulls(found, at, known, f"B{at}_")
    return {
        "kind": "numbers",
        "rows": int(found["ROW_COUNT"]),
        "units": int(found["UNIT_COUNT"]),
        "edges": known,
        "histogram": against,
        "against": against,
        "against_reference": _with_nulls(found, at, fixed, f"R{at}_"),
    }


def _values(found: Row, rows: Rows, table: str, column: str, day: str) -> ValueColumn:
    values = rows(text("raw_values.sql", column=column, table=table, day=day, most=str(MOST_VALUES)))
    return {
        "kind": "values",
        "rows": int(found["ROW_COUNT"]),
        "units": int(found["UNIT_COUNT"]),
        "values": {"(null)" if row["VALUE"] is None else str(row["VALUE"]): int(row["SEEN"]) for row in values},
    }


def _with_nulls(found: Row, at: int, edges: list[float], prefix: str) -> list[int]:
    if not edges:
        return []
    present = int(found[f"V{at}"] or 0)
    upto = [int(found[f"{prefix}{index}"] or 0) for index in range(len(edges))] + [present]
    counts = [now - before for before, now in zip([0, *upto], upto, strict=False)]
    return [*counts, int(found["ROW_COUNT"]) - present]


def _set_own_bins(counts: NumberColumn, rows: Rows, table: str, column: str, day: str) -> None:
    edges = quantile_edges(rows, table, column, day)
    if edges:
        parts = f"COUNT({column}) AS V0,\n    " + cumulative(column, edges, "B0_")
        found = rows(text("raw_day.sql", histogram=parts, units="0", newest="NULL", table=table, day=day))[0]
        counts["edges"], counts["histogram"] = edges, _with_nulls(found, 0, edges, "B0_")


def minutes_before(end: datetime, newest: datetime) -> float:
    """Minutes from the newest event to the day's end."""
    return round((end - newest).total_seconds() / 60, 2)
