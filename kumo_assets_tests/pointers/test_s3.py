"""What came of a pointer's write, for each answer of S3 to the write and to the read-back (fault 11): a scripted HTTP server.

A failed write reported as good, and a good one reported as failed or lost, are the same mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kumo_serving.errors import PointerMalformed
from kumo_serving.pointer import KeyAttribute, Pointer, Previous, Promoted

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import LostRace, ObjectStoreError, ReleaseError
from kumo_assets.pointers.s3 import S3PointerStore
from kumo_assets.pointers.store import to_bytes
from kumo_assets_tests.releases.conftest import aws_variables  # noqa: F401
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer
from kumo_assets_tests.support.scripted_s3 import (
    BROKEN,
    DONE,
    GONE,
    IN_PROGRESS,
    TOO_LATE,
    content,
    failure,
    objects_of,
)

NAMES = QueryNames(environment="local", query="next_best_product", bucket="a-bucket")
EXPECTED = '"e"'


def document(generation: int, by: str = "ann") -> tuple[Pointer, LedgerEntry]:
    at = "2017-12-01T10:00:00.000Z"
    release = "20171130-1a2b3c4d"
    pointer = Pointer(
        query=NAMES.query,
        environment=NAMES.environment,
        generation=generation,
        release_id=release,
        partition="2017-11-30",
        table=NAMES.dynamodb_table(release),
        region="us-east-1",
        key=KeyAttribute("e", "S"),
        item_format="ranking/1",
        releases=NAMES.releases_uri,
        promoted=Promoted(at=at, by=by),
    )
    return pointer, LedgerEntry(query=NAMES.query, at=at, action="promote", by=by, generation=generation)


def stored(generation: int, by: str = "ann") -> Answer:
    return content(to_bytes(*document(generation, by)))


OURS, OLD, THEIRS, LATER = stored(2), stored(1), stored(2, "bob"), stored(3, "bob")
LOST_ANSWER = Answer(reset=True)


@pytest.fixture
def server(aws_variables: None) -> Iterator[ScriptedServer]:  # noqa: F811
    with ScriptedServer() as made:
        yield made


def write(server: ScriptedServer, puts: list[Answer], read: Answer) -> str:
    """Write generation 2 over 1; who moved the pointer to what came back, and its generation."""
    left = list(puts)

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return read
        return left.pop(0) if len(left) > 1 else left[0]

    server.script = answer
    done = S3PointerStore(NAMES, objects_of(server)).write(*document(2), EXPECTED)
    return f"{done.pointer.promoted.by} {done.pointer.generation}"


@pytest.mark.parametrize(
    ("puts", "read"),
    [
        ([DONE], OURS),
        ([DONE], LATER),  # somebody moved on from ours
        ([LOST_ANSWER, TOO_LATE], OURS),  # the retry was refused by our own first write
        ([TOO_LATE], OURS),
        ([BROKEN], OURS),  # done, and answered with an error all the same
        ([LOST_ANSWER], OURS),
    ],
)
def test_a_write_that_was_done_is_reported_as_done(server: ScriptedServer, puts: list[Answer], read: Answer) -> None:
    assert write(server, puts, read) == "ann 2"


def test_a_write_that_s3_takes_one_at_a_time_is_retried(server: ScriptedServer) -> None:
    assert write(server, [IN_PROGRESS, IN_PROGRESS, DONE], OURS) == "ann 2"
    assert [asked.method for asked in server.asked] == ["PUT", "PUT", "PUT", "GET"]


@pytest.mark.parametrize(
    ("expected", "header", "value"),
    [('"e"', "if-match", '"e"'), ('"e" v7', "if-match", '"e"'), (None, "if-none-match", "*")],
)
def test_what_is_written_over_is_what_was_read_or_nothing(
    server: ScriptedServer, expected: str | None, header: str, value: str
) -> None:
    server.script = lambda asked: OURS if asked.method == "GET" else DONE
    S3PointerStore(NAMES, objects_of(server)).write(*document(2), expected)
    conditions = {name: server.asked[0].headers.get(name) for name in ("if-match", "if-none-match")}
    assert conditions == {"if-match": None, "if-none-match": None, header: value}


def test_a_proxys_page_is_no_write(server: ScriptedServer) -> None:
    with pytest.raises(ReleaseError, match=r"write the active pointer.*it is not S3's.*the old pointer stands"):
        write(server, [Answer(200, b"<html><p>Log in</p></html>", {"Content-Type": "text/html"})], OLD)


UNREADABLE = {
    "too long": {"region": "x" * 70_000},
    "no table": {"table": "a table of mine"},
    "an impossible generation": {"generation": 2**53},
    "half a character": {"region": "\ud800"},
    "another reading": {"previous": (Previous("", "", "local-next_best_product-20171129-00000000"),)},
}


@pytest.mark.parametrize("which", UNREADABLE)
def test_a_document_that_no_reader_would_take_is_never_sent(server: ScriptedServer, which: str) -> None:
    pointer, move = document(2)
    server.script = lambda asked: OLD if asked.method == "GET" else DONE
    with pytest.raises(ReleaseError, match="write the active pointer of next_best_product: "):
        S3PointerStore(NAMES, objects_of(server)).write(pointer.replace(**UNREADABLE[which]), move, EXPECTED)
    assert server.asked == []


@pytest.mark.parametrize(
    ("puts", "read", "found"),
    [
        ([TOO_LATE], THEIRS, "generation 2"),
        ([TOO_LATE], OLD, "generation 1"),  # put back meanwhile
        ([GONE], GONE, "gone"),
        ([BROKEN], THEIRS, "generation 2"),
        ([LOST_ANSWER], LATER, "generation 3"),
    ],
)
def test_a_write_that_came_second_has_lost(
    server: ScriptedServer, puts: list[Answer], read: Answer, found: str
) -> None:
    with pytest.raises(LostRace, match=f"somebody else moved it meanwhile.*{found}"):
        write(server, puts, read)


@pytest.mark.parametrize(
    ("puts", "reason"),
    [
        ([BROKEN], r"InternalError.*Next: try again; the old pointer stands, and readers go on with it"),
        ([LOST_ANSWER], r"Connection.*the old pointer stands"),
        ([failure(403, "AccessDenied")], r"AccessDenied.*Next: grant .*deploy/iam.*the old pointer stands"),
        ([DONE], r"the store said that it was written, but the pointer is at generation 1.*nothing was promoted"),
    ],
)
def test_a_write_that_was_not_done_says_that_nothing_moved(
    server: ScriptedServer, puts: list[Answer], reason: str
) -> None:
    with pytest.raises(ReleaseError, match=f"write the active pointer s3://a-bucket/.*{reason}"):
        write(server, puts, OLD)


@pytest.mark.parametrize(
    ("puts", "reason"),
    [
        ([DONE], "the store took it, but it could not be read back"),
        ([TOO_LATE], "another writer was first, and the pointer could not be read back"),
        ([GONE], "another writer was first, and the pointer could not be read back"),
        ([LOST_ANSWER], r"Connection.*, and it could not be read back"),
    ],
)
def test_a_write_that_cannot_be_read_back_is_neither_done_nor_lost(
    server: ScriptedServer, puts: list[Answer], reason: str
) -> None:
    with pytest.raises(ReleaseError, match=f"know whether the active pointer was moved.*{reason}"):
        write(server, puts, BROKEN)


@pytest.mark.parametrize(
    "value",
    ["1" + "0" * 4_300, "[" * 960 + "]" * 960, "[" * 100_000, '"\\ud800"', '{"by": ' + "[" * 900 + "]" * 900 + "}"],
    ids=["digits", "deep", "too deep", "half a character", "a deep note"],
)
@pytest.mark.parametrize("name", ["hold", "more_holds", "unrecorded", "move", "unknown", "region"])
def test_a_document_that_python_cannot_take_is_malformed(server: ScriptedServer, name: str, value: str) -> None:
    """Or it is read as a hand edit. It never raises anything else."""
    rest = {key: one for key, one in json.loads(to_bytes(*document(1))).items() if key != name}
    text = json.dumps(rest).replace("{", f'{{"{name}": {value},', 1)
    server.script = lambda asked: content(text.encode())
    store = S3PointerStore(NAMES, objects_of(server))
    try:
        found = store.read()
    except PointerMalformed:
        return
    assert found is not None
    assert found.hand_edited
    holds = (*found.pointer.more_holds, *([found.pointer.hold] if found.pointer.hold is not None else []))
    assert all(hold.reason.encode() or hold.by.encode() for hold in holds), "a command prints it"


def test_a_pointer_that_cannot_be_read_says_what_readers_do(server: ScriptedServer) -> None:
    server.script = lambda asked: BROKEN
    with pytest.raises(ObjectStoreError, match=r"read the active pointer s3://.*InternalError.*readers keep the last"):
        S3PointerStore(NAMES, objects_of(server)).read()
