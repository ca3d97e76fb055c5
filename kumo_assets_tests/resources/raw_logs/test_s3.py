"""How far raw logs on S3 reach: Parquet and JSON lines of every kind, what is read of them, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from kumo_sandbox.testing import SandboxHandle
from pyarrow import parquet

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError, RawLogError
from kumo_assets.resources.aws import s3_client
from kumo_assets.resources.raw_logs import json_lines, s3
from kumo_assets.resources.raw_logs.reach import reach
from kumo_assets.resources.raw_logs.times import Reach
from kumo_assets_tests.support.memory_aws import Memory, MemoryS3

AT = datetime(2017, 12, 1, tzinfo=UTC)
NEWEST = datetime(2017, 11, 30, 23, 59, tzinfo=UTC)


@pytest.fixture
def memory() -> Memory:
    return Memory()


def log(location: str = "s3://logs/clicks/", **more: Any) -> RawTable:
    return RawTable.model_validate({"freshness_from": "s3", "location": location, "event_time": "at"} | more)


def put(memory: Memory, **objects: bytes) -> None:
    """Written in this order; `__` in a name is `/`, a last `_` a point."""
    for name, data in objects.items():
        memory.objects[f"clicks/{name.replace('__', '/')}"] = (data, memory.clock.tick())


def look(memory: Memory, raw: RawTable | None = None) -> Reach:
    return reach("clicks", raw or log(), AT, memory.s3)


def lines(*times: Any) -> bytes:
    return "".join(json.dumps({"user": 1, "at": time}) + "\n" for time in times).encode()


def table(column: pa.Array, name: str = "at", **options: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table({"user": list(range(len(column))), name: column}), out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("time", "zone"),
    [
        ("2017-11-30T23:59:00Z", "Asia/Tokyo"),
        ("2017-11-30T18:59:00-05:00", "UTC"),
        ("2017-11-30 18:59:00", "America/New_York"),
        (1512086340, "Asia/Tokyo"),
        (1512086340.0, "UTC"),
        (1512086340_000, "UTC"),
        (1512086340_000_000, "UTC"),
        (1512086340_000_000_000, "UTC"),
    ],
)
def test_a_time_in_json_of_any_form(memory: Memory, time: Any, zone: str) -> None:
    put(memory, one=lines("2017-01-01T00:00:00Z", time, None))
    assert look(memory, log(event_time_zone=zone)).newest == NEWEST


def test_a_date_alone_means_its_end(memory: Memory) -> None:
    put(memory, one=lines("2017-11-30"))
    assert look(memory).newest == AT


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_lines_that_say_no_time_are_passed_over(memory: Memory, pack: Callable[[bytes], bytes]) -> None:
    odd = b'\n{"at": "soon"}\n{"at": tru\n[1]\n{"at": NaN}\n{"at": 1e99}\n{"at": true}\n' + b"[" * 100_000 + b"\n"
    put(memory, one=pack(odd + lines(NEWEST.isoformat()) + b'{"at": "2017-'))
    assert look(memory).newest == NEWEST


def test_a_path_finds_a_field_inside_and_a_name_with_points_comes_first(memory: Memory) -> None:
    put(memory, one=b'{"event": {"at": "2017-11-30T23:59:00Z"}, "a.b": 1512086340, "a": {"b": 0}}')
    assert look(memory, log(event_time="event.at")).newest == NEWEST
    assert look(memory, log(event_time="a.b")).newest == NEWEST


@pytest.mark.parametrize(
    ("column", "zone"),
    [
        (pa.array([datetime(2017, 11, 30, 23, 59), None], pa.timestamp("us")), "UTC"),
        (pa.array([datetime(2017, 11, 30, 18, 59), None], pa.timestamp("ms")), "America/New_York"),
        (pa.array([NEWEST, None], pa.timestamp("ns", "America/New_York")), "Asia/Tokyo"),
        (pa.array([date(2017, 11, 29), date(2017, 11, 30)]), "UTC"),
        (pa.array([1512086340_000, 5]), "UTC"),
        (pa.array(["2017-11-30T23:58:59Z", "2017-11-30T18:59:00-05:00", None]), "Asia/Tokyo"),
    ],
    ids=["naive", "naive elsewhere", "aware", "date", "epoch", "text, whose order is not that of its times"],
)
@pytest.mark.parametrize("statistics", [True, False])
def test_a_time_in_parquet_of_any_type(memory: Memory, column: pa.Array, zone: str, statistics: bool) -> None:
    put(memory, one=table(column, write_statistics=statistics))
    newest = AT if column.type == pa.date32() else NEWEST
    assert look(memory, log(event_time_zone=zone)).newest == newest


def test_the_times_that_spark_writes_and_columns_inside_a_struct(memory: Memory) -> None:
    inside = pa.array([{"at": datetime(2017, 11, 30, 23, 59)}, None])
    put(memory, one=table(inside, "event", use_deprecated_int96_timestamps=True))
    assert look(memory, log(event_time="event.at")).newest == NEWEST


def test_only_the_footer_of_a_large_parquet_file_is_read(memory: Memory) -> None:
    times = [NEWEST - timedelta(seconds=7 * (number * number % 90_001)) for number in range(200_000)]
    column = pa.array(times, pa.timestamp("us", "UTC"))
    put(memory, one=table(column, row_group_size=50_000))
    assert look(memory).newest == NEWEST
    assert len(memory.objects["clicks/one"][0]) > 500_000
    assert memory.read < 100_000


def test_only_the_end_of_a_large_plain_file_is_read(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "TAIL", len(lines(NEWEST.isoformat())) + 5)
    put(memory, one=lines("2018-05-05T00:00:00Z", *["2017-01-01T00:00:00Z"] * 50, NEWEST.isoformat()))
    assert look(memory).newest == NEWEST
    assert memory.read < 200


def test_an_object_is_opened_only_when_it_is_among_the_newest(memory: Memory) -> None:
    put(memory, old=lines("2017-11-30T23:59:00Z"), b=lines("2017-11-29T00:00:00Z"), a=lines("2017-11-28T00:00:00Z"))
    put(memory, _SUCCESS=b"", dt__=b"", b___temporary=b"x")
    found = look(memory, log(newest_objects=2))
    assert found.newest == datetime(2017, 11, 29, tzinfo=UTC)
    assert found.seen["newest object"] == "s3://logs/clicks/a"


def test_empty_files_and_files_without_rows_have_no_event(memory: Memory) -> None:
    nothing = pa.array([None, None], pa.timestamp("us"))
    put(memory, empty=b"", rows=table(pa.array([], pa.timestamp("us"))), nulls=table(nothing), blank=b"\n\n")
    assert look(memory) == Reach(None, look(memory).seen)
    assert look(Memory()) == Reach(None, {"newest object": "none under s3://logs/clicks/"}, empty=True)


def test_a_location_with_a_day_lists_the_folders_around_the_partitions_end(memory: Memory) -> None:
    put(memory, **{"2017__11__30__x": lines(NEWEST.isoformat()), "2017__09__01__y": lines("2017-12-09T00:00:00Z")})
    raw = log("s3://logs/clicks/%Y/%m/%d/")
    assert look(memory, raw).newest == NEWEST
    put(memory, **{"2017__12__01__x": lines("2017-12-01T00:00:30Z")})
    assert look(memory, raw).newest == datetime(2017, 12, 1, 0, 0, 30, tzinfo=UTC)
    assert reach("clicks", raw, datetime(2018, 5, 1, tzinfo=UTC), memory.s3).empty


def test_a_column_that_is_not_looked_for_is_no_stream(memory: Memory) -> None:
    put(memory, one=b"anything")
    found = look(memory, log(event_time=None))
    assert (found.newest, found.empty, found.seen["newest object"]) == (None, False, "s3://logs/clicks/one")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lines("soon"), "none of 1 lines has a time; the first has 'soon' in at"),
        (b'{"ts": 1}\n', "the first has the fields ts, not at"),
        (b"{]\n", "the first is no JSON object"),
        (b"ORC\x00", "it begins with b'ORC.*neither Parquet nor JSON"),
        (gzip.compress(lines("2017-11-30"))[:-12], "its gzip is broken"),
        (b"\x1f\x8bnonsense", "its gzip is broken"),
        (table(pa.array([1.5]), "ts"), "it has the columns user, ts, not at"),
        (table(pa.array(["soon"])), "its column at holds 'soon', no time"),
        (table(pa.array([b"x"])), "its column at holds b'x', no time"),
        (table(pa.array([1]))[:-20], "no whole Parquet file"),
        (b"PAR1", "no whole Parquet file"),
    ],
    # The bytes of some differ in each process, and workers must agree on the tests' names.
    ids=[
        "a word",
        "another field",
        "no JSON",
        "ORC",
        "cut gzip",
        "no gzip",
        "no column",
        "words",
        "bytes",
        "cut",
        "magic",
    ],
)
def test_what_says_no_time_is_refused_by_name(memory: Memory, data: bytes, words: str) -> None:
    put(memory, one=data)
    with pytest.raises(RawLogError, match=f"raw log clicks in s3://logs/clicks/one: .*{words}"):
        look(memory)


def test_what_would_cost_too_much_is_refused(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MOST_UNPACKED", 1 << 20)
    put(memory, bomb=gzip.compress(b"{" + b" " * (2 << 20)))
    with pytest.raises(RawLogError, match="more than 1 MB, unpacked"):
        look(memory)
    monkeypatch.setattr(s3, "MOST_LISTED", 2)
    put(memory, b=b"", c=b"")
    with pytest.raises(ConfigError, match=r"more than 2 objects.*%Y/%m/%d"):
        look(memory)


def test_an_object_that_a_compaction_replaces_is_looked_for_again(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(memory, one=lines("2017-01-01T00:00:00Z"))
    inner, left = MemoryS3.get_object, [2]

    def replaced(self: MemoryS3, **options: Any) -> dict[str, Any]:
        answer = inner(self, **options)
        if left[0]:
            left[0] -= 1
            del memory.objects["clicks/one"]
            put(memory, one=lines(NEWEST.isoformat(), *[str(left[0])] * left[0]))
        return answer

    monkeypatch.setattr(MemoryS3, "get_object", replaced)
    assert look(memory).newest == NEWEST
    left[0] = 99
    with pytest.raises(RawLogError, match="replaced or deleted while it was read, 3 times"):
        look(memory)


def test_a_bucket_that_does_not_exist_is_named_with_its_setting(sandbox: SandboxHandle) -> None:
    with pytest.raises(RawLogError, match=r"NoSuchBucket.*`location`"):
        reach("clicks", log("s3://no-such-bucket-here/x/"), AT, s3_client)


def test_the_sandboxs_s3_gives_ranges_and_refuses_an_object_that_was_replaced(sandbox: SandboxHandle) -> None:
    client, bucket = s3_client(), os.environ["KUMO_ASSETS_BUCKET"]
    times = pa.array([NEWEST - timedelta(seconds=second) for second in range(50_000)], pa.timestamp("us", "UTC"))
    client.put_object(Bucket=bucket, Key="raw-logs/a.parquet", Body=table(times))
    client.put_object(Bucket=bucket, Key="raw-logs/b.json.gz", Body=gzip.compress(lines("2017-11-28T00:00:00Z")))
    client.put_object(Bucket=bucket, Key="raw-logs/c", Body=b"")
    raw = log(f"s3://{bucket}/raw-logs/")
    assert reach("clicks", raw, AT, s3_client).newest == NEWEST
    objects = s3.ObjectStore(bucket, client)
    opened = s3.ObjectFile(objects, "raw-logs/a.parquet")
    client.put_object(Bucket=bucket, Key="raw-logs/a.parquet", Body=lines("2017-11-28T00:00:00Z"))
    with pytest.raises(s3.Changed):
        opened.read(10)
