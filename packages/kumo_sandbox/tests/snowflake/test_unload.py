"""Unloads through Snowflake's own connector: the objects, their content, and the statement's result."""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from kumo_sandbox.settings import BUCKET
from kumo_sandbox.testing import SandboxHandle
from snowflake.connector.errors import ProgrammingError

pytestmark = pytest.mark.sandbox

NUMBERS = "(SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => {rows})))"
CSV = "FILE_FORMAT = (TYPE = CSV COMPRESSION = GZIP FIELD_OPTIONALLY_ENCLOSED_BY = '\"' NULL_IF = ())"


@dataclass(frozen=True)
class Place:
    """`s3://<bucket>/<prefix>` and the objects under it."""

    s3: Any
    prefix: str

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    def objects(self) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(self.prefix): self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            for item in found
        }


@pytest.fixture
def place(sandbox: SandboxHandle) -> Place:
    return Place(boto3.Session().client("s3"), f"unload-tests/{uuid.uuid4().hex}/")


def copy(place: Place, query: str, rest: str) -> str:
    return f"COPY INTO '{place.uri}' FROM ({query}) STORAGE_INTEGRATION = KUMO_SANDBOX {rest}"


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(gzip.decompress(data).decode(), newline="")))


def test_csv_is_gzip_with_a_header_and_quotes_doubled(cursor: Any, place: Place) -> None:
    awkward = 'he said "no", and\nleft'
    cursor.execute(
        copy(place, 'SELECT %s AS "e", NULL AS "n", 1.5 AS "p"', f"{CSV} HEADER = TRUE DETAILED_OUTPUT = TRUE")
        % ("'" + awkward + "'")
    )
    (name, data), *rest = place.objects().items()
    assert not rest
    assert name == "data_0_0_0.csv.gz"
    assert table(data) == [["e", "n", "p"], [awkward, "", "1.5"]]


def test_result_is_a_row_per_file_with_snowflakes_columns(cursor: Any, place: Place) -> None:
    cursor.execute(copy(place, "SELECT 7 AS A", f"{CSV} HEADER = TRUE DETAILED_OUTPUT = TRUE"))
    assert [column.name for column in cursor.description] == ["FILE_NAME", "FILE_SIZE", "ROW_COUNT"]
    ((name, size, rows),) = cursor.fetchall()
    assert (name, size, rows) == ("data_0_0_0.csv.gz", len(place.objects()[name]), 1)


def test_result_without_detail_is_one_row_of_totals(cursor: Any, place: Place) -> None:
    cursor.execute(copy(place, f"SELECT N FROM {NUMBERS.format(rows=1000)}", CSV))
    assert [column.name for column in cursor.description] == ["rows_unloaded", "input_bytes", "output_bytes"]
    ((rows, raw, packed),) = cursor.fetchall()
    ((_, data),) = place.objects().items()
    assert (rows, raw, packed) == (1000, len(gzip.decompress(data)), len(data))


def test_rows_beyond_the_file_size_go_to_further_files_and_none_is_lost(cursor: Any, place: Place) -> None:
    query = f'SELECT MD5(N::VARCHAR) AS "e" FROM {NUMBERS.format(rows=200_000)}'
    cursor.execute(copy(place, query, f"{CSV} HEADER = TRUE MAX_FILE_SIZE = 1000000 DETAILED_OUTPUT = TRUE"))
    told = {name: (size, rows) for name, size, rows in cursor.fetchall()}
    objects = place.objects()
    assert len(objects) > 3
    assert told == {name: (len(data), len(table(data)) - 1) for name, data in objects.items()}
    entities = {row[0] for data in objects.values() for row in table(data)[1:]}
    assert len(entities) == 200_000
    assert all(table(data)[0] == ["e"] for data in objects.values())


def test_json_is_one_object_a_line(cursor: Any, place: Place) -> None:
    query = "SELECT OBJECT_CONSTRUCT('Item', OBJECT_CONSTRUCT('e', 'a\"b')) AS O"
    cursor.execute(copy(place, query, "FILE_FORMAT = (TYPE = JSON COMPRESSION = GZIP) DETAILED_OUTPUT = TRUE"))
    ((name, data),) = place.objects().items()
    assert name == "data_0_0_0.json.gz"
    assert [json.loads(line) for line in gzip.decompress(data).splitlines()] == [{"Item": {"e": 'a"b'}}]


PARQUET = "FILE_FORMAT = (TYPE = PARQUET) DETAILED_OUTPUT = TRUE"
TYPED = (
    "SELECT N::NUMBER(38, 0) AS \"Id\", 'it''s ' || N AS T, N / 4::FLOAT AS F, "
    f"'2017-11-29 00:00:00'::TIMESTAMP_NTZ AS AT, N > 1 AS B, NULL::VARCHAR AS MISSING FROM {NUMBERS.format(rows=3)}"
)


def test_parquet_has_names_types_and_nulls(cursor: Any, place: Place) -> None:
    cursor.execute(copy(place, TYPED, f"{PARQUET} HEADER = TRUE"))
    ((name, size, rows),) = cursor.fetchall()
    ((stored, data),) = place.objects().items()
    assert (name, size, rows) == (stored, len(data), 3) == ("data_0_0_0.snappy.parquet", len(data), 3)
    found = pq.read_table(io.BytesIO(data))
    assert found.schema.names == ["Id", "T", "F", "AT", "B", "MISSING"]
    assert [str(kind) for kind in found.schema.types][1:] == ["string", "double", "timestamp[us]", "bool", "string"]
    assert [int(row["Id"]) for row in found.to_pylist()] == [0, 1, 2]
    assert found.to_pylist()[2] | {"Id": 2} == {
        "Id": 2,
        "T": "it's 2",
        "F": 0.5,
        "AT": datetime(2017, 11, 29),
        "B": True,
        "MISSING": None,
    }


