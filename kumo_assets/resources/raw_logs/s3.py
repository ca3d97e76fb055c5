"""How far raw logs on S3 reach: the newest objects under a prefix, and the newest event in them.

What is read is bounded: so many keys are listed, so many objects opened, and of each no more than it takes. An object's
form is told by its first bytes, so nobody says it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError, ObjectStoreError, RawLogError
from kumo_assets.resources.raw_logs.json_lines import GZIP, newest_in_json
from kumo_assets.resources.raw_logs.objects import Changed, ObjectFile
from kumo_assets.resources.raw_logs.parquet import newest_in_parquet
from kumo_assets.resources.raw_logs.times import Reach
from kumo_assets.resources.s3_objects import Listed, ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Keys that are listed, 1,000 a request, before a person is asked for a narrower prefix.
MOST_LISTED = 100_000
# Folders of days: up to this many before the partition's end (no tolerance of late logs is longer) and one after it.
DAYS_BEFORE, DAYS_AFTER = 8, 1
# How often the newest objects are looked for again when one of them is replaced while it is read, as a compaction does.
LOOKS = 3
PARQUET = b"PAR1"


def reach_on_s3(name: str, raw: RawTable, at: datetime, client: S3Client) -> Reach:
    """The newest event in the newest objects of `raw.location`; None where there are no objects, or no `event_time`.

    Raises RawLogError for objects that are not as the definition says, and when S3 does not answer or refuses;
    ConfigError for a prefix with too many objects.
    """
    assert raw.location is not None  # the definition was checked
    bucket, _, prefix = raw.location.removeprefix("s3://").partition("/")
    objects = ObjectStore(bucket, client)
    for _ in range(LOOKS):
        try:
            return _look(name, raw, objects, prefix, at)
        except Changed as changed:
            last = str(changed)
        except ObjectStoreError as error:
            raise RawLogError(
                f"read the raw log {name} on S3:",
                to=error.to,
                found=error.found,
                next="check `location` in the RawLogs definition; the pipeline needs s3:ListBucket and s3:GetObject there",
            ) from error
    raise RawLogError(
        f"read the raw log {name} in",
        to=objects.uri(last),
        found=f"it was replaced or deleted while it was read, {LOOKS} times in a row",
        next="see what rewrites the logs at this time, then try again",
    )


def _look(name: str, raw: RawTable, objects: ObjectStore, prefix: str, at: datetime) -> Reach:
    for folder in _folders(raw, prefix, at):
        newest = _newest_objects(name, objects, folder, raw.newest_objects)
        if newest:
            seen = {
                "newest object": objects.uri(newest[0].key),
                "newest object written": newest[0].modified.isoformat(),
            }
            events = [_newest_event(name, objects, item.key, raw) for item in newest] if raw.event_time else []
            return Reach(max((event for event in events if event is not None), default=None), seen)
    return Reach(None, {"newest object": f"none under {objects.uri(prefix)}"}, empty=True)


def _folders(raw: RawTable, prefix: str, at: datetime) -> Iterator[str]:
    """The prefixes that are listed, the newest day first. Keys are in the days of the log's own time zone."""
    if "%" not in prefix:
        yield prefix
        return
    day = at.astimezone(ZoneInfo(raw.event_time_zone)).date()
    days = [day + timedelta(days=apart) for apart in range(DAYS_AFTER, -DAYS_BEFORE - 1, -1)]
    yield from dict.fromkeys(day.strftime(prefix) for day in days)


def _newest_objects(name: str, objects: ObjectStore, prefix: str, most: int) -> list[Listed]:
    """The objects that were written last, the newest first. What begins with `_` or `.` is a writer's own (`_SUCCESS`)."""

    def listed() -> Iterator[Listed]:
        for number, item in enumerate(objects.list(prefix), start=1):
            if number > MOST_LISTED:
                raise ConfigError(
                    f"find the newest objects of the raw log {name} under",
                    to=objects.uri(prefix),
                    found=f"more than {MOST_LISTED:,} objects",
                    next="write the day into location, as s3://bucket/folder/%Y/%m/%d/, so that less is listed",
                )
            if not item.key.endswith("/") and not item.key.rpartition("/")[2].startswith(("_", ".")):
                yield item

    return heapq.nlargest(most, listed(), key=lambda item: (item.modified, item.key))


def _newest_event(name: str, objects: ObjectStore, key: str, raw: RawTable) -> datetime | None:
    file, where = ObjectFile(objects, key), objects.uri(key)
    if file.size == 0:
        return None
    if file.start == PARQUET:
        return newest_in_parquet(name, where, file, raw)
    if file.start.startswith(GZIP) or file.start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b""):
        return newest_in_json(name, where, file, raw)
    raise RawLogError(
        f"read the raw log {name} in",
        to=where,
        found=f"it begins with {file.start!r}: neither Parquet nor JSON lines, plain or gzip",
        next="write a location that has nothing else in it, or use freshness_from: package.module:function",
    )
