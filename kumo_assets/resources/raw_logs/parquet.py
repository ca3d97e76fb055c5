"""The newest event time of a Parquet file: of its row groups' statistics, and read from the column only without them.

A file of gigabytes costs its footer, some tens of kilobytes. JSON lines are in `json_lines`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import RawLogError
from kumo_assets.resources.raw_logs.objects import ObjectFile
from kumo_assets.resources.raw_logs.times import moment_of, no_times

if TYPE_CHECKING:
    import pyarrow as pa

# Compressed bytes of the column that are read where there are no statistics; the last row groups, which are the newest of a
# writer that appends. Reading less can only make the log look older than it is.
MOST_BYTES = 64 << 20
# A writer may shorten the greatest value of a text (Parquet's format, "Statistics"), and old ones order texts otherwise.
TEXT = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")


def newest_in_parquet(name: str, where: str, file: ObjectFile, raw: RawTable) -> datetime | None:
    """The newest value of the column `raw.event_time`; None for a file without rows or with nulls only.

    Raises RawLogError for a file that is no whole Parquet, has no such column, or one that holds no times.
    """
    import pyarrow as pa
    from pyarrow import parquet

    assert raw.event_time is not None  # a log without one is not looked into
    try:
        opened = parquet.ParquetFile(file)
        metadata = opened.metadata
        columns = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
        if raw.event_time not in columns:
            has = f"it has the columns {', '.join(columns)[:500]}, not {raw.event_time}"
            raise no_times(name, where, raw.event_time, has)
        at, left = columns.index(raw.event_time), MOST_BYTES
        found: list[object] = []
        for group in reversed(range(metadata.num_row_groups)):
            chunk = metadata.row_group(group).column(at)
            known = chunk.statistics
            if known is not None and known.has_min_max and chunk.physical_type not in TEXT:
                found.append(known.max)
            elif known is not None and known.has_null_count and known.null_count == chunk.num_values:
                continue
            elif left > 0:
                left -= chunk.total_compressed_size
                found += _greatest(_column(opened, group, raw.event_time))
    except (pa.ArrowException, OSError) as error:
        raise RawLogError(
            f"read the raw log {name} in",
            to=where,
            found=f"no whole Parquet file: {' '.join(str(error).split())[:300]}",
            next="see what wrote it",
        ) from error
    moments = [moment_of(value, raw) for value in found]
    if any(moment is None for moment in moments):
        bad = next(value for value, moment in zip(found, moments, strict=True) if moment is None)
        raise no_times(name, where, raw.event_time, f"its column {raw.event_time} holds {bad!r:.100}, no time")
    return max((moment for moment in moments if moment is not None), default=None)


def _column(opened: Any, group: int, path: str) -> pa.ChunkedArray:
    """One column of a row group; one inside a struct is found by its path."""
    table = opened.read_row_group(group, columns=[path])
    while path not in table.column_names:
        table = table.flatten()
    return table.column(path)


def _greatest(column: pa.ChunkedArray) -> Iterable[object]:
    """The greatest value. Of texts all that differ: their order is not that of the times that they state."""
    import pyarrow as pa
    from pyarrow import compute

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [value for value in column.unique().to_pylist() if value is not None]
    value = compute.max(column).as_py()
    return [] if value is None else [value]
