"""`ObjectStore`: against MiniStack where S3 answers well, and against a scripted HTTP server for answers it gives on bad days.

Faults are put in at the HTTP boundary, under the client that production uses; retries are fewer, so that tests are fast.
"""

from __future__ import annotations

import pickle
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kumo_sandbox.testing.releases import BUCKET, client

from kumo_assets.errors import ObjectStoreError, ReleaseError
from kumo_assets.resources import s3_objects
from kumo_assets.resources.object_cache import ObjectCache
from kumo_assets.resources.s3_objects import CONFLICTS, ObjectStore, describing
from kumo_assets_tests.releases.conftest import aws, aws_variables, ministack  # noqa: F401
from kumo_assets_tests.resources.kumo.scripted import Answer, ScriptedServer
from kumo_assets_tests.support.scripted_s3 import (
    BROKEN,
    DONE,
    GONE,
    IN_PROGRESS,
    LAST_MODIFIED,
    TOO_LATE,
    content,
    failure,
    in_turn,
    listing,
    objects_of,
)

STALE = '"0123456789abcdef0123456789abcdef"'


# ---- MiniStack


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that no other test has."""
    return f"objects/{secrets.token_hex(6)}/"


@pytest.fixture
def objects(aws: str) -> ObjectStore:  # noqa: F811
    return ObjectStore(BUCKET, client("s3"))


def test_what_was_written_is_read_with_its_tag_and_time(objects: ObjectStore, prefix: str) -> None:
    objects.put(prefix + "a", b"one", content_type="text/plain")
    stored = objects.get(prefix + "a")
    assert stored is not None
    assert stored.data == b"one"
    assert abs(stored.modified - datetime.now(UTC)) < timedelta(minutes=1)
    head = objects.client.head_object(Bucket=BUCKET, Key=prefix + "a")
    assert (head["ETag"], head["ContentType"]) == (stored.etag, "text/plain")


def test_what_was_not_written_since_is_not_sent_again(objects: ObjectStore, prefix: str) -> None:
    statuses: list[int] = []
    objects.client.meta.events.register(
        "response-received.s3.GetObject",
        lambda response_dict, **_: statuses.append(response_dict["status_code"]),
    )
    key = prefix + "a"
    assert objects.get_current(key) is None
    objects.put(key, b"one")
    first = objects.get_current(key)
    assert first is not None
    assert objects.get_current(key) == first
    objects.put(key, b"two")
    second = objects.get_current(key)
    assert second is not None
    assert (first.data, second.data) == (b"one", b"two")
    time.sleep(1.1)  # S3 dates objects by whole seconds
    objects.put(key, b"two")
    again = objects.get_current(key)
    assert again is not None
    assert again.modified > second.modified, "a hand that puts the same content back is seen"
    objects.client.delete_object(Bucket=BUCKET, Key=key)
    assert objects.get_current(key) is None
    assert statuses[:4] == [404, 200, 304, 200]


def test_a_missing_object_is_none_and_does_not_exist(objects: ObjectStore, prefix: str) -> None:
    objects.put(prefix + "ab", b"one")
    assert objects.get(prefix + "a") is None
    assert not objects.exists(prefix + "a"), "a longer key is another object"
    assert objects.exists(prefix + "ab")


def test_create_writes_once(objects: ObjectStore, prefix: str) -> None:
    assert objects.create(prefix + "a", b"one")
    assert not objects.create(prefix + "a", b"two")
    assert _data(objects, prefix + "a") == b"one"


def test_replace_writes_over_the_version_it_names_and_no_other(objects: ObjectStore, prefix: str) -> None:
    key = prefix + "a"
    assert not objects.replace(key, b"one", etag=STALE), "there is none"
    objects.put(key, b"one")
    assert not objects.replace(key, b"two", etag=STALE)
    assert _data(objects, key) == b"one"
    stored = objects.get(key)
    assert stored is not None
    assert objects.replace(key, b"two", etag=stored.etag)
    assert not objects.replace(key, b"three", etag=stored.etag)
    assert _data(objects, key) == b"two"


def test_of_many_creators_one_wins(objects: ObjectStore, prefix: str) -> None:
    won = _race(lambda number: objects.create(prefix + "a", b"%d" % number))
    assert len(won) == 1
    assert _data(objects, prefix + "a") == b"%d" % won[0]


def test_of_many_replacers_of_one_version_one_wins(objects: ObjectStore, prefix: str) -> None:
    key = prefix + "a"
    objects.put(key, b"start")
    stored = objects.get(key)
    assert stored is not None
    won = _race(lambda number: objects.replace(key, b"%d" % number, etag=stored.etag))
    assert len(won) == 1
    assert _data(objects, key) == b"%d" % won[0]


def test_listing_and_deleting_go_beyond_the_thousand_of_one_request(objects: ObjectStore, prefix: str) -> None:
    keys = [f"{prefix}{number:04d}" for number in range(1_050)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda key: objects.put(key, b"x"), keys))
    beside = prefix.rstrip("/") + "-beside"
    objects.put(beside, b"x")
    requests: list[str] = []
    objects.client.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    assert [item.key for item in objects.list(prefix)] == keys
    assert requests == ["ListObjectsV2", "ListObjectsV2"]
    assert [item.key for item in objects.list(prefix, after=keys[1_039])] == keys[1_040:]
    requests.clear()
    objects.delete_many([*keys, prefix + "never-there"])
    assert requests == ["DeleteObjects", "DeleteObjects"]
    assert list(objects.list(prefix)) == []
    assert objects.exists(beside)


def test_listed_objects_have_the_time_s3_gives_them(objects: ObjectStore, prefix: str) -> None:
    objects.put(prefix + "a", b"x")
    stored = objects.get(prefix + "a")
    (listed,) = objects.list(prefix)
    assert stored is not None
    assert listed.modified.replace(microsecond=0) == stored.modified.replace(microsecond=0)


def test_what_is_written_once_is_read_once_for_each_cache(objects: ObjectStore, prefix: str) -> None:
    key = prefix + "a"
    parsed: list[bytes] = []

    def parse(stored: s3_objects.Stored) -> str:
        parsed.append(stored.data)
        return stored.data.decode()

    assert objects.get_once(key, parse) is None, "a missing object is looked for again"
    objects.put(key, b"one")
    later = ObjectStore(BUCKET, objects.client, objects.cache)
    assert objects.get_once(key, parse) == objects.get_once(key, parse) == later.get_once(key, parse) == "one"
    assert parsed == [b"one"]
    other = ObjectStore(BUCKET, objects.client)
    assert other.get_once(key, parse) == "one"
    assert parsed == [b"one", b"one"], "no cache is global to the process"


def test_a_cache_keeps_what_was_used_last() -> None:
    cache = ObjectCache(size=2)
    for key in "ab":
        cache.put("bucket", key, key)
    assert cache.get("bucket", "a") == "a"
    cache.put("bucket", "c", "c")
    assert [cache.get("bucket", key) for key in "abc"] == ["a", None, "c"]
    assert cache.get("other", "a") is None


def test_the_time_is_s3s_and_later_than_anything_it_dated(objects: ObjectStore, prefix: str) -> None:
    objects.put(prefix + "a", b"x")
    stored = objects.get(prefix + "a")
    assert stored is not None
    assert stored.modified <= objects.now(prefix)


def _data(objects: ObjectStore, key: str) -> bytes:
    stored = objects.get(key)
    assert stored is not None
    return stored.data


def _race(act: Callable[[int], bool], racers: int = 12) -> list[int]:
    """Who of the racers won, all of them started at once."""
    start = threading.Barrier(racers)

    def run(number: int) -> bool:
        start.wait()
        return act(number)

    with ThreadPoolExecutor(max_workers=racers) as pool:
        return [number for number, won in enumerate(pool.map(run, range(racers))) if won]


# ---- a scripted server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        yield made


@pytest.fixture
def scripted(server: ScriptedServer, aws_variables: None, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:  # noqa: F811
    monkeypatch.setattr(s3_objects, "FIRST_PAUSE_SECONDS", 0.001)
    return objects_of(server)


WRITES: dict[str, Callable[[ObjectStore], Any]] = {
    "create": lambda objects: objects.create("k", b"1"),
    "replace": lambda objects: objects.replace("k", b"1", etag='"d"'),
}
CALLS: dict[str, Callable[[ObjectStore], Any]] = {
    **WRITES,
    "put": lambda objects: objects.put("k", b"1"),
    "get": lambda objects: objects.get("k"),
    "get_once": lambda objects: objects.get_once("k", lambda stored: stored.data),
    "exists": lambda objects: objects.exists("k"),
    "list": lambda objects: list(objects.list("k")),
    "folders": lambda objects: objects.folders("k"),
    "now": lambda objects: objects.now("k"),
    "delete_many": lambda objects: objects.delete_many(["k"]),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_conflict_is_retried_until_somebody_has_won(
    write: str, server: ScriptedServer, scripted: ObjectStore
) -> None:
    """409 says that another conditional write is in progress, and not how it ends."""
    server.script = in_turn(IN_PROGRESS, IN_PROGRESS, DONE)
    assert WRITES[write](scripted) is True
    assert len(server.asked) == 3
    server.script = in_turn(IN_PROGRESS, TOO_LATE)
    assert WRITES[write](scripted) is False
    assert len(server.asked) == 5


@pytest.mark.parametrize("write", [*WRITES, "put"])
def test_a_conflict_that_lasts_is_an_error_and_no_verdict(
    write: str, server: ScriptedServer, scripted: ObjectStore
) -> None:
    server.script = in_turn(IN_PROGRESS)
    with pytest.raises(ObjectStoreError, match="ConditionalRequestConflict"):
        CALLS[write](scripted)
    assert len(server.asked) == CONFLICTS


def test_what_is_said_to_exist_is_looked_at(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(TOO_LATE, content(b"theirs"))
    existing = scripted.create_once("k", b"1")
    assert existing is not None
    assert existing.data == b"theirs"
    server.script = in_turn(DONE)
    assert scripted.create_once("k", b"1") is None


def test_what_is_said_to_exist_and_does_not_was_not_written(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = lambda asked: GONE if asked.method == "GET" else TOO_LATE
    with pytest.raises(ObjectStoreError, match=r"says that the object exists, and there is none.*doctor"):
        scripted.create_once("k", b"1")


def test_what_was_deleted_in_between_is_written(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(TOO_LATE, GONE, DONE)
    assert scripted.create_once("k", b"1") is None
    assert [asked.method for asked in server.asked] == ["PUT", "GET", "PUT"]


def test_the_pauses_between_retries_grow(
    server: ScriptedServer, scripted: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_objects, "FIRST_PAUSE_SECONDS", 0.05)
    server.script = in_turn(IN_PROGRESS, IN_PROGRESS, IN_PROGRESS, DONE)
    started = time.monotonic()
    scripted.create("k", b"1")
    assert time.monotonic() - started >= 0.05 + 0.1 + 0.2


def test_the_condition_is_what_the_caller_means(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(DONE)
    for call in ("create", "replace", "put"):
        CALLS[call](scripted)
    conditions = [(asked.headers.get("if-none-match"), asked.headers.get("if-match")) for asked in server.asked]
    assert conditions == [("*", None), (None, '"d"'), (None, None)]


def test_an_object_deleted_under_a_replace_is_lost_and_a_wrong_bucket_is_an_error(
    server: ScriptedServer, scripted: ObjectStore
) -> None:
    server.script = in_turn(GONE)
    assert WRITES["replace"](scripted) is False
    assert CALLS["get"](scripted) is None
    server.script = in_turn(failure(404, "NoSuchBucket"))
    for name, call in CALLS.items():
        with pytest.raises(ObjectStoreError, match="KUMO_ASSETS_BUCKET"):
            assert call(scripted) is None, name


@pytest.mark.parametrize("name", CALLS)
def test_a_server_error_is_one_error_that_says_what_failed(
    name: str, server: ScriptedServer, scripted: ObjectStore
) -> None:
    server.script = in_turn(BROKEN)
    with pytest.raises(ObjectStoreError, match=r"s3://a-bucket/k: InternalError.*Next: try again") as caught:
        CALLS[name](scripted)
    assert isinstance(caught.value, ReleaseError)
    assert caught.value.exit_status == 1
    assert len(server.asked) == 2, "the client's own retries, and no more"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_forbidden_is_no_missing_object_and_says_what_to_grant(
    name: str, server: ScriptedServer, scripted: ObjectStore
) -> None:
    """S3 says 403, not 404, of a missing object to a caller who may not list."""
    server.script = in_turn(failure(403, "AccessDenied"))
    with pytest.raises(ObjectStoreError, match=r"AccessDenied.*deploy/iam"):
        CALLS[name](scripted)


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_that_does_not_come_is_an_error(name: str, server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(Answer(200, b"", hang=1.0))
    with pytest.raises(ObjectStoreError, match="ReadTimeoutError"):
        CALLS[name](scripted)


@pytest.mark.parametrize("name", CALLS)
def test_a_broken_connection_is_an_error(name: str, server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(Answer(reset=True))
    with pytest.raises(ObjectStoreError, match="Connection"):
        CALLS[name](scripted)


def test_a_write_that_was_done_and_whose_answer_was_lost_may_say_that_somebody_was_first(
    server: ScriptedServer, scripted: ObjectStore
) -> None:
    """The client's retry meets our own object. That is why the pointer, and whoever else must know, reads back."""
    server.script = in_turn(Answer(reset=True), TOO_LATE)
    assert WRITES["create"](scripted) is False