def test_parquet_without_a_header_has_no_names(cursor: Any, place: Place) -> None:
    cursor.execute(copy(place, "SELECT 1 AS A, 2 AS B", PARQUET))
    ((_, data),) = place.objects().items()
    assert pq.read_table(io.BytesIO(data)).schema.names == ["_COL_0", "_COL_1"]


def test_parquet_files_end_near_the_size_limit_and_lose_no_row(cursor: Any, place: Place) -> None:
    query = f'SELECT MD5(N::VARCHAR) AS "e" FROM {NUMBERS.format(rows=100_000)}'
    cursor.execute(copy(place, query, f"{PARQUET} HEADER = TRUE MAX_FILE_SIZE = 1000000"))
    told = {name: rows for name, _, rows in cursor.fetchall()}
    objects = {name: pq.read_table(io.BytesIO(data)) for name, data in place.objects().items()}
    assert len(objects) > 2
    assert told == {name: found.num_rows for name, found in objects.items()}
    assert len({value for found in objects.values() for value in found["e"].to_pylist()}) == 100_000


def test_parquet_refuses_a_time_with_a_zone(cursor: Any, place: Place) -> None:
    with pytest.raises(ProgrammingError, match="not supported for unloading to Parquet"):
        cursor.execute(
            copy(place, "SELECT '2017-11-29 00:00:00 +0100'::TIMESTAMP_TZ AS AT", f"{PARQUET} HEADER = TRUE")
        )
    assert place.objects() == {}


def test_no_rows_make_no_object(cursor: Any, place: Place) -> None:
    cursor.execute(copy(place, "SELECT 1 AS A WHERE 1 = 0", f"{CSV} HEADER = TRUE DETAILED_OUTPUT = TRUE"))
    assert cursor.fetchall() == []
    assert place.objects() == {}


def test_single_file_without_compression_has_the_name_asked_for(cursor: Any, place: Place) -> None:
    file = Place(place.s3, place.prefix + "all.csv")
    cursor.execute(copy(file, "SELECT 1 AS A", "FILE_FORMAT = (TYPE = CSV COMPRESSION = NONE) SINGLE = TRUE"))
    assert list(place.objects().items()) == [("all.csv", b"1\n")]


def test_prefix_that_holds_objects_is_refused_unless_overwritten(cursor: Any, place: Place) -> None:
    cursor.execute(copy(place, "SELECT 1 AS A", CSV))
    with pytest.raises(ProgrammingError, match="Files already existing at the unload destination"):
        cursor.execute(copy(place, "SELECT 2 AS A", CSV))
    assert table(place.objects()["data_0_0_0.csv.gz"]) == [["1"]]
    cursor.execute(copy(place, "SELECT 2 AS A", f"{CSV} OVERWRITE = TRUE"))
    assert table(place.objects()["data_0_0_0.csv.gz"]) == [["2"]]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("COPY INTO '{uri}' FROM (SELECT 1 AS A)", "STORAGE_INTEGRATION only: credentials never stand in SQL"),
        ("COPY INTO '{uri}' FROM (SELECT 1 AS A) STORAGE_INTEGRATION = OTHER", "'OTHER' does not exist"),
        ("COPY INTO '{uri}' FROM (SELECT 1 AS A) STORAGE_INTEGRATION = \"kumo_sandbox\"", "'kumo_sandbox' does not"),
        ("COPY INTO 's3://no-such-bucket/x/' FROM (SELECT 1 AS A) STORAGE_INTEGRATION = KUMO_SANDBOX", "NoSuchBucket"),
        ("COPY INTO '{uri}' FROM (SELECT A FROM PUBLIC.NO_SUCH) STORAGE_INTEGRATION = KUMO_SANDBOX", "NO_SUCH"),
        (
            "COPY INTO '{uri}' FROM (SELECT NULL AS A) STORAGE_INTEGRATION = KUMO_SANDBOX",
            "the sandbox unloads NULL with NULL_IF = .. only",
        ),
        (
            "COPY INTO '{uri}' FROM (SELECT 1 AS A, 2 AS B) STORAGE_INTEGRATION = KUMO_SANDBOX FILE_FORMAT = (TYPE = JSON)",
            "single column",
        ),
    ],
    ids=[
        "no integration",
        "unknown integration",
        "integration in another case",
        "no bucket",
        "no table",
        "a null",
        "json of two columns",
    ],
)
def test_unload_that_cannot_be_says_why_and_writes_nothing(
    cursor: Any, place: Place, statement: str, words: str
) -> None:
    with pytest.raises(ProgrammingError, match=words):
        cursor.execute(statement.format(uri=place.uri))
    assert place.objects() == {}


def test_s3_that_refuses_ends_the_statement(cursor: Any, place: Place, sandbox: SandboxHandle) -> None:
    sandbox.aws_faults({"service": "s3", "operation": "PutObject", "status": 403, "code": "AccessDenied"})
    with pytest.raises(ProgrammingError, match="AccessDenied"):
        cursor.execute(copy(place, "SELECT 1 AS A", CSV))
    assert boto3.Session().client("s3").list_objects_v2(Bucket=BUCKET, Prefix=place.prefix)["KeyCount"] == 0
