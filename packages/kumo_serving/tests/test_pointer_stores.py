"""The pointer stores against the real thing: S3 as MiniStack has it, and a ZooKeeper ensemble of one."""

from __future__ import annotations

import contextlib
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kumo_sandbox.testing import ZooKeeper, wait_for
from kumo_serving import Answer, FallbackAnswer, Miss, Reader
from kumo_serving.errors import PointerError, PointerMissing, TableGone
from kumo_serving.pointer import Pointer, dump_pointer
from kumo_serving.pointer_stores import S3Pointer, ZooKeeperPointer, open_pointer
from kumo_serving.table import TableReader, read_item
from serving_support import NEW, OLD, RANKING, FakeDynamoDB, client, make_table, pointer_to

KEY = "local/shop/active.json"
PATH = "/kumo_assets/local/shop/active"


@pytest.fixture
def bucket(aws: str, tmp_path: Path) -> str:
    name = tmp_path.name.replace("_", "-").lower()[:50] + "-bucket"
    client("s3").create_bucket(Bucket=name)
    return name


def put(bucket: str, body: bytes, key: str = KEY) -> str:
    return str(client("s3").put_object(Bucket=bucket, Key=key, Body=body)["ETag"])


# -- S3 ----------------------------------------------------------------------------------------------------------


def test_s3_gives_the_bytes_and_the_etag_and_then_only_what_changed(bucket: str) -> None:
    store = open_pointer(f"s3://{bucket}/{KEY}")
    with pytest.raises(PointerMissing, match=KEY):
        store.read()
    etag = put(bucket, b"one")
    first = store.read()
    assert first is not None
    assert (first.data, first.version) == (b"one", etag)
    assert store.read(first.version) is None
    put(bucket, b"two")
    second = store.read(first.version)
    assert second is not None
    assert second.data == b"two"
    store.close()
    assert store.read() == second


def test_s3_that_cannot_be_reached_is_a_pointer_error_and_not_a_missing_pointer() -> None:
    with pytest.raises(PointerError) as error:
        S3Pointer("s3://bucket/key", endpoint_url="http://127.0.0.1:1").read()
    assert not isinstance(error.value, PointerMissing)


@pytest.mark.parametrize(
    "uri", ["active.json", "s3://bucket", "s3:///key", "zk://host:2181", "zk:///path", "file:///x"]
)
def test_an_address_that_is_no_pointer_s_is_refused(uri: str) -> None:
    with pytest.raises(PointerError, match="s3://bucket"):
        open_pointer(uri)


def test_the_stores_of_an_address() -> None:
    s3, zk = open_pointer("s3://b/k/active.json"), open_pointer("zk://a:1,b:2/x/active")
    assert isinstance(s3, S3Pointer)
    assert (s3.bucket, s3.key) == ("b", "k/active.json")
    assert isinstance(zk, ZooKeeperPointer)
    assert (zk.hosts, zk.path) == ("a:1,b:2", "/x/active")


# -- the whole of AWS ----------------------------------------------------------------------------------------------


def test_promotion_rollback_and_deletion_against_s3_and_dynamodb(bucket: str) -> None:
    suffix = bucket[-20:]
    old, new = f"{suffix}-20171129-0a0b0c0d", f"{suffix}-20171130-1a2b3c4d"
    make_table(old, {"ann": [("tea", 0.4)]})
    make_table(new, {"ann": RANKING, "bob": [("jam", 0.8)]})
    fallback = f"s3://{bucket}/fallback.json"
    put(bucket, b'{"schema_version":1,"query":"shop","item_format":"ranking/1","p":[["tea",3]]}', "fallback.json")
    put(bucket, dump_pointer(pointer_to(old, fallback=fallback, release_id="20171129-0a0b0c0d")))
    with Reader("shop", f"s3://{bucket}/{KEY}", budget_seconds=2, start_seconds=30, refresh_seconds=0.05) as reader:
        assert reader.health().state == "fresh", reader.health().last_error
        assert reader.get("ann").predictions == (("tea", 0.4),)  # type: ignore[union-attr]
        assert isinstance(reader.get("bob"), Miss)
        put(bucket, dump_pointer(pointer_to(new, old, fallback=fallback, release_id="20171130-1a2b3c4d")))
        wait_for(lambda: reader.get("ann").source.table == new)
        many = reader.get_many(["ann", "bob", "nobody"])
        assert [type(one) for one in many.values()] == [Answer, Answer, Miss]
        client("dynamodb").delete_table(TableName=new)
        assert reader.get("ann").source.table == old
        client("dynamodb").delete_table(TableName=old)
        answer = reader.get("ann")
        assert isinstance(answer, FallbackAnswer)
        assert answer.predictions == (("tea", 3),)
        assert "ResourceNotFound" in answer.reason or "gone" in answer.reason
        assert reader.fallback == (("tea", 3),)