@pytest.mark.parametrize("name", ["get", "get_once"])
def test_half_an_object_is_an_error_and_not_an_object(name: str, server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(content(b'{"whole": true}', cut=8))
    with pytest.raises(ObjectStoreError, match="read s3://a-bucket/k"):
        CALLS[name](scripted)
    server.script = in_turn(content(b"whole"))
    stored = scripted.get_once("k", lambda found: found)
    assert stored is not None
    assert stored.data == b"whole"
    assert stored.modified == datetime(2017, 11, 30, 10, tzinfo=UTC)


def test_a_slow_body_is_an_error(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(content(b"slow", drip=1.0))
    with pytest.raises(ObjectStoreError, match="ReadTimeoutError"):
        scripted.get("k")


@pytest.mark.parametrize("name", ["list", "exists", "now"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, listing("k1", "k2"), {"Content-Type": "application/xml"}, cut=120),
        Answer(200, listing("k1", "k2")[:120], {"Content-Type": "application/xml"}),
        Answer(200, b"<html><br>Please log in to the proxy</html>", {"Content-Type": "text/html"}),
    ],
    ids=["cut", "half a document", "a proxy's page"],
)
def test_a_listing_that_is_not_whole_is_an_error_and_not_a_shorter_one(
    answer: Answer, name: str, server: ScriptedServer, scripted: ObjectStore
) -> None:
    server.script = in_turn(answer)
    with pytest.raises(ObjectStoreError):
        CALLS[name](scripted)


PAGE = b"<html><body><p>Please log in to the proxy</p></body></html>"


@pytest.mark.parametrize("name", ["list", "folders", "exists", "now", "create", "replace", "put", "delete_many"])
@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "text/html"}, {"Content-Type": "text/html", "ETag": '"e"'}], ids=str
)
def test_a_page_that_happens_to_be_xml_is_no_empty_listing_and_no_write(
    name: str, headers: dict[str, str], server: ScriptedServer, scripted: ObjectStore
) -> None:
    """As the login page of a proxy, with status 200."""
    server.script = in_turn(Answer(200, PAGE, headers))
    with pytest.raises(ObjectStoreError, match=r"it is not S3's.*AWS_ENDPOINT_URL, and any proxy"):
        CALLS[name](scripted)


