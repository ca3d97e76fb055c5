"""Counts of a raw log over one partition's day: one scan for rows, newest event and every watched column of numbers, one
more for each watched column of text. Nothing is judged here; columns come quoted, from one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.counts import LOPSIDED, Rows, cumulative, quantile_edges, text
from kumo_assets.resources.sql import literal, quote

# Values of a column of text that are kept by name.
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
    baseline: Mapping[str, Any] | None,
    reference: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Counts of one log from `start` up to `end` (aware; the partition's day), or of the whole table when it is no
    stream: rows, `lag_minutes` of its newest event, and per watched column its histogram or most frequent values.

    `baseline` and `reference` are what this returned for the release compared with. Raises WarehouseError when a
    watched column does not exist.
    """
    missing = [name for name in [*log.watch, *([log.per] if log.per else [])] if name not in log.columns]
    if missing:
        raise WarehouseError(
            "count the raw log",
            to=log.name,
            found=f"no column {', '.join(missing)}; it has {', '.join(log.columns)}",
            next="mend gates.raw_drift of the query",
        )
    day = _day(log, start, end)
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
    counted = int(found["ROW_COUNT"])
    units = int(found["UNIT_COUNT"])
    counts: dict[str, Any] = {"rows": counted, "columns": {}}
    if event:
        counts["lag_minutes"] = _lag(found["NEWEST"], end, log.raw) if counted else None
    for at, name in enumerate(known):
        column = _numbers(found, at, known[name], fixed[name])
        against = column["against"]
        if counted and (not known[name] or max(against[:-1], default=0) > LOPSIDED * max(sum(against), 1)):
            column |= _own_bins(rows, log.table, quote(name), day)
        counts["columns"][name] = {"kind": "numbers", "rows": counted, "units": units} | column
    for name in log.watch:
        if name not in known:
            values = rows(text("raw_values.sql", column=quote(name), table=log.table, day=day, most=str(MOST_VALUES)))
            counts["columns"][name] = {
                "kind": "values",
                "rows": counted,
                "units": units,
                "values": {"(null)" if row["VALUE"] is None else str(row["VALUE"]): int(row["SEEN"]) for row in values},
            }
    return counts


def _is_number(kind: str) -> bool:
    return kind.upper().startswith(NUMBERS)


def _edges(counts: Mapping[str, Any] | None, column: str) -> list[float]:
    stored = ((counts or {}).get("columns") or {}).get(column) or {}
    return list(stored.get("edges") or [])


def _histogram(name: str, at: int, known: list[float], fixed: list[float]) -> str:
    column = quote(name)
    return (
        f"COUNT({column}) AS V{at},\n    " + cumulative(column, known, f"B{at}_") + cumulative(column, fixed, f"R{at}_")
    )


def _numbers(found: Mapping[str, Any], at: int, known: list[float], fixed: list[float]) -> dict[str, Any]:
    """Counts over the known bins and one for nulls; empty without known bins."""
    against = _with_nulls(found, at, known, f"B{at}_")
    return {
        "edges": known,
        "histogram": against,
        "against": against,
        "against_reference": _with_nulls(found, at, fixed, f"R{at}_"),
    }


def _with_nulls(found: Mapping[str, Any], at: int, edges: list[float], prefix: str) -> list[int]:
    if not edges:
        return []
    present = int(found[f"V{at}"] or 0)
    upto = [int(found[f"{prefix}{index}"] or 0) for index in range(len(edges))] + [present]
    counts = [now - before for before, now in zip([0, *upto], upto, strict=False)]
    return [*counts, int(found["ROW_COUNT"]) - present]


def _own_bins(rows: Rows, table: str, column: str, day: str) -> dict[str, Any]:
    edges = quantile_edges(rows, table, column, day)
    if not edges:
        return {}
    parts = f"COUNT({column}) AS V0,\n    " + cumulative(column, edges, "B0_")
    found = rows(text("raw_day.sql", histogram=parts, units="0", newest="NULL", table=table, day=day))[0]
    return {"edges": edges, "histogram": _with_nulls(found, 0, edges, "B0_")}


def _day(log: Watched, start: datetime, end: datetime) -> str:
    """SQL of "the event is in the partition's day"; everything when the table is no stream."""
    if log.raw.event_time is None:
        return "1 = 1"
    column = quote(log.raw.event_time)
    kind = log.columns.get(log.raw.event_time, "TIMESTAMP_NTZ")
    bounds = [_moment(moment, kind, log.raw) for moment in (start, end)]
    return f"{column} >= {bounds[0]} AND {column} < {bounds[1]}"


def _moment(moment: datetime, kind: str, raw: RawTable) -> str:
    """A moment as a literal of the column's type: with its offset, or in the time zone the column is stored in."""
    if "TZ" in kind.upper() and "NTZ" not in kind.upper():
        return f"{literal(moment.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S +00:00'))}::TIMESTAMP_TZ"
    local = moment.astimezone(ZoneInfo(raw.event_time_zone))
    return f"{literal(local.strftime('%Y-%m-%d %H:%M:%S'))}::TIMESTAMP_NTZ"


def _lag(newest: Any, end: datetime, raw: RawTable) -> float:
    """Minutes from the newest event to the day's end."""
    return round((end - raw.moment(newest)).total_seconds() / 60, 2)
