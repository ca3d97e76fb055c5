"""What placeholders of a user's SQL stand for, whatever file they are in: raw logs as quoted tables, and their rows of a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from kumo_assets.config.load import RawSource
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, quote, table


def raw_values(sources: Mapping[str, RawSource], warehouse: Warehouse) -> dict[str, str]:
    """Raw log -> its quoted table; a log that has none is not among them."""
    return {
        name: table(source.database or warehouse.database, source.schema, source.table.table)
        for name, source in sources.items()
        if source.table.table
    }


def within(raw: RawTable, columns: Mapping[str, str], start: datetime, end: datetime) -> str:
    """SQL condition: the event time is in [start, end), both aware; true where the log is no stream. `columns` are the
    table's own, name -> SQL type."""
    if raw.event_time is None:
        return "1 = 1"
    column = quote(raw.event_time)
    kind = columns.get(raw.event_time, "TIMESTAMP_NTZ")
    bounds = [_as_column(moment, kind, raw) for moment in (start, end)]
    return f"{column} >= {bounds[0]} AND {column} < {bounds[1]}"


def _as_column(moment: datetime, kind: str, raw: RawTable) -> str:
    """A moment as a literal of the column's type: with its offset, or in the time zone the column is stored in."""
    if "TZ" in kind.upper() and "NTZ" not in kind.upper():
        return f"{literal(moment.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S +00:00'))}::TIMESTAMP_TZ"
    local = moment.astimezone(ZoneInfo(raw.event_time_zone))
    return f"{literal(local.strftime('%Y-%m-%d %H:%M:%S'))}::TIMESTAMP_NTZ"
