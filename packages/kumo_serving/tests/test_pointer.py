"""The pointer document: what a reader accepts, what it refuses and how it says so, and that writing is stable."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from kumo_serving.errors import PointerMalformed
from kumo_serving.pointer import (
    Forced,
    Hold,
    KeyAttribute,
    Pointer,
    Previous,
    Promoted,
    dump_pointer,
    parse_pointer,
    partition_of_release,
    release_of_table,
)

FULL = Pointer(
    query="next_best_product",
    table="local-next_best_product-20171130-1a2b3c4d",
    environment="local",
    generation=7,
    release_id="20171130-1a2b3c4d",
    partition="2017-11-30",
    region="eu-west-1",
    key=KeyAttribute("e", "S"),
    item_format="ranking/1",
    fallback="s3://acme/local/next_best_product/releases/20171130-1a2b3c4d/fallback.json",
    releases="s3://acme/local/next_best_product/releases/",
    promoted=Promoted("2017-12-01T02:10:00Z", "sensor", "run-1"),
    previous=(
        Previous(
            "20171129-0a0b0c0d",
            "2017-11-29",
            "local-next_best_product-20171129-0a0b0c0d",
            "s3://acme/local/next_best_product/releases/20171129-0a0b0c0d/fallback.json",
        ),
    ),
    hold=Hold("ana", "2017-12-01T03:00:00Z", "bad list", "20171201-aaaaaaaa", "20171130-1a2b3c4d"),
    forced=Forced("ana", "2017-12-01T02:10:00Z", "known drift"),
)


def document(**changes: object) -> bytes:
    fields = {**json.loads(dump_pointer(FULL)), **changes}
    return json.dumps({name: value for name, value in fields.items() if value != "absent"}).encode()


def test_what_is_written_is_read_back_whole() -> None:
    assert parse_pointer(dump_pointer(FULL), "next_best_product", "local") == FULL


def test_written_bytes_are_stable_and_indented_for_people() -> None:
    written = dump_pointer(FULL)
    assert dump_pointer(parse_pointer(written, "next_best_product")) == written
    assert written.startswith(b'{\n  "schema_version": 1,\n  "query": "next_best_product",')
    assert written.endswith(b"}\n")


def test_query_and_table_alone_are_enough_to_read() -> None:
    pointer = parse_pointer(b'{"query": "q", "table": "my-table"}', "q")
    assert (pointer.table, pointer.key, pointer.item_format) == ("my-table", KeyAttribute("e", "S"), "ranking/1")
    assert (pointer.previous, pointer.hold, pointer.fallback, pointer.generation) == ((), None, None, 0)


def test_fields_of_a_newer_writer_are_ignored() -> None:
    assert parse_pointer(document(colour="red"), "next_best_product") == FULL


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", "not JSON"),
        (b'{"schema_version": 1, "query": "next_be', "not JSON"),
        (b"[]", "list"),
        (b"\xff\xfe\x00", "not JSON"),
        (document(schema_version=2), "'schema_version' is 2"),
        (document(schema_version="1"), "'schema_version' is a str"),
        (document(query="other_query"), "another query"),
        (document(query="absent"), "'query' is missing"),
        (document(table="absent"), "'table' is missing"),
        (document(table=""), "'table'"),
        (document(table="a table"), "'table'"),
        (document(table=["t"]), "'table' is a list"),
        (document(generation="7"), "'generation' is a str"),
        (document(generation=True), "'generation' is a bool"),
        (document(generation=-1), "'generation' is -1"),
        (document(key={"name": "e", "type": "B"}), "'key.type'"),
        (document(key="e"), "'key' is a str"),
        (document(previous=[{"release_id": "x"}]), "'previous[0].table' is missing"),
        (document(previous={}), "'previous' is a dict"),
        (document(environment="production"), "'environment' is 'production'"),
        (b'{"query": "next_best_product", "table": "new", "table": "old"}', "'table' stands twice"),
        (b"[" * 60_000, "not JSON"),
        (document(note="x" * 70_000), "bytes"),
        (document()[:-1] + b', "note": [-1%s]}' % (b"0" * 4300), "more than 4300 digits"),
        (b'{"schema_version": 1%s}' % (b"0" * 4299), "'schema_version' is 10000000000000000000... (4300 digits)"),
        (document(generation=-(10**4000)), "(4002 digits), and it is never negative"),
        (document(generation=2**53 - 1), "'generation' is 9007199254740991"),
    ],
)
def test_what_must_not_be_served_is_refused_by_the_field_s_name(data: bytes, names: str) -> None:
    with pytest.raises(PointerMalformed) as error:
        parse_pointer(data, "next_best_product", "local")
    assert names in str(error.value)
    assert "next_best_product" in str(error.value)


def test_a_number_of_many_digits_is_a_malformed_document_whatever_limit_the_service_has() -> None:
    before = sys.get_int_max_str_digits()
    try:
        for limit in (0, 640, before):
            sys.set_int_max_str_digits(limit)
            with pytest.raises(PointerMalformed):
                parse_pointer(document()[:-1] + b', "note": 1%s}' % (b"0" * 4300), "next_best_product")
    finally:
        sys.set_int_max_str_digits(before)
    # Within the limit, a number in an unknown field is ignored as any other value is.
    assert parse_pointer(document(note=10**4000), "next_best_product") == FULL


def test_a_hold_typed_carelessly_is_still_a_hold_and_never_stops_a_reader() -> None:
    assert parse_pointer(document(hold=True), "next_best_product").hold is not None
    assert parse_pointer(document(hold="bad list"), "next_best_product").hold == Hold(reason="bad list")
    assert parse_pointer(document(hold={"by": "ana", "note": 1}), "next_best_product").hold == Hold(by="ana")
    assert parse_pointer(document(hold=None), "next_best_product").hold is None
    assert parse_pointer(document(hold=False), "next_best_product").hold is None


def test_a_table_changed_by_hand_is_served_under_its_own_release_and_fallback() -> None:
    edited = parse_pointer(document(table="local-next_best_product-20171129-0a0b0c0d"), "next_best_product")
    assert edited.edited
    assert edited.served_release_id == "20171129-0a0b0c0d"
    assert edited.served_partition == "2017-11-29"
    assert edited.served_fallback == FULL.previous[0].fallback
    assert not FULL.edited
    assert FULL.served_fallback == FULL.fallback


def test_a_table_of_another_name_never_carries_the_stale_release() -> None:
    edited = parse_pointer(document(table="rescue"), "next_best_product")
    assert (edited.edited, edited.served_release_id, edited.served_partition) == (True, "", "")


def test_the_release_is_read_from_a_table_s_name_with_its_attempt() -> None:
    assert release_of_table("local-q-20171130-1a2b3c4d") == "20171130-1a2b3c4d"
    assert release_of_table("local-q-20171130-1a2b3c4d-a2") == "20171130-1a2b3c4d"
    assert release_of_table("local-q-20171130-1a2b3c4d-old") is None
    assert release_of_table("my-table") is None


@pytest.mark.parametrize(
    "release", ["20171131-1a2b3c4d", "20170229-1a2b3c4d", "00000101-1a2b3c4d", "2017\u0661\u066130-1a2b3c4d"]
)
def test_a_date_that_does_not_exist_makes_no_release(release: str) -> None:
    assert release_of_table(f"local-q-{release}") is None
    assert partition_of_release(release) == ""


def test_the_documents_modules_need_no_botocore() -> None:
    code = (
        "import sys, kumo_serving.pointer, kumo_serving.items;"
        "print([name for name in ('botocore', 'awscrt', 'dagster') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
