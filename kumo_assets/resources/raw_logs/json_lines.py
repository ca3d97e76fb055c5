"""The newest event time of JSON lines, plain or gzip: one JSON object a line, as Firehose and Kafka Connect write them.

Of a large plain file the end is read, of a gzip file as much as a bound allows. Parquet is in `parquet`.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import RawLogError
from kumo_assets.resources.raw_logs.objects import AHEAD, ObjectFile
from kumo_assets.resources.raw_logs.times import moment_of, no_times

GZIP = b"\x1f\x8b"
# Of a plain file its last bytes are read: a log's newest lines are at its end. Reading less can only make it look older.
TAIL = 16 << 20
# A gzip file cannot be entered in the middle. Of more than this, unpacked, nothing is believed.
MOST_UNPACKED = 256 << 20


def newest_in_json(name: str, where: str, file: ObjectFile, raw: RawTable) -> datetime | None:
    """The newest time in the field `raw.event_time`, a name or a path with points; None for a file without lines.

    A line that is no JSON object, or has no time, is passed over; RawLogError when all are, and for a broken or enormous
    gzip file.
    """
    assert raw.event_time is not None  # a log without one is not looked into
    newest, lines, example = None, 0, ""
    try:
        for line in _lines(name, where, file):
            lines += 1
            record = _parsed(line)
            value = _at(record, raw.event_time)
            moment = moment_of(value, raw)
            if moment is None:
                example = example or _about(record, value, raw.event_time)
            elif newest is None or moment > newest:
                newest = moment
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _broken(name, where, f"its gzip is broken: {error}", "see what wrote it") from error
    if lines and newest is None:
        raise no_times(name, where, raw.event_time, f"none of {lines:,} lines has a time; {example}")
    return newest


def _lines(name: str, where: str, file: ObjectFile) -> Iterator[bytes]:
    """The lines that are not blank."""
    if file.start.startswith(GZIP):
        with gzip.GzipFile(fileobj=io.BufferedReader(file, AHEAD)) as unpacked:
            left = MOST_UNPACKED
            while line := unpacked.readline(left + 1):
                left -= len(line)
                if left < 0:
                    found = f"it has more than {MOST_UNPACKED >> 20} MB, unpacked"
                    raise _broken(
                        name, where, found, "write smaller objects, or Parquet, or use a function of your own"
                    )
                if line.strip():
                    yield line
        return
    begin = max(file.size - TAIL, 0)
    # From the byte before, so that a line that begins right there is whole.
    file.seek(max(begin - 1, 0))
    opened = io.BufferedReader(file, AHEAD)
    if begin:
        opened.readline()
    for line in opened:
        if line.strip():
            yield line


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _at(record: Any, path: str) -> Any:
    """The value of the field; a field that is called exactly so comes before a path through objects."""
    if not isinstance(record, dict):
        return None
    if path in record:
        return record[path]
    first, _, rest = path.partition(".")
    return _at(record.get(first), rest) if rest else None


def _about(record: Any, value: Any, field: str) -> str:
    if not isinstance(record, dict):
        return "the first is no JSON object"
    if value is not None:
        return f"the first has {value!r:.100} in {field}"
    return f"the first has the fields {', '.join(map(str, record))[:500]}, not {field}"


def _broken(name: str, where: str, found: str, advice: str) -> RawLogError:
    return RawLogError(f"read the raw log {name} in", to=where, found=found, next=advice)
