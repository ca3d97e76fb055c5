"""The raw logs on their way to the Engine: one unload a table, of the columns and days that the question names.

Snowflake writes Parquet to S3. No row passes through this process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.errors import ConfigError, ExportError
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, quote, table
from kumo_assets.sources.engine.question import FILE, Question, QuestionTable

# Of one file; the child holds no more than one at a time on its disk beside what it has converted.
FILE_BYTES = 256 * 1024 * 1024


def types_of(warehouse: Warehouse, definition: QueryDefinition, question: Question) -> dict[str, dict[str, str]]:
    """Table of the question -> column -> SQL type. ConfigError names a column that its raw log does not have."""
    found = {}
    for name, asked in question.tables.items():
        source = definition.sources[asked.raw_log]
        if not source.table.table:
            raise ConfigError(
                "use the question in",
                to=str(definition.folder / FILE),
                found=f"table {name} reads the raw log {asked.raw_log}, which is outside Snowflake: it has no table",
                next="name raw logs that have a `table` in their RawLogs definition",
            )
        there = warehouse.columns(source.database or warehouse.database, source.schema, source.table.table)
        missing = [column for column in asked.columns if column not in there]
        if missing:
            raise ConfigError(
                "use the question in",
                to=str(definition.folder / FILE),
                found=f"table {name} names the column {missing[0]}, and {source.table.table} has "
                f"{', '.join(there) or 'no columns, or may not be read'}",
                next="write the columns as Snowflake prints them",
            )
        found[name] = {column: there[column] for column in asked.columns}
    return found


def select_of(
    warehouse: Warehouse, source: RawSource, asked: QuestionTable, types: Mapping[str, str], anchor: datetime
) -> str:
    """SELECT of a table's rows before the anchor (UTC). Times become UTC without a zone: the Engine's anchor is, and
    Parquet takes no zone (Snowflake, "COPY INTO <location>")."""
    time, zone = source.table.event_time, source.table.event_time_zone

    def utc(name: str, kind: str) -> str:
        if kind in ("TIMESTAMP_TZ", "TIMESTAMP_LTZ"):
            return f"CONVERT_TIMEZONE('UTC', {quote(name)})::TIMESTAMP_NTZ"
        if name == time and zone != "UTC":
            return f"CONVERT_TIMEZONE({literal(zone)}, 'UTC', {quote(name)}::TIMESTAMP_NTZ)"
        return f"{quote(name)}::TIMESTAMP_NTZ"

    def column(name: str) -> str:
        is_time = types[name].startswith("TIMESTAMP") or name == time
        return f"{utc(name, types[name])} AS {quote(name)}" if is_time else quote(name)

    where = ""
    if time is not None:
        there = warehouse.columns(source.database or warehouse.database, source.schema, source.table.table)
        moment = utc(time, there.get(time, ""))
        where = f" WHERE {moment} < {_moment(anchor)}"
        if asked.days is not None:
            where += f" AND {moment} >= {_moment(anchor - timedelta(days=asked.days))}"
    chosen = ", ".join(column(name) for name in asked.columns)
    whole = table(source.database or warehouse.database, source.schema, source.table.table)
    return f"SELECT {'DISTINCT ' if asked.distinct else ''}{chosen} FROM {whole}{where}"  # noqa: S608 - quoted


def unload(
    warehouse: Warehouse,
    definition: QueryDefinition,
    question: Question,
    types: Mapping[str, Mapping[str, str]],
    anchor: datetime,
    to: str,
    storage: str,
    say: Callable[[str], object],
) -> dict[str, list[str]]:
    """Table -> the names of its files under `<to><table>/`. `to` is what COPY INTO writes to, `storage` the statement's
    clauses on it (`resources.stages.target`).

    Says how many rows it is before each unload. Raises WarehouseError, and ExportError for a table without rows.
    """
    files = {}
    for name, asked in question.tables.items():
        source = definition.sources[asked.raw_log]
        select = select_of(warehouse, source, asked, types[name], anchor)
        counted = warehouse.row(
            f"SELECT COUNT(*) AS ROW_COUNT FROM ({select})",  # noqa: S608 - built above
            doing=f"count the rows of {name} for the Engine",
        )
        rows = int(counted["ROW_COUNT"])
        since = f"of {asked.days} days " if asked.days is not None else ""
        say(f"Unloading {rows:,} rows {since}of {name}: {', '.join(asked.columns)} of {source.table.table}")
        if rows == 0:
            raise ExportError(
                "unload for the Engine",
                to=name,
                found=f"{source.table.table} has no rows before {anchor.isoformat()}",
                next="see whether the raw log was emptied, or correct TABLES in the question",
            )
        written = warehouse.rows(
            f"COPY INTO {literal(f'{to}{name}/')}\nFROM (\n{select}\n)\n{storage}FILE_FORMAT = (TYPE = PARQUET)\n"
            f"HEADER = TRUE\nMAX_FILE_SIZE = {FILE_BYTES}\nDETAILED_OUTPUT = TRUE",
            doing=f"unload {name} for the Engine",
        )
        files[name] = [str(row["FILE_NAME"]) for row in written]
        size = sum(int(row["FILE_SIZE"]) for row in written)
        say(f"{name}: {sum(int(row['ROW_COUNT']) for row in written):,} rows, {size / 1e6:,.1f} MB of Parquet")
    return files


def _moment(at: datetime) -> str:
    return f"'{at:%Y-%m-%d %H:%M:%S}'::TIMESTAMP_NTZ"
