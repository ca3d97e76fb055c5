"""How often pointers are read: each second, or each 5 s in a process that reads several queries from S3."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kumo_sandbox.testing import wait_for
from kumo_serving import Reader, S3Pointer, ZooKeeperPointer
from kumo_serving.pointer import dump_pointer
from serving_support import NEW, RANKING, FakeDynamoDB, FakeS3, MemoryPointer, pointer_to


@pytest.fixture
def read(s3: FakeS3, dynamodb: FakeDynamoDB) -> Iterator[Any]:
    """Makes readers of queries whose pointers are on S3, and closes them."""
    dynamodb.put(NEW, ann=RANKING)
    with ExitStack() as stack:

        def reader(query: str, store: Any = None, **options: Any) -> Reader:
            path = f"local/{query}/active.json"
            s3.objects[f"/bucket/{path}"] = dump_pointer(pointer_to(NEW).replace(query=query))
            made = Reader(query, store or f"s3://bucket/{path}", start_seconds=30, **options)
            return stack.enter_context(made)

        yield reader


def pace(reader: Reader) -> float:
    return reader._refresher.pace()


def test_one_query_is_read_each_second_and_several_each_five(read: Any) -> None:
    first = read("one")
    assert pace(first) == 1.0
    same = read("one")
    assert (pace(first), pace(same)) == (1.0, 1.0)
    second = read("two")
    assert (pace(first), pace(same), pace(second)) == (5.0, 5.0, 5.0)
    second.close()
    assert (pace(first), pace(same)) == (1.0, 1.0)


def test_a_pace_that_was_asked_for_is_kept(read: Any) -> None:
    asked = read("one", refresh_seconds=1.0)
    other = read("two")
    assert (pace(asked), pace(other)) == (1.0, 5.0)


def test_stores_that_are_not_polled_for_a_price_slow_nobody_down(read: Any) -> None:
    on_s3 = read("one")
    in_memory = read("shop", MemoryPointer(pointer_to(NEW)))
    assert (pace(on_s3), pace(in_memory)) == (1.0, MemoryPointer.poll_seconds)
    assert not hasattr(ZooKeeperPointer, "poll_seconds_of_many")


def test_readers_that_a_forked_child_does_not_use_do_not_count_there(read: Any) -> None:
    first = read("one")
    read("two")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if first.get("ann", budget_seconds=10) and pace(first) == 1.0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pace(first) == 5.0


@pytest.mark.slow
def test_readers_of_several_queries_ask_s3_as_seldom_as_they_say(
    read: Any, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Pointer, "poll_seconds", 0.02)
    monkeypatch.setattr(S3Pointer, "poll_seconds_of_many", 0.5)
    read("one")
    before = len(s3.requests)
    wait_for(lambda: len(s3.requests) >= before + 20)
    read("two")
    time.sleep(0.1)  # a pause that had begun may end
    before, began = len(s3.requests), time.monotonic()
    time.sleep(2.0)
    asked, most = len(s3.requests) - before, 2 * (time.monotonic() - began) / (0.8 * 0.5) + 2
    assert asked <= most
