"""Many lookups at once while everything moves: promotions, deletions of old tables, throttles, cut connections.

Every answer must be of the release it claims, and none an error. Seconds by default; minutes with KUMO_SOAK=1.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest
from kumo_sandbox.testing import wait_for
from kumo_serving import Answer, AsyncReader, Reader
from serving_support import THROTTLE, FakeDynamoDB, MemoryPointer, pointer_to, reset

pytestmark = pytest.mark.slow

SECONDS = 120.0 if os.environ.get("KUMO_SOAK") == "1" else 2.0
CONCURRENT = 20
# Old tables that stay. A reader refreshes once when a table is gone, so retirement must outlast a stalled one.
KEPT = 10
# A busy machine may need longer to have seen enough.
ENOUGH, PATIENCE = 8, 60.0


class World:
    """Promotes a new release again and again, deletes old ones and at times the active one, and makes trouble."""

    def __init__(self, dynamodb: FakeDynamoDB) -> None:
        self.dynamodb = dynamodb
        self.number = 0
        self.tables: list[str] = []
        self.promote()
        self.store = MemoryPointer(pointer_to(self.tables[-1]))
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def promote(self) -> None:
        self.number += 1
        table = f"local-shop-20171130-{self.number:08x}"
        self.dynamodb.put(table, ann=[(table, 1.0)])
        self.tables.append(table)

    def run(self) -> None:
        while not self.ended.wait(0.1):
            active = self.tables[-1]
            self.promote()
            if self.number % 3 == 0:
                # The operator's worst: the active table is gone before the pointer moves. The previous one answers.
                del self.dynamodb.tables[active]
                self.tables.remove(active)
                self.ended.wait(0.03)
            self.store.set(pointer_to(self.tables[-1], self.tables[-2]))
            if len(self.tables) > KEPT:
                del self.dynamodb.tables[self.tables.pop(0)]
            self.dynamodb.faults.append(THROTTLE if self.number % 2 else reset)
            if self.number % 5 == 0:
                self.dynamodb.cut_connections()

    def __enter__(self) -> World:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()


def check(answer: Any, seen: set[str]) -> None:
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.predictions, tuple)
    assert answer.predictions[0][0] == answer.source.table
    assert answer.source.table.endswith(answer.release_id)
    seen.add(answer.release_id)


class Time:
    """Until the time is up and enough releases were seen."""

    def __init__(self, seen: set[str]) -> None:
        self.seen = seen
        self.end = time.monotonic() + SECONDS

    def left(self) -> bool:
        now = time.monotonic()
        return now < self.end or (len(self.seen) < ENOUGH and now < self.end + PATIENCE)


def options(dynamodb: FakeDynamoDB) -> dict[str, Any]:
    usual = {"budget_seconds": 20.0, "refresh_seconds": 0.05, "start_seconds": 30}
    return {**usual, "endpoint_url": dynamodb.url, "pool_size": CONCURRENT}


def test_threads_get_the_right_answer_through_every_swap(dynamodb: FakeDynamoDB) -> None:
    seen: set[str] = set()
    failures: list[BaseException] = []
    with World(dynamodb) as world, Reader("shop", world.store, **options(dynamodb)) as reader:
        limit = Time(seen)

        def work() -> None:
            try:
                while limit.left():
                    check(reader.get("ann"), seen)
                    check(reader.get_many(["ann"])["ann"], seen)
            except BaseException as error:  # noqa: BLE001 - told to the test, from a thread
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(seen) >= ENOUGH
    assert "gone" in dynamodb.refused


async def test_tasks_get_the_right_answer_through_every_swap(dynamodb: FakeDynamoDB) -> None:
    seen: set[str] = set()
    with World(dynamodb) as world:
        async with AsyncReader("shop", world.store, **options(dynamodb)) as reader:
            limit = Time(seen)

            async def work() -> None:
                while limit.left():
                    check(await reader.get("ann"), seen)
                    check((await reader.get_many(["ann"]))["ann"], seen)

            await asyncio.gather(*(work() for _ in range(CONCURRENT)))
    assert len(seen) >= ENOUGH
    assert "gone" in dynamodb.refused


async def test_cancelled_lookups_leave_the_pool_whole(dynamodb: FakeDynamoDB) -> None:
    dynamodb.put("local-shop-20171130-1a2b3c4d", ann=[("milk", 1.0)])
    store = MemoryPointer(pointer_to("local-shop-20171130-1a2b3c4d"))
    async with AsyncReader("shop", store, **{**options(dynamodb), "pool_size": 2}) as reader:
        dynamodb.delay = 0.02
        for round_ in range(20):
            tasks = [asyncio.create_task(reader.get("ann")) for _ in range(6)]
            await asyncio.sleep(0.003 * (round_ % 5))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        dynamodb.delay = 0.0
        assert all(isinstance(one, Answer) for one in await asyncio.gather(*(reader.get("ann") for _ in range(6))))


async def test_tasks_take_turns_at_a_full_pool(dynamodb: FakeDynamoDB) -> None:
    dynamodb.put("local-shop-20171130-1a2b3c4d", ann=[("milk", 1.0)])
    store = MemoryPointer(pointer_to("local-shop-20171130-1a2b3c4d"))
    turns: list[int] = []
    async with AsyncReader("shop", store, **{**options(dynamodb), "pool_size": 2}) as reader:

        async def work(number: int) -> None:
            # Asks again at once: whoever could take back the connection that it just gave would never let the others in.
            for _ in range(20):
                await reader.get("ann")
                turns.append(number)

        await asyncio.gather(*(work(number) for number in range(6)))
    # While all still ask: of five others, four wait when one's turn ends, and one of those may sit on a slow connection.
    all_asking = min(max(at for at, one in enumerate(turns) if one == number) for number in range(6))
    for at, number in enumerate(turns[:all_asking]):
        again = turns.index(number, at + 1)
        if again <= all_asking:
            assert len(set(turns[at + 1 : again])) >= 3, turns


def test_threads_take_turns_at_a_full_pool(dynamodb: FakeDynamoDB) -> None:
    dynamodb.put("local-shop-20171130-1a2b3c4d", ann=[("milk", 1.0)])
    store = MemoryPointer(pointer_to("local-shop-20171130-1a2b3c4d"))
    counts = [0] * 6
    ended = threading.Event()
    together = threading.Barrier(len(counts))
    with Reader("shop", store, **{**options(dynamodb), "pool_size": 1}) as reader:

        def work(number: int) -> None:
            together.wait()
            while not ended.is_set():
                reader.get("ann")
                counts[number] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        wait_for(lambda: min(counts) >= 20, 60)
        most = max(counts)
        ended.set()
        for thread in threads:
            thread.join()
    assert most <= 100, counts


def test_a_lookup_interrupted_while_it_waits_leaves_the_pool_whole(dynamodb: FakeDynamoDB) -> None:
    class Alarm(Exception):
        """A worker's time limit."""

    def ring(*_: object) -> None:
        raise Alarm

    dynamodb.put("local-shop-20171130-1a2b3c4d", ann=[("milk", 1.0)])
    store = MemoryPointer(pointer_to("local-shop-20171130-1a2b3c4d"))
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with Reader("shop", store, **{**options(dynamodb), "pool_size": 1}) as reader:
            dynamodb.delay = 0.02
            rung = 0
            for round_ in range(12):
                other = threading.Thread(target=reader.get, args=("ann",))
                other.start()
                # The other one is answered after 20 ms, this one after 40.
                timer = threading.Timer((0.006, 0.012, 0.030)[round_ % 3], os.kill, (os.getpid(), signal.SIGUSR1))
                try:
                    timer.start()
                    reader.get("ann")
                    timer.join()
                    time.sleep(0.1)  # the alarm rings here at the latest
                except Alarm:
                    rung += 1
                other.join()
            dynamodb.delay = 0.0
            assert rung == 12
            assert isinstance(reader.get("ann"), Answer)
            assert reader._pool._open == 1
    finally:
        signal.signal(signal.SIGUSR1, before)
