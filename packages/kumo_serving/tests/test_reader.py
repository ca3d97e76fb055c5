"""The reader against a DynamoDB that fails on demand: every kind of answer, and every kind of trouble.

Each test runs on the synchronous and on the asyncio reader: one core, two transports.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kumo_sandbox.testing import wait_for
from kumo_serving import Answer, AsyncReader, Miss, Reader
from kumo_serving.errors import (
    ItemMalformed,
    NotServed,
    PointerError,
    ReadError,
    TableGone,
    Throttled,
    TimedOut,
    Unavailable,
)
from kumo_serving.metrics import Lookup, PointerSeen
from kumo_serving.pointer import KeyAttribute, Pointer, Staged
from serving_support import (
    BROKEN,
    DOWN,
    GONE,
    NEW,
    NEWER,
    OLD,
    RANKING,
    THROTTLE,
    FakeDynamoDB,
    MemoryPointer,
    damaged,
    half,
    hang,
    pointer_to,
    refusal,
    reset,
    unsigned,
)

# Wide enough for a loaded laptop; what depends on the budget sets its own.
BUDGET = 2.0


class AsyncInThread:
    """An AsyncReader on an event loop of its own, called as if it were synchronous."""

    def __init__(self, query: str, pointer: Any, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.reader = AsyncReader(query, pointer, **options)
        self._do(self.reader.start())

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.reader, name)
        if name in ("get", "get_many", "refresh"):
            return lambda *args, **options: self._do(member(*args, **options))
        return member

    def close(self) -> None:
        self._do(self.reader.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


Make = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest, dynamodb: FakeDynamoDB) -> Iterator[Make]:
    """Makes readers of the query `shop` and closes them."""
    made: list[Any] = []

    def reader(pointer: Any, **options: Any) -> Any:
        kind = Reader if request.param == "sync" else AsyncInThread
        options = {"budget_seconds": BUDGET, "refresh_seconds": 0.02, "start_seconds": 30, **options}
        options.setdefault("endpoint_url", dynamodb.url)
        made.append(kind("shop", pointer, **options))
        return made[-1]

    yield reader
    for one in made:
        one.close()


@pytest.fixture
def shop(dynamodb: FakeDynamoDB) -> FakeDynamoDB:
    dynamodb.put(OLD, ann=[("tea", 0.4)], bob=[("tea", 0.3)])
    dynamodb.put(NEW, ann=RANKING, bob=[("jam", 0.8)])
    return dynamodb


# -- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_carries_predictions_release_partition_and_pointer_age(make: Make, shop: FakeDynamoDB) -> None:
    answer = make(MemoryPointer(pointer_to(NEW))).get("ann")
    assert isinstance(answer, Answer)
    assert answer.predictions == (("milk", 0.9), ("bread", 0.5))
    assert (answer.entity, answer.release_id, answer.partition) == ("ann", "20171130-1a2b3c4d", "2017-11-30")
    assert answer.source.table == NEW
    assert answer.source.via == "active"
    assert 0 <= answer.pointer_age_seconds < 5


def test_an_entity_without_an_item_is_a_miss_and_not_an_error(make: Make, shop: FakeDynamoDB) -> None:
    miss = make(MemoryPointer(pointer_to(NEW))).get("nobody")
    assert isinstance(miss, Miss)
    assert not isinstance(miss, Answer)
    assert miss.release_id == "20171130-1a2b3c4d"


def test_an_entity_may_be_a_number(make: Make, dynamodb: FakeDynamoDB) -> None:
    dynamodb.tables[NEW] = {"1157": '[["milk",1]]'}
    reader = make(MemoryPointer(pointer_to(NEW)))
    assert isinstance(reader.get(1157), Answer)
    assert list(reader.get_many([1157, "1157"])) == [1157, "1157"]


def test_what_can_be_no_key_is_a_miss_without_a_request(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    assert isinstance(reader.get(""), Miss)
    assert isinstance(reader.get("é" * 1025), Miss)
    assert shop.requests == []


@pytest.mark.parametrize("key", [KeyAttribute(), KeyAttribute("e", "N")])
@pytest.mark.parametrize("entity", [10**5000, -(10**5000), 10**2048], ids=["long", "below zero", "just too long"])
def test_a_whole_number_of_any_length_is_a_miss_alone_and_in_a_batch(
    make: Make, shop: FakeDynamoDB, entity: int, key: KeyAttribute
) -> None:
    reader = make(MemoryPointer(pointer_to(NEW, key=key)))
    assert isinstance(reader.get(entity), Miss)
    outcomes = reader.get_many([entity])
    assert list(outcomes) == [entity]
    assert isinstance(outcomes[entity], Miss)
    assert int(outcomes[entity].entity, 0 if "x" in outcomes[entity].entity else 10) == entity
    assert shop.requests == []


def test_a_whole_number_as_long_as_a_key_may_be_is_asked_for(make: Make, shop: FakeDynamoDB) -> None:
    shop.tables[NEW][str(10**2047)] = '[["milk",1]]'
    assert isinstance(make(MemoryPointer(pointer_to(NEW))).get(10**2047), Answer)


@pytest.mark.parametrize("entity", [None, 1.5, True, b"ann"])
def test_what_is_no_entity_is_a_mistake_of_the_caller(make: Make, shop: FakeDynamoDB, entity: Any) -> None:
    with pytest.raises(TypeError, match="a str or an int"):
        make(MemoryPointer(pointer_to(NEW))).get(entity)


def test_get_many_keeps_order_and_tells_answers_from_misses(make: Make, shop: FakeDynamoDB) -> None:
    outcomes = make(MemoryPointer(pointer_to(NEW))).get_many(["bob", "nobody", "ann", "bob", ""])
    assert [type(outcome) for outcome in outcomes.values()] == [Answer, Miss, Answer, Miss]
    assert list(outcomes) == ["bob", "nobody", "ann", ""]
    assert outcomes["ann"].predictions == (("milk", 0.9), ("bread", 0.5))
    assert outcomes["bob"].predictions == (("jam", 0.8),)


def test_a_short_budget_counts_on_a_connection_that_had_a_long_one(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    assert isinstance(reader.get("ann", budget_seconds=30.0), Answer)
    shop.delay = 2.0
    began = time.monotonic()
    with pytest.raises(TimedOut):
        reader.get("ann", budget_seconds=0.1)
    assert time.monotonic() - began < 1.0


def test_get_many_of_nothing_asks_nothing(make: Make, shop: FakeDynamoDB) -> None:
    assert make(MemoryPointer(pointer_to(NEW))).get_many([]) == {}
    assert shop.requests == []


def test_more_than_a_hundred_entities_go_out_in_batches(make: Make, dynamodb: FakeDynamoDB) -> None:
    dynamodb.tables[NEW] = {str(number): f'[["item{number}",1.0]]' for number in range(250)}
    outcomes = make(MemoryPointer(pointer_to(NEW)), pool_size=2).get_many(range(260))
    assert [type(outcome) for outcome in outcomes.values()] == [Answer] * 250 + [Miss] * 10
    assert outcomes[249].predictions == (("item249", 1.0),)
    assert [operation for operation, _, _ in dynamodb.requests] == ["BatchGetItem"] * 3


@pytest.mark.parametrize("bad", ["", "[[", "{}", '[["milk"]]', '[["milk","0.9"]]', '[["milk",NaN]]', "1],[2"])
def test_a_malformed_item_is_an_error_for_its_own_key_only(make: Make, dynamodb: FakeDynamoDB, bad: str) -> None:
    dynamodb.tables[NEW] = {"ann": bad, "bob": '[["jam",0.8]]'}
    reader = make(MemoryPointer(pointer_to(NEW)))
    with pytest.raises(ItemMalformed):
        reader.get("ann")
    outcomes = reader.get_many(["ann", "bob"])
    assert isinstance(outcomes["ann"], ItemMalformed)
    assert isinstance(outcomes["bob"], Answer)


def test_a_chunked_answer_is_read_too(make: Make, shop: FakeDynamoDB) -> None:
    shop.chunked = True
    reader = make(MemoryPointer(pointer_to(NEW)))
    assert isinstance(reader.get("ann"), Answer)
    assert isinstance(reader.get("ann"), Answer)
    assert shop.connections <= 2


# -- throttles, faults, the budget ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [THROTTLE, BROKEN, reset, half, damaged, (200, b"<html>")],
    ids=["throttle", "broken", "reset", "half", "damaged", "html"],
)
def test_a_passing_fault_is_retried_and_never_read_as_a_miss(make: Make, shop: FakeDynamoDB, fault: Any) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.faults.extend([fault, fault])
    assert isinstance(reader.get("ann"), Answer)
    assert len(shop.requests) == 3
    shop.faults.append(fault)
    assert isinstance(reader.get_many(["ann"])["ann"], Answer)


NOT_DYNAMODB = [b"{}", b'{"message":"Forbidden"}', b'{"Item":null}', b'{"Responses":null}', b'{"Responses":{}}']


@pytest.mark.parametrize("body", NOT_DYNAMODB)
def test_a_200_that_is_not_dynamodb_s_is_retried_and_never_a_miss(make: Make, shop: FakeDynamoDB, body: bytes) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.faults.extend([unsigned(body)] * 2)
    assert isinstance(reader.get("ann"), Answer)
    shop.faults.extend([unsigned(body)] * 2)
    outcomes = reader.get_many(["ann", "nobody"])
    assert [type(outcome) for outcome in outcomes.values()] == [Answer, Miss]
    assert len(shop.requests) == 6


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(THROTTLE, Throttled), (BROKEN, Unavailable), (reset, Unavailable), (hang(0.3), TimedOut)],
    ids=["throttle", "5xx", "reset", "timeout"],
)
def test_a_lasting_fault_ends_with_the_budget_as_its_own_error(
    make: Make, shop: FakeDynamoDB, fault: Any, expected: type[ReadError]
) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.always = fault
    started = time.monotonic()
    with pytest.raises(ReadError) as error:
        reader.get("ann", budget_seconds=0.2)
    assert type(error.value) is expected
    assert time.monotonic() - started < 1.0
    many = reader.get_many(["ann", "nobody"], budget_seconds=0.2)
    assert [type(outcome) for outcome in many.values()] == [expected, expected]


def test_one_lost_packet_leaves_time_for_a_second_attempt(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.faults.append(hang(1.0))
    assert isinstance(reader.get("ann", budget_seconds=0.8), Answer)


def test_unprocessed_keys_are_asked_again_and_only_they(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.faults.append(2)
    outcomes = reader.get_many(["ann", "bob", "nobody"])
    assert [type(outcome) for outcome in outcomes.values()] == [Answer, Answer, Miss]
    keys = [[key["e"]["S"] for key in body["RequestItems"][NEW]["Keys"]] for _, body, _ in shop.requests]
    assert keys == [["ann", "bob", "nobody"], ["bob", "nobody"]]


def test_keys_left_unprocessed_to_the_end_are_throttled_and_not_missing(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.always = 1
    outcomes = reader.get_many(["ann", "nobody"], budget_seconds=0.2)
    assert isinstance(outcomes["ann"], Answer)
    assert isinstance(outcomes["nobody"], Throttled)


def test_a_throttle_is_not_hidden_by_the_time_out_of_its_retry(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.faults.append(THROTTLE)
    shop.always = hang(1.0)
    with pytest.raises(Throttled):
        reader.get("ann", budget_seconds=0.8)


@pytest.mark.parametrize("budget", [math.inf, 1e300, 10**400, 1e10], ids=["inf", "1e300", "10**400", "1e10"])
def test_a_budget_without_an_end_is_answered_and_a_throttle_outlived(
    make: Make, shop: FakeDynamoDB, budget: float
) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)), pool_size=1)
    shop.faults.extend([THROTTLE, THROTTLE])
    assert isinstance(reader.get("ann", budget_seconds=budget), Answer)
    shop.delay = 0.05
    with ThreadPoolExecutor(3) as pool:  # two of them wait for the one connection
        many = list(pool.map(lambda _: reader.get_many(["ann"], budget_seconds=budget)["ann"], range(3)))
    assert [type(outcome) for outcome in many] == [Answer] * 3
    assert isinstance(make(MemoryPointer(pointer_to(NEW)), budget_seconds=budget).get("ann"), Answer)


def test_a_budget_that_is_no_number_is_a_mistake_of_the_caller(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    with pytest.raises(ValueError, match="NaN"):
        reader.get("ann", budget_seconds=math.nan)
    with pytest.raises(ValueError, match="NaN"):
        reader.get_many(["ann"], budget_seconds=math.nan)
    for name in ("budget_seconds", "refresh_seconds", "start_seconds", "stale_after_seconds"):
        for bad in (math.nan, -1.0):
            with pytest.raises(ValueError, match=name):
                make(MemoryPointer(pointer_to(NEW)), **{name: bad})


def test_a_wait_without_an_end_is_no_error_and_the_refresh_goes_on(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(OLD))
    reader = make(store, start_seconds=math.inf, refresh_seconds=math.inf, stale_after_seconds=math.inf)
    assert reader.get("ann").source.table == OLD
    for table in (NEW, OLD, NEW):
        store.set(pointer_to(table))
        assert reader.refresh(math.inf)
        assert reader.get("ann").source.table == table


def test_a_refusal_is_an_error_at_once(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    shop.always = refusal("AccessDeniedException", "not authorized to perform dynamodb:GetItem")
    with pytest.raises(Unavailable, match="AccessDenied"):
        reader.get("ann")
    assert len(shop.requests) == 1


def test_a_restarted_server_costs_no_lookup(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    for _ in range(3):
        assert isinstance(reader.get("ann"), Answer)
        shop.cut_connections()
    assert isinstance(reader.get("ann"), Answer)


def test_a_server_that_is_not_there_is_unavailable(make: Make, shop: FakeDynamoDB) -> None:
    with pytest.raises(Unavailable, match="no connection"):
        make(MemoryPointer(pointer_to(NEW)), endpoint_url="http://127.0.0.1:1").get("ann", budget_seconds=0.1)


def test_no_secret_is_in_an_error(make: Make, shop: FakeDynamoDB) -> None:
    shop.always = refusal("AccessDeniedException")
    with pytest.raises(Unavailable) as error:
        make(MemoryPointer(pointer_to(NEW))).get("ann")
    assert "not-a-secret" not in repr(error.value)
    assert "Signature=" not in repr(error.value)


# -- a table that is gone ------------------------------------------------------------------------------------------


def test_a_gone_table_is_followed_to_the_new_one_by_one_refresh(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(OLD))
    reader = make(store, refresh_seconds=60)
    del shop.tables[OLD]
    store.set(pointer_to(NEW))
    reads = store.reads
    answer = reader.get("ann")
    assert (answer.source.table, answer.source.via) == (NEW, "active")
    assert store.reads == reads + 1
    assert shop.tables_asked() == [OLD, NEW]


def test_with_no_newer_pointer_the_previous_table_answers(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW, OLD)))
    del shop.tables[NEW]
    answer = reader.get("ann")
    assert isinstance(answer, Answer)
    assert (answer.release_id, answer.source.via) == ("20171129-0a0b0c0d", "previous")
    assert isinstance(reader.get_many(["ann"])["ann"], Answer)


def test_a_gone_table_is_not_asked_again_by_every_lookup(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW, OLD)))
    del shop.tables[NEW]
    for _ in range(20):
        reader.get("ann")
    assert shop.tables_asked().count(NEW) == 1


def test_a_table_that_comes_back_is_asked_again(
    make: Make, shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_serving.live.GONE_SECONDS", 0.05)
    reader = make(MemoryPointer(pointer_to(NEW, OLD)))
    shop.faults.append(GONE)
    assert reader.get("ann").source.via == "previous"
    time.sleep(0.06)
    assert reader.get("ann").source.via == "active"


def test_without_any_table_it_is_table_gone(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW, OLD)))
    shop.tables.clear()
    with pytest.raises(TableGone):
        reader.get("ann")
    assert isinstance(reader.get_many(["ann"])["ann"], TableGone)


def test_while_a_gone_table_s_pointer_cannot_be_read_the_budget_holds(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(NEW, OLD))
    reader = make(store, refresh_seconds=60)
    store.read = lambda known=None: time.sleep(1)  # type: ignore[assignment,method-assign,func-returns-value]
    del shop.tables[NEW]
    started = time.monotonic()
    assert reader.get("ann", budget_seconds=0.6).source.via == "previous"
    assert time.monotonic() - started < 1.0


# -- a release by its name ----------------------------------------------------------------------------------------


def staged_beside(active: str, waits: str, *previous: str) -> Pointer:
    release = waits.removeprefix("local-shop-")
    return pointer_to(active, *previous).replace(staged=Staged(release, "2017-12-01", waits))


def test_a_staged_release_answers_whoever_asks_for_it_and_nobody_else(make: Make, shop: FakeDynamoDB) -> None:
    shop.put(NEWER, ann=[("tea", 0.7)])
    reader = make(MemoryPointer(staged_beside(NEW, NEWER, OLD)))
    answer = reader.get("ann", release="staged")
    assert (answer.source.table, answer.release_id, answer.partition) == (NEWER, "20171201-2b3c4d5e", "2017-12-01")
    assert (answer.source.via, answer.source.promoted_at) == ("staged", "")
    assert answer.predictions == (("tea", 0.7),)
    assert reader.get("ann", release="20171201-2b3c4d5e").source.table == NEWER
    many = reader.get_many(["ann", "nobody"], release="staged")
    assert (type(many["ann"]), type(many["nobody"])) == (Answer, Miss)
    assert {outcome.source.table for outcome in many.values()} == {NEWER}
    assert reader.get("ann").source.table == NEW
    assert reader.get("ann", release="20171129-0a0b0c0d").source.table == OLD


def test_a_release_that_the_pointer_does_not_name_is_an_error_and_nothing_is_sent(
    make: Make, shop: FakeDynamoDB
) -> None:
    reader = make(MemoryPointer(pointer_to(NEW, OLD)))
    for release in ("staged", "20171201-2b3c4d5e", "active", ""):
        with pytest.raises(NotServed):
            reader.get("ann", release=release)
        with pytest.raises(NotServed):
            reader.get_many(["ann"], release=release)
    assert shop.tables_asked() == []


def test_no_other_release_answers_in_place_of_the_one_that_was_named(
    make: Make, shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_serving.live.GONE_SECONDS", 0.05)
    store = MemoryPointer(staged_beside(NEW, NEWER, OLD))
    reader = make(store, refresh_seconds=60)
    with pytest.raises(TableGone):
        reader.get("ann", release="staged")
    assert reader.get("ann").source.table == NEW
    store.set(pointer_to(NEW, OLD))
    time.sleep(0.06)
    with pytest.raises(NotServed):  # the pointer is read once more, and stages nothing any more
        reader.get("ann", release="staged")


# -- the pointer ---------------------------------------------------------------------------------------------------


def test_a_promotion_is_seen_without_a_restart(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(OLD))
    reader = make(store)
    assert reader.get("ann").source.table == OLD
    store.set(pointer_to(NEW, OLD))
    wait_for(lambda: reader.get("ann").source.table == NEW)
    store.set(pointer_to(OLD, NEW))
    wait_for(lambda: reader.get("ann").source.table == OLD)


def test_the_pointer_is_never_read_on_the_path_of_a_request(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(NEW))
    reader = make(store, refresh_seconds=60)
    reads = store.reads
    for _ in range(50):
        reader.get("ann")
    assert store.reads == reads
    assert store.threads == {"kumo-pointer-shop"}


def test_while_the_store_is_down_the_last_known_good_answers_and_its_age_grows(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(NEW))
    reader = make(store, stale_after_seconds=0.1)
    store.error = DOWN
    wait_for(lambda: reader.health().state == "stale")
    answer = reader.get("ann")
    assert isinstance(answer, Answer)
    assert answer.pointer_age_seconds > 0.1
    assert (reader.health().ok, "it is down" in reader.health().last_error) == (True, True)
    store.error = None
    wait_for(lambda: reader.health().state == "fresh")


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b'{"schema_version": 2, "query": "shop", "table": "t-t"}',
        b'{"query": "other", "table": "their-table"}',
        b'{"query": "shop"}',
    ],
)
def test_a_pointer_that_must_not_be_followed_is_ignored_with_a_metric_and_one_log_line(
    make: Make, shop: FakeDynamoDB, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Recorder()
    store = MemoryPointer(pointer_to(NEW))
    reader = make(store, metrics=seen)
    store.set(bad)
    wait_for(lambda: [event.outcome for event in seen.pointers].count("malformed") > 3)
    assert reader.get("ann").source.table == NEW
    lines = [record for record in caplog.records if "Could not read the active pointer" in record.message]
    assert len(lines) == 1
    assert "Still serving the last known good" in lines[0].message
    store.set(pointer_to(NEW))
    wait_for(lambda: seen.pointers[-1].outcome == "unchanged")


def test_a_reader_starts_from_disk_when_the_store_is_down(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(NEW))
    make(store)
    store.error = DOWN
    second = make(store)
    assert second.get("ann").source.table == NEW
    assert second.health().state == "from_disk"
    assert second.health().ok
    store.error = None
    wait_for(lambda: second.health().state == "fresh")


def test_a_damaged_file_of_the_last_known_good_is_ignored(make: Make, shop: FakeDynamoDB, tmp_path: Any) -> None:
    store = MemoryPointer(pointer_to(NEW))
    make(store)
    (path,) = (tmp_path / "cache").iterdir()
    path.write_text(path.read_text()[:50])
    assert make(store).get("ann").source.table == NEW
    store.error = DOWN
    path.write_text("[]")
    assert make(store).health().state == "no_pointer"


def test_a_reader_that_never_had_a_pointer_says_so_and_recovers(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer()
    reader = make(store)
    with pytest.raises(PointerError, match="nothing is there"):
        reader.get("ann")
    assert (reader.health().ok, reader.health().state) == (False, "no_pointer")
    store.set(pointer_to(NEW))
    wait_for(lambda: reader.health().ok)
    assert isinstance(reader.get("ann"), Answer)


def test_a_table_changed_by_hand_is_served_under_its_own_release(make: Make, shop: FakeDynamoDB) -> None:
    answer = make(MemoryPointer(pointer_to(NEW).replace(table=OLD))).get("ann")
    assert (answer.source.table, answer.release_id, answer.partition) == (OLD, "20171129-0a0b0c0d", "2017-11-29")


def test_a_pointer_store_that_raises_anything_at_all_does_not_end_the_refresh(make: Make, shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(OLD))
    reader = make(store)
    store.error = RuntimeError("a driver's bug")
    wait_for(lambda: "a driver's bug" in reader.health().last_error)
    store.error = None
    store.set(pointer_to(NEW))
    wait_for(lambda: reader.get("ann").source.table == NEW)


def test_a_swap_does_not_wait_for_a_slow_fallback_list(
    make: Make, shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {"s3://b/old": b'{"schema_version":1,"query":"shop","release_id":"old","item_format":"ranking/1","p":[]}'}
    slow = threading.Event()

    def read(client: Any, uri: str) -> bytes:
        if uri not in lists:
            slow.wait(30)
            raise PointerError("read the fallback list", to=uri, found="S3 is down")
        return lists[uri]

    monkeypatch.setattr("kumo_serving.refresh.read_fallback", read)
    store = MemoryPointer(pointer_to(OLD, fallback="s3://b/old"))
    seen = Recorder()
    reader = make(store, metrics=seen, refresh_seconds=60)
    assert reader.fallback == ()
    shop.tables.clear()
    store.set(pointer_to(NEW, fallback="s3://b/new"))
    shop.put(NEW, ann=RANKING)
    # The lookup that finds its table gone has the pointer read once more, and waits for that; but not for the list.
    started = time.monotonic()
    assert reader.get("ann", budget_seconds=60).source.table == NEW
    assert time.monotonic() - started < 15
    assert [event.outcome for event in seen.pointers] == ["new", "new"]
    # Until the new list is there the one at hand is, and says whose it is.
    del shop.tables[NEW]
    outcome = reader.get("bob", budget_seconds=0.3)
    assert (type(outcome).__name__, outcome.release_id) == ("FallbackAnswer", "old")
    slow.set()


def test_the_list_of_a_new_release_is_read_soon_after_the_swap_however_slow_the_poll(
    make: Make, shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_at: dict[str, float] = {}

    def read(client: Any, uri: str) -> bytes:
        read_at[uri] = time.monotonic()
        name = uri.rpartition("/")[2]
        return b'{"schema_version":1,"query":"shop","release_id":"%s","item_format":"ranking/1","p":[["x",1]]}' % (
            name.encode()
        )

    monkeypatch.setattr("kumo_serving.refresh.read_fallback", read)
    monkeypatch.setattr("kumo_serving.refresh.random.uniform", lambda low, high: high)
    store = MemoryPointer(pointer_to(OLD, fallback="s3://b/old"))
    reader = make(store, refresh_seconds=60)
    assert "s3://b/old" in read_at, "a service that starts waits for the list"
    store.set(pointer_to(NEW, fallback="s3://b/new"))
    assert reader.refresh(5)
    swapped = time.monotonic()
    wait_for(lambda: "s3://b/new" in read_at)
    assert read_at["s3://b/new"] - swapped > 0.5, "every reader of a fleet would ask S3 at one moment"


def test_credentials_that_cannot_be_had_are_told_once_and_hold_nothing_up(
    make: Make, shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    store = MemoryPointer(pointer_to(OLD))
    reader = make(store)
    store.set(pointer_to(NEW))
    wait_for(lambda: store.reads > 5 and reader.health().release_id == "20171130-1a2b3c4d")
    assert sum("AWS credentials" in record.message for record in caplog.records) == 1
    assert "AWS credentials" in reader.health().last_error
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    wait_for(lambda: reader.health().last_error == "")
    assert isinstance(reader.get("ann"), Answer)


# -- metrics, closing ----------------------------------------------------------------------------------------------


class Recorder:
    """A metrics hook that remembers."""

    def __init__(self) -> None:
        self.lookups: list[Lookup] = []
        self.pointers: list[PointerSeen] = []
        self.retries: list[str] = []

    def lookup(self, event: Lookup) -> None:
        self.lookups.append(event)

    def pointer(self, event: PointerSeen) -> None:
        self.pointers.append(event)

    def retry(self, reason: str) -> None:
        self.retries.append(reason)


def test_the_metrics_hook_hears_of_answers_misses_errors_retries_and_the_release(
    make: Make, shop: FakeDynamoDB
) -> None:
    seen = Recorder()
    reader = make(MemoryPointer(pointer_to(NEW)), metrics=seen)
    shop.faults.append(THROTTLE)
    reader.get("ann")
    reader.get_many(["ann", "bob", "nobody"])
    shop.always = refusal("AccessDeniedException")
    with pytest.raises(Unavailable):
        reader.get("ann")
    assert [event.outcomes for event in seen.lookups] == [{"answer": 1}, {"answer": 2, "miss": 1}, {"Unavailable": 1}]
    assert [event.operation for event in seen.lookups] == ["get", "get_many", "get"]
    assert {event.release_id for event in seen.lookups} == {"20171130-1a2b3c4d"}
    assert all(0 < event.seconds < BUDGET for event in seen.lookups)
    assert seen.retries == ["throttled"]
    assert seen.pointers[0].outcome == "new"


def test_a_metrics_hook_that_raises_breaks_nothing_and_is_told_once(
    make: Make, shop: FakeDynamoDB, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Recorder):
        def lookup(self, event: Lookup) -> None:
            raise RuntimeError("no backend")

    reader = make(MemoryPointer(pointer_to(NEW)), metrics=Bad())
    for _ in range(3):
        assert isinstance(reader.get("ann"), Answer)
    assert sum("metrics hook raised" in record.message for record in caplog.records) == 1


def test_a_closed_reader_leaves_no_thread_and_no_connection(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    reader.get("ann")
    threads = [thread for thread in threading.enumerate() if thread.name == "kumo-pointer-shop"]
    assert threads
    if isinstance(reader, AsyncInThread):
        reader._do(reader.reader.close())
    else:
        reader.close()
    wait_for(lambda: not shop.open)
    assert not any(thread.is_alive() for thread in threads)
    assert reader.health().state == "closed"


def test_a_closed_reader_says_so_at_once(make: Make, shop: FakeDynamoDB) -> None:
    seen = Recorder()
    reader = make(MemoryPointer(pointer_to(NEW)), metrics=seen)
    reader.get("ann")
    if isinstance(reader, AsyncInThread):
        reader._do(reader.reader.close())
    else:
        reader.close()
    asked, began = len(shop.requests), time.monotonic()
    with pytest.raises(Unavailable, match="the reader is closed"):
        reader.get("ann", budget_seconds=20.0)
    outcomes = reader.get_many(["ann", "bob"], budget_seconds=20.0)
    assert [type(outcome) for outcome in outcomes.values()] == [Unavailable, Unavailable]
    assert time.monotonic() - began < 5.0
    assert (len(shop.requests), seen.retries) == (asked, [])


def test_budgets_of_lookups_side_by_side_are_each_kept(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)))
    reader.get("ann")
    shop.always = hang(2.0)

    def timed(budget: float) -> float:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            reader.get("ann", budget_seconds=budget)
        return time.monotonic() - started

    budgets = (0.9, 0.1, 0.5)
    with ThreadPoolExecutor(len(budgets)) as pool:
        took = list(pool.map(timed, budgets))
    for budget, seconds in zip(budgets, took, strict=True):
        assert 0.9 * budget < seconds < budget + 0.35


def test_connections_are_opened_ahead_of_the_first_lookup_and_kept(make: Make, shop: FakeDynamoDB) -> None:
    reader = make(MemoryPointer(pointer_to(NEW)), warm_connections=3)
    wait_for(lambda: shop.connections == 3)
    for _ in range(10):
        reader.get("ann")
    assert shop.connections == 3


def test_the_signature_is_what_botocore_would_have_signed(make: Make, shop: FakeDynamoDB) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    make(MemoryPointer(pointer_to(NEW))).get('an"n é')
    ((_, body, headers),) = shop.requests
    assert body["Key"] == {"e": {"S": 'an"n é'}}
    signer = SigV4Auth(Credentials("AKIDTEST", "not-a-secret"), "dynamodb", "us-east-1")
    request = AWSRequest("POST", shop.url + "/", data=headers["raw"].encode())
    signed = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    sent = {name.lower(): value for name, value in headers.items()}
    for name in signed:
        request.headers[name] = sent[name]
    request.context["timestamp"] = sent["x-amz-date"]
    wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={wanted}")
