"""The emulator's hands in the warehouse: reading raw logs and writing prediction tables, through Snowflake's connector.

One short-lived connection per piece of work. Predictions are first computed into a temporary table of the session, so
that a reader never sees half a table; what should go wrong with them on purpose is in `table_faults.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.ranking import CutOff, quoted, source_of
from kumo_sandbox.kumo.scalars import predictions_select
from kumo_sandbox.kumo.settings import WarehouseSettings
from kumo_sandbox.kumo.table_faults import lose, spoil

logging.getLogger("snowflake.connector").setLevel(logging.WARNING)


class WarehouseProblem(Exception):
    """Something the emulated Kumo could not do in the warehouse; the text is shown as the job's error."""


@dataclass(frozen=True)
class Output:
    """One destination of a job: the table's name verbatim, the extra columns, OVERWRITE or APPEND."""

    table: str
    extra_fields: tuple[str, ...]
    write_mode: str


@dataclass(frozen=True)
class Newest:
    """What a snapshot pins of one table: its newest event, its rows, and per-column min, max and fraction of nulls."""

    newest: str | None
    rows: int
    columns: list[dict[str, Any]]


@contextmanager
def connect(settings: WarehouseSettings) -> Iterator[Any]:
    """A cursor; the connection is closed after. Raises `WarehouseProblem` for every error of the connector."""
    # Importing the connector takes two seconds (it imports pandas): not before the emulator answers its first request.
    import snowflake.connector
    from snowflake.connector.errors import Error as SnowflakeError

    connection = None
    try:
        connection = snowflake.connector.connect(
            host=settings.host,
            port=settings.port,
            protocol=settings.protocol,
            account=settings.account,
            user=settings.user,
            password=settings.password,
            database=settings.database,
            schema=settings.schema,
            warehouse=settings.warehouse,
            login_timeout=20,
            network_timeout=600,
            session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
        )
        yield connection.cursor()
    except SnowflakeError as error:
        raise WarehouseProblem(f"Snowflake at {settings.host}:{settings.port} said: {error.msg or error}") from error
    finally:
        if connection is not None:
            connection.close()


def measure(cursor: Any, table: str, time_column: str | None) -> Newest:
    """Newest event, rows and column statistics of a source table, named [DATABASE.]SCHEMA.TABLE."""
    source = source_of(table)
    cursor.execute(f"SELECT * FROM {source} LIMIT 0")
    names = [column[0] for column in cursor.description]
    parts = ", ".join(f"MIN({quoted(n)}), MAX({quoted(n)}), COUNT({quoted(n)})" for n in names)
    row = cursor.execute(f"SELECT COUNT(*), {parts} FROM {source}").fetchone()
    rows = int(row[0])
    columns = []
    newest: datetime | None = None
    for place, name in enumerate(names):
        low, high, filled = row[1 + 3 * place : 4 + 3 * place]
        if name == time_column:
            newest = high
        columns.append(
            {
                "column_name": name,
                "stats": {
                    "min": _plain(low),
                    "max": _plain(high),
                    "na_fraction": None if rows == 0 else 1 - int(filled) / rows,
                },
            }
        )
    return Newest(_text(newest) if newest else None, rows, columns)


def table_names(cursor: Any, database: str, schema: str) -> list[str]:
    """Tables and views of a schema. By their columns: fakesnow's INFORMATION_SCHEMA.TABLES leaves views out."""
    cursor.execute(
        f"SELECT DISTINCT TABLE_NAME FROM {quoted(database)}.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = %s ORDER BY 1",
        (schema,),
    )
    return [row[0] for row in cursor.fetchall()]


def table_columns(cursor: Any, database: str, schema: str, table: str) -> list[tuple[str, str]]:
    """(name, SQL type) of a table's columns, in order; empty when there is no such table."""
    cursor.execute(
        f"SELECT COLUMN_NAME, DATA_TYPE FROM {quoted(database)}.INFORMATION_SCHEMA.COLUMNS "
        "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
        (schema, table),
    )
    return [(row[0], row[1]) for row in cursor.fetchall()]


def compute(cursor: Any, spec: QuerySpec, cut_off: CutOff, classes: int | None, threshold: float | None) -> str:
    """Compute predictions into a temporary table; its quoted name."""
    name = quoted("KUMO_WORK")
    cursor.execute(
        f"CREATE OR REPLACE TEMPORARY TABLE {name} AS {predictions_select(spec, cut_off, classes, threshold)}"
    )
    return name


def write(
    cursor: Any,
    work: str,
    outputs: list[Output],
    *,
    settings: WarehouseSettings,
    anchor: str,
    job_time: str,
    faults: list[dict[str, Any]],
) -> tuple[int, int]:
    """Copy the work table to every output in one statement each; (rows, distinct entities) of the work table.

    `anchor` and `job_time` are 'YYYY-MM-DD HH:MM:SS.ffffff' in UTC. A job repeated after a crash appends its rows once:
    rows of the same JOB_TIMESTAMP are removed in the same transaction.
    """
    job_time = spoil(cursor, work, faults, job_time)
    rows, entities = cursor.execute(f"SELECT COUNT(*), COUNT(DISTINCT ENTITY) FROM {work}").fetchone()
    lose(cursor, work, faults)
    cursor.execute(f"SELECT * FROM {work} LIMIT 0")
    names = [column[0] for column in cursor.description]
    stamps = {"ANCHOR_TIMESTAMP": anchor, "JOB_TIMESTAMP": job_time}
    for output in outputs:
        target = ".".join(quoted(p) for p in (settings.database, settings.schema, output.table))
        extra = [f"'{stamps[f]}'::TIMESTAMP_NTZ AS {f}" for f in sorted(set(output.extra_fields))]
        select = f"SELECT {', '.join(_in_vendors_order(names, extra))} FROM {work}"
        if output.write_mode == "APPEND" and table_columns(cursor, settings.database, settings.schema, output.table):
            cursor.execute("BEGIN")
            if "JOB_TIMESTAMP" in output.extra_fields:
                cursor.execute(f"DELETE FROM {target} WHERE JOB_TIMESTAMP = '{job_time}'::TIMESTAMP_NTZ")
            cursor.execute(f"INSERT INTO {target} {select}")
            cursor.execute("COMMIT")
        else:
            cursor.execute(f"CREATE OR REPLACE TABLE {target} AS {select}")
    return int(rows), int(entities)


def _in_vendors_order(names: list[str], stamps: list[str]) -> list[str]:
    """The columns as the vendor's writer orders them: a ranking's times come last, those of other tasks after ENTITY."""
    first, *rest = map(quoted, names)
    return [first, *rest, *stamps] if {"CLASS", "PREDICTED"} & set(names) == {"CLASS"} else [first, *stamps, *rest]


def _text(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f")


def _plain(value: Any) -> Any:
    """A statistic as JSON can carry it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return (
        value.isoformat() if hasattr(value, "isoformat") else float(value) if hasattr(value, "is_nan") else str(value)
    )