def test_the_readme_s_example_runs_as_it_stands(aws: str) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = textwrap.dedent(
        readme.partition("One reader for the life of the process:\n")[2].partition("\nEvery result")[0]
    )
    client("s3").create_bucket(Bucket="bucket")
    table = "production-next_best_product-20171130-1a2b3c4d"
    make_table(table, {"4711": RANKING})
    pointer = Pointer("next_best_product", table, environment="production", release_id=table[-17:])
    put("bucket", dump_pointer(pointer), "production/next_best_product/active.json")
    names: dict[str, Any] = {"BESTSELLERS": ["tea"]}
    exec(code, names)
    try:
        wait_for(lambda: names["reader"].health().ok, 60)
        names["reader"].budget_seconds = 5.0
        assert names["products"](4711) == ["milk", "bread"]
        assert names["products"](4712) == ["tea"]
    finally:
        names["reader"].close()


def test_a_service_starts_from_disk_while_s3_is_down(bucket: str, dynamodb: FakeDynamoDB) -> None:
    dynamodb.put(NEW, ann=RANKING)
    put(bucket, b'{"schema_version":1,"query":"shop","item_format":"ranking/1","p":[["tea",3]]}', "fallback.json")
    put(bucket, dump_pointer(pointer_to(NEW, fallback=f"s3://{bucket}/fallback.json")))
    with Reader("shop", S3Pointer(f"s3://{bucket}/{KEY}"), budget_seconds=2, start_seconds=30) as before:
        assert before.health().state == "fresh"
    down = S3Pointer(f"s3://{bucket}/{KEY}", endpoint_url="http://127.0.0.1:1")
    with Reader("shop", down, budget_seconds=2, start_seconds=30) as after:
        assert isinstance(after.get("ann"), Answer)
        assert after.health().state == "from_disk"
        assert after.fallback == (("tea", 3),)
        wait_for(lambda: "Could not connect" in after.health().last_error)


def test_an_unreadable_fallback_list_costs_nothing_but_a_log_line(bucket: str, dynamodb: FakeDynamoDB) -> None:
    dynamodb.put(NEW, ann=RANKING)
    put(bucket, dump_pointer(pointer_to(NEW, fallback=f"s3://{bucket}/nothing-there")))
    with Reader("shop", f"s3://{bucket}/{KEY}", budget_seconds=2, start_seconds=30, refresh_seconds=0.05) as reader:
        assert isinstance(reader.get("ann"), Answer)
        assert reader.fallback is None
        put(bucket, b'{"schema_version":1,"query":"shop","item_format":"ranking/1","p":[["tea",3]]}', "nothing-there")
        wait_for(lambda: reader.fallback == (("tea", 3),))


def test_one_table_is_read_with_no_pointer_at_all(aws: str, tmp_path: Path) -> None:
    table = f"{tmp_path.name[:40]}-trial"
    make_table(table, {"ann": RANKING, "bob": []})
    answer = read_item(table, "ann")
    assert isinstance(answer, Answer)
    assert answer.predictions == (("milk", 0.9), ("bread", 0.5))
    assert isinstance(read_item(table, "nobody", "e", "ranking/1", "us-east-1"), Miss)
    with TableReader(table) as reader:
        assert [type(one) for one in reader.get_many(["ann", "bob", "x"]).values()] == [Answer, Answer, Miss]
    with pytest.raises(TableGone, match="no-such-table"):
        read_item("no-such-table", "ann")


def test_a_table_keyed_by_number_is_read_by_number(aws: str, tmp_path: Path) -> None:
    from kumo_serving.pointer import KeyAttribute

    table = f"{tmp_path.name[:40]}-number"
    make_table(table, {"7": RANKING}, key_type="N")
    with TableReader(table, key=KeyAttribute("e", "N")) as reader:
        outcomes = reader.get_many([7, "007", "8", "seven"])
        assert [type(one) for one in outcomes.values()] == [Answer, Answer, Miss, Miss]
        assert isinstance(reader.get(7), Answer)