def test_a_listing_that_is_sent_as_a_page_is_none(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(Answer(200, listing("k1"), {"Content-Type": "text/html"}))
    with pytest.raises(ObjectStoreError, match="it is not S3's"):
        list(scripted.list("k"))


def test_an_answer_that_is_not_s3s_is_no_object(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(Answer(200, b"<html>Please log in to the proxy</html>"))
    with pytest.raises(ObjectStoreError, match="AWS_ENDPOINT_URL"):
        scripted.get("k")


def test_a_key_that_s3_could_not_delete_is_named_and_the_next_thousand_stay(
    server: ScriptedServer, scripted: ObjectStore
) -> None:
    body = b"<DeleteResult><Error><Key>k7</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    server.script = in_turn(Answer(200, body))
    with pytest.raises(ObjectStoreError, match=r"delete s3://a-bucket/k7: AccessDenied: no.*s3:DeleteObject"):
        scripted.delete_many(f"k{number}" for number in range(1_500))
    assert len(server.asked) == 1


def test_the_time_is_that_of_the_answers_date_and_a_second_more(
    server: ScriptedServer, scripted: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = in_turn(Answer(200, listing()))
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda *_: LAST_MODIFIED)
    assert scripted.now("k") == datetime(2017, 11, 30, 10, 0, 1, tzinfo=UTC)


def test_an_error_can_say_what_the_caller_was_doing_and_what_follows(
    server: ScriptedServer, scripted: ObjectStore
) -> None:
    server.script = in_turn(failure(403, "AccessDenied"))
    with pytest.raises(ObjectStoreError) as caught, describing("list the ledger", "what was done holds"):
        list(scripted.list("k"))
    assert str(caught.value).startswith("Could not list the ledger s3://a-bucket/k: AccessDenied")
    assert str(caught.value).endswith("tries each; what was done holds.")


# ---- a caller who may list its own prefix only: S3 says 403 of what is missing


DENIED = failure(403, "AccessDenied")


def test_what_is_forbidden_and_not_listed_is_missing(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(DENIED, Answer(200, listing("k-longer")))
    assert scripted.get("k") is None
    assert server.asked[1].query["prefix"] == "k", "its own key, and no listing of the bucket"


def test_what_is_forbidden_and_listed_is_an_error(server: ScriptedServer, scripted: ObjectStore) -> None:
    server.script = in_turn(DENIED, Answer(200, listing("k")), DENIED)
    with pytest.raises(ObjectStoreError, match=r"read s3://a-bucket/k: AccessDenied.*deploy/iam"):
        scripted.get("k")


def test_what_is_written_between_the_read_and_the_listing_is_found(
    server: ScriptedServer, scripted: ObjectStore
) -> None:
    server.script = in_turn(DENIED, Answer(200, listing("k")), content(b"new"))
    stored = scripted.get("k")
    assert stored is not None
    assert stored.data == b"new"


@pytest.mark.parametrize(
    ("known", "unchanged", "whole"),
    [
        ({}, {"Last-Modified": LAST_MODIFIED}, False),
        ({}, {"Last-Modified": LAST_MODIFIED, "x-amz-version-id": "null"}, False),
        ({"x-amz-version-id": "v1"}, {"Last-Modified": LAST_MODIFIED, "x-amz-version-id": "v1"}, False),
        ({"x-amz-version-id": "v1"}, {"Last-Modified": LAST_MODIFIED, "x-amz-version-id": "v2"}, True),
        ({}, {"Last-Modified": LAST_MODIFIED, "x-amz-version-id": "v1"}, True),
        ({}, {"Last-Modified": "Thu, 30 Nov 2017 10:00:01 GMT"}, True),
    ],
)
def test_unchanged_is_believed_of_the_same_write_only(
    server: ScriptedServer, scripted: ObjectStore, known: dict[str, str], unchanged: dict[str, str], whole: bool
) -> None:
    headers = {"ETag": '"e"', "Last-Modified": LAST_MODIFIED}
    server.script = in_turn(
        Answer(200, b"one", headers | known), Answer(304, b"", headers | unchanged), Answer(200, b"two", headers)
    )
    first, second = scripted.get_current("k"), scripted.get_current("k")
    assert first is not None
    assert second is not None
    assert second.data == (b"two" if whole else b"one")
    assert scripted.cache.conditional


@pytest.mark.parametrize(
    ("known", "unchanged"), [({}, {}), ({"x-amz-version-id": "v1"}, {"Last-Modified": LAST_MODIFIED})]
)
def test_a_store_whose_304_does_not_say_which_write_it_means_is_read_whole_from_then_on(
    server: ScriptedServer, scripted: ObjectStore, known: dict[str, str], unchanged: dict[str, str]
) -> None:
    one = Answer(200, b"one", {"ETag": '"e"', "Last-Modified": LAST_MODIFIED} | known)
    server.script = in_turn(one, Answer(304, b"", {"ETag": '"e"'} | unchanged), one, one)
    for _ in range(3):
        found = scripted.get_current("k")
        assert found is not None
        assert found.data == b"one"
    assert len(server.asked) == 4
