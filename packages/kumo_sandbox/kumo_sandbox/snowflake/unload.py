"""Running an unload: the query's record batches are written to local files as they come, and the files put on S3.

Memory holds one batch and one file's buffer. Parquet has the columns' names only with HEADER = TRUE, whole numbers as
INT64 and others with a fixed point as DECIMAL, as Snowflake writes them. Credentials are the server's own, as with a storage integration.
"""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kumo_sandbox.snowflake.statement import StatementError, Unload


@dataclass(frozen=True)
class UnloadedFile:
    """One object written. `size` is the object's, `raw` the uncompressed one, in bytes."""

    name: str
    size: int
    raw: int
    rows: int


def run_unload(
    unload: Unload, batches: Callable[[], tuple[pa.Schema, Iterable[pa.RecordBatch]]], s3: Any, query_id: str
) -> list[UnloadedFile]:
    """Write the query's rows under the prefix. `batches()` starts the query.

    StatementError when objects of the same names stand and OVERWRITE is FALSE, or JSON has not exactly one column.
    """
    existing = _existing(s3, unload)
    if existing and not unload.overwrite:
        raise StatementError(
            f"Files already existing at the unload destination: s3://{unload.bucket}/{unload.prefix}. "
            "Use overwrite option to force unloading."
        )
    schema, rows = batches()
    if unload.type == "JSON" and len(schema.names) != 1:
        raise StatementError(
            "JSON file format requires the query to return a single column of type OBJECT, ARRAY or VARIANT"
        )
    written: list[UnloadedFile] = []
    with tempfile.TemporaryDirectory(prefix="kumo-unload-") as folder:
        sink: _Sink | None = None
        for batch in rows:
            for part in batch_slices(batch):
                if sink is None:
                    sink = _Sink(Path(folder) / f"part-{len(written)}", unload, schema)
                sink.write(part)
                if not unload.single and sink.size() >= unload.max_file_size:
                    written.append(_put(s3, unload, sink, len(written), query_id))
                    sink = None
        if sink is not None:
            written.append(_put(s3, unload, sink, len(written), query_id))
    return written


def batch_slices(batch: pa.RecordBatch, rows: int = 20_000) -> Iterable[pa.RecordBatch]:
    """Pieces small enough that a file ends near its size limit."""
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


class _Sink:
    """One file being written."""

    def __init__(self, path: Path, unload: Unload, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._unload = unload
        self._file = path.open("wb")
        self._counter = _Counter(
            gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1, mtime=0)
            if unload.compression == "GZIP"
            else self._file
        )
        self._csv: Any = None
        self._parquet: Any = None
        if unload.type == "PARQUET":
            self._schema = _parquet_schema(schema, unload.header)
            self._parquet = pyarrow.parquet.ParquetWriter(
                pa.PythonFile(self._counter, mode="w"), self._schema, compression=unload.compression
            )
        if unload.type == "CSV":
            options = pa.csv.WriteOptions(
                include_header=unload.header, quoting_style="all_valid" if unload.enclosed else "none"
            )
            self._csv = pa.csv.CSVWriter(pa.PythonFile(self._counter, mode="w"), _text(schema), write_options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        if self._parquet is not None:
            self._parquet.write_batch(batch.rename_columns(self._schema.names).cast(self._schema))
        elif self._csv is not None:
            if not self._unload.empty_for_null and any(column.null_count for column in batch.columns):
                raise StatementError(
                    r"the query returned NULL, which Snowflake unloads to CSV as \N unless NULL_IF says otherwise; "
                    "the sandbox unloads NULL with NULL_IF = () only"
                )
            self._csv.write_batch(batch.cast(_text(batch.schema)))
        else:
            lines = batch.column(0).cast(pa.string()).to_pylist()
            self._counter.write(("\n".join(line or "null" for line in lines) + "\n").encode())

    def size(self) -> int:
        return self._file.tell()

    @property
    def raw(self) -> int:
        return self._counter.written

    def close(self) -> None:
        if self._csv is not None:
            self._csv.close()
        if self._parquet is not None:
            self._parquet.close()
        self._counter.finish()
        self._file.close()


class _Counter(io.RawIOBase):
    """Counts uncompressed bytes on their way to the (compressed) file."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.written += len(data)
        self._target.write(bytes(data))
        return len(data)

    def finish(self) -> None:
        if isinstance(self._target, gzip.GzipFile):
            self._target.close()


def _text(schema: pa.Schema) -> pa.Schema:
    """All columns as text: CSV has no other type, and pyarrow's own number formatting is Snowflake's TO_VARCHAR enough."""
    return pa.schema([pa.field(field.name, pa.string()) for field in schema])


def _parquet_schema(schema: pa.Schema, header: bool) -> pa.Schema:
    """The columns as Snowflake unloads them. StatementError for a time with a zone, which it refuses in Parquet too
    (Snowflake, "COPY INTO <location>", notes on Parquet)."""
    fields = []
    for number, field in enumerate(schema):
        kind = field.type
        if pa.types.is_timestamp(kind):
            if kind.tz is not None:
                raise StatementError(
                    f"Error encountered when unloading to PARQUET: TIMESTAMP_TZ and LTZ types are not supported for "
                    f"unloading to Parquet: column {field.name}"
                )
            kind = pa.timestamp("us")
        elif pa.types.is_integer(kind):
            kind = pa.int64()
        elif pa.types.is_floating(kind):
            kind = pa.float64()
        fields.append(pa.field(field.name if header else f"_COL_{number}", kind))
    return pa.schema(fields)


def _existing(s3: Any, unload: Unload) -> bool:
    answer = s3.list_objects_v2(Bucket=unload.bucket, Prefix=unload.prefix, MaxKeys=1)
    return bool(answer.get("KeyCount"))


def _put(s3: Any, unload: Unload, sink: _Sink, number: int, query_id: str) -> UnloadedFile:
    sink.close()
    compression = {"GZIP": ".gz", "SNAPPY": ".snappy"}.get(unload.compression, "")
    ending = f"{compression}.parquet" if unload.type == "PARQUET" else f".{unload.type.lower()}{compression}"
    if unload.single:
        key = unload.prefix if not unload.prefix.endswith("/") else unload.prefix + "data"
    else:
        # Snowflake: <prefix>data_[<query id>_]<worker>_<thread>_<part>.<ending>; a prefix without / is glued on.
        stem = "data" if unload.prefix.endswith("/") or not unload.prefix else ""
        middle = f"{query_id}_" if unload.include_query_id else ""
        key = f"{unload.prefix}{stem}_{middle}0_{number % 8}_{number // 8}{ending}"
    size = sink.path.stat().st_size
    encryption = {"ServerSideEncryption": unload.encryption} if unload.encryption else {}
    encryption |= {"SSEKMSKeyId": unload.kms_key} if unload.kms_key else {}
    with sink.path.open("rb") as body:
        s3.put_object(Bucket=unload.bucket, Key=key, Body=body, **encryption)
    sink.path.unlink()
    return UnloadedFile(key.removeprefix(unload.prefix) or key, size, sink.raw, sink.rows)