# -- ZooKeeper -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing(hosts: str) -> Iterator[Any]:
    zk = KazooClient(hosts=hosts)
    zk.start(timeout=20)
    try:
        yield zk
    finally:
        zk.stop()
        zk.close()


@pytest.mark.zookeeper
def test_zookeeper_s_watch_brings_a_change_at_once_and_survives_a_lost_session(
    zookeeper: ZooKeeper, dynamodb: FakeDynamoDB
) -> None:
    hosts = zookeeper.hosts
    dynamodb.put(OLD, ann=[("tea", 0.4)])
    dynamodb.put(NEW, ann=RANKING)
    store = ZooKeeperPointer(hosts, PATH)
    with zookeeper:
        with pytest.raises(PointerMissing):
            store.read()
        with writing(hosts) as zk:
            zk.create(PATH, dump_pointer(pointer_to(OLD)), makepath=True)
            first = store.read()
            assert first is not None
            assert first.version == "0"
            store.close()
            # A poll so slow that only a watch can explain what is seen.
            reader = Reader(
                "shop", store, refresh_seconds=300, budget_seconds=2, start_seconds=30, endpoint_url=dynamodb.url
            )
            assert reader.get("ann").source.table == OLD
            for table in (NEW, OLD, NEW):
                zk.set(PATH, dump_pointer(pointer_to(table)))
                wait_for(lambda table=table: reader.get("ann").source.table == table, 20)
            zk.delete(PATH)
            wait_for(lambda: "nothing is there" in reader.health().last_error, 20)
            assert reader.get("ann").source.table == NEW
            zk.create(PATH, dump_pointer(pointer_to(OLD)))
            wait_for(lambda: reader.get("ann").source.table == OLD, 20)
    # ZooKeeper is gone: still answering. It comes back with another pointer: followed, though no watch was set.
    assert isinstance(reader.get("ann"), Answer)
    with zookeeper:
        with writing(hosts) as zk:
            zk.set(PATH, dump_pointer(pointer_to(NEW)))
        wait_for(lambda: reader.get("ann").source.table == NEW, 20)
        reader.close()


@pytest.mark.zookeeper
def test_without_a_watch_the_poll_is_the_backstop(
    zookeeper: ZooKeeper, dynamodb: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = zookeeper.hosts
    dynamodb.put(OLD, ann=[("tea", 0.4)])
    dynamodb.put(NEW, ann=RANKING)
    store = ZooKeeperPointer(hosts, PATH)
    monkeypatch.setattr(store, "watch", lambda changed: None)
    with zookeeper, writing(hosts) as zk:
        zk.create(PATH, dump_pointer(pointer_to(OLD)), makepath=True)
        with Reader(
            "shop", store, refresh_seconds=0.1, budget_seconds=2, start_seconds=30, endpoint_url=dynamodb.url
        ) as reader:
            zk.set(PATH, dump_pointer(pointer_to(NEW)))
            wait_for(lambda: reader.get("ann").source.table == NEW, 20)


@pytest.mark.zookeeper
def test_a_zookeeper_that_is_not_there_is_a_pointer_error_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_serving.pointer_stores.ZOOKEEPER_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(PointerError) as error:
        ZooKeeperPointer("127.0.0.1:1", PATH).read()
    assert not isinstance(error.value, PointerMissing)
    assert time.monotonic() - started < 10


@pytest.mark.zookeeper
def test_a_zookeeper_that_is_away_is_asked_again_at_a_steady_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """kazoo's own pauses double up to an hour: readers would hear of nothing for as long after an outage as it lasted."""
    monkeypatch.setattr("kumo_serving.pointer_stores.ZOOKEEPER_SECONDS", 3.0)
    monkeypatch.setattr("kumo_serving.pointer_stores.ZOOKEEPER_RETRY_SECONDS", 0.05)
    attempts = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            nonlocal attempts
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()
                    attempts += 1

        threading.Thread(target=hang_up, daemon=True).start()
        store = ZooKeeperPointer(f"127.0.0.1:{server.getsockname()[1]}", PATH)
        with pytest.raises(PointerError):
            store.read()
        server.shutdown(socket.SHUT_RDWR)
    assert attempts > 10
