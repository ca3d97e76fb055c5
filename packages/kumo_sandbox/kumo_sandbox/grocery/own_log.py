"""`--events FILE`: a user's own log, Parquet or CSV, its columns mapped by options and its rows chosen by a filter.

Everything that can be wrong with a file is found here, before the sandbox is touched, and said with the columns found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from kumo_sandbox.grocery.log import Column, EventLog, LogError, TableShape, quoted, text_literal

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}


@dataclass(frozen=True)
class Columns:
    """Which columns of the file hold what, and the option that says so (`item_name` may be None)."""

    entity: str = "entity_id"
    item: str = "item_id"
    time: str = "timestamp"
    item_name: str | None = None


def own_log(file: Path, columns: Columns, row_filter: str | None = None) -> EventLog:
    """The log in a `.parquet` or `.csv` file, `row_filter` being a SQL condition on the file's own columns.

    Rows without an entity, an item or a time are left out (anonymous visitors), and times with a zone become UTC.
    Raises LogError for a file, a column, a filter or a time that cannot be used.
    """
    source = _reader(file)
    with duckdb.connect() as session:
        types = _types(session, source, file)
        names = {
            option: _found(name, option, types, file)
            for option, name in (
                ("--entity-column", columns.entity),
                ("--item-column", columns.item),
                ("--time-column", columns.time),
                ("--item-name-column", columns.item_name),
            )
            if name is not None
        }
        entity, item, time = names["--entity-column"], names["--item-column"], names["--time-column"]
        where = f"{quoted(entity)} IS NOT NULL AND {quoted(item)} IS NOT NULL AND {quoted(time)} IS NOT NULL"
        if row_filter:
            _try_filter(session, source, row_filter, types, file)
            where += f" AND ({row_filter})"
        moment = _moment(session, source, where, time, types[time], file)
    title = names.get("--item-name-column")
    stem = re.sub(r"[^A-Za-z0-9]+", "_", file.stem).strip("_").upper()[:40] or "OWN"
    key = _key("ITEM_ID", item, types[item])
    return EventLog(
        title=str(file),
        schema=f"EVENTS_{stem}",
        events=TableShape(
            "EVENTS",
            source,
            (
                _key("ENTITY_ID", entity, types[entity]),
                key,
                Column("EVENT_TIME", "TIMESTAMP_NTZ", moment),
            ),
            where,
        ),
        entity="ENTITY_ID",
        item="ITEM_ID",
        time="EVENT_TIME",
        basket=None,
        items=TableShape(
            "ITEMS",
            f"(SELECT {quoted(item)}, {f'ANY_VALUE({quoted(title)})' if title else 'NULL'} AS name "
            f"FROM {source} WHERE {where} GROUP BY 1)",
            (key, Column("NAME", "VARCHAR", f"COALESCE(name::VARCHAR, {quoted(item)}::VARCHAR)")),
        ),
        item_name="NAME",
    )


def _reader(file: Path) -> str:
    if not file.is_file():
        raise LogError("read the events in", to=str(file), found="no such file", next="check the path")
    ending = Path(file.name.lower().removesuffix(".gz")).suffix
    kind = {".parquet": "read_parquet", ".csv": "read_csv"}.get(ending)
    if kind is None:
        raise LogError(
            "read the events in",
            to=str(file),
            found=f"the ending {file.suffix or 'none'!r}",
            next="give a .parquet, .csv or .csv.gz file",
        )
    return f"{kind}({text_literal(str(file.resolve()))})"


def _types(session: duckdb.DuckDBPyConnection, source: str, file: Path) -> dict[str, str]:
    try:
        return {row[0]: row[1] for row in session.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    except duckdb.Error as error:
        raise LogError(
            "read the events in",
            to=str(file),
            found=_first_line(error),
            next="check that the file is whole and of the kind its ending says",
        ) from error


def _found(name: str, option: str, types: dict[str, str], file: Path) -> str:
    """The file's own spelling of a column; case is forgiven, as SQL does."""
    for column in types:
        if column.lower() == name.lower():
            return column
    raise LogError(
        f"find the column {name!r} ({option}) in",
        to=str(file),
        found=f"its columns are {', '.join(types)}",
        next=f"name the right one with {option}",
    )


def _try_filter(
    session: duckdb.DuckDBPyConnection, source: str, row_filter: str, types: dict[str, str], file: Path
) -> None:
    try:
        session.execute(f"SELECT COUNT(*) FROM (SELECT * FROM {source} WHERE ({row_filter}) LIMIT 1)")
    except duckdb.Error as error:
        raise LogError(
            f"filter with --filter {row_filter!r} the events in",
            to=str(file),
            found=f"{_first_line(error)} (columns: {', '.join(types)})",
            next='write a SQL condition on the file\'s columns, such as "quantity > 0"',
        ) from error


def _moment(session: duckdb.DuckDBPyConnection, source: str, where: str, time: str, kind: str, file: Path) -> str:
    """The DuckDB expression of an event's time as a UTC timestamp."""
    name = quoted(time)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"({name} AT TIME ZONE 'UTC')"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"{name}::TIMESTAMP"
    wrong = f"the type {kind}"
    if kind == "VARCHAR":
        row = session.execute(
            f"SELECT {name} FROM {source} WHERE {where} AND TRY_CAST({name} AS TIMESTAMP) IS NULL LIMIT 1"
        ).fetchone()
        if row is None:
            return f"{name}::TIMESTAMP"
        wrong = f"{row[0]!r}, which is no time"
    raise LogError(
        f"read times in the column {time!r} (--time-column) of",
        to=str(file),
        found=f"it holds {wrong}",
        next="give a column of dates or timestamps (text like 2017-11-30 18:05:00 will do; without a zone it is UTC)",
    )


def _key(name: str, column: str, kind: str) -> Column:
    """A key column: a whole number stays one, all else (UUIDs, decimals) is text."""
    if kind in _WHOLE:
        return Column(name, "NUMBER", quoted(column))
    return Column(name, "VARCHAR", f"{quoted(column)}::VARCHAR")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
