"""Of two processes that set out to do the same, one works; a dead one keeps nobody waiting for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kumo_assets.documents import utc_now
from kumo_assets.errors import Refused
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.sources.engine import lease as module
from kumo_assets.sources.engine.lease import EXPIRES_SECONDS, Lease, held
from kumo_assets_tests.support.memory_aws import Memory

KEY = "local/q/engine/lease.json"


@pytest.fixture
def memory() -> Memory:
    return Memory()


def store(memory: Memory) -> ObjectStore:
    return ObjectStore("bucket", memory.s3())


def other(memory: Memory, holder: str = "somebody") -> None:
    store(memory).put(KEY, Lease(query="q", holder=holder, process="7@elsewhere", taken_at=utc_now()).to_json())


def test_the_second_waits_until_the_first_gives_up(memory: Memory) -> None:
    waits: list[str] = []
    with held(store(memory), KEY, "q", progress=waits.append) as first:
        assert not first.lost
        asked: list[float] = []

        def sleep(seconds: float) -> None:
            asked.append(seconds)
            if len(asked) == 2:
                first.give_up()

        with held(store(memory), KEY, "q", progress=waits.append, sleep=sleep) as second:
            assert len(asked) == 2
            assert not second.lost
    assert all("holds s3://bucket/local/q/engine/lease.json and lives" in line for line in waits)


def test_a_dead_holder_is_replaced_once_it_was_silent_for_long(memory: Memory) -> None:
    other(memory)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        memory.clock.tick(seconds)

    with held(store(memory), KEY, "q", progress=lambda line: None, sleep=sleep):
        assert sum(waited) >= EXPIRES_SECONDS - 10
    assert sum(waited) <= EXPIRES_SECONDS + 20


def test_a_live_holder_is_never_replaced(memory: Memory) -> None:
    class Enough(Exception):
        pass

    other(memory)
    beats = 0

    def sleep(seconds: float) -> None:
        nonlocal beats
        beats += 1
        memory.clock.tick(seconds)
        store(memory).put(KEY, Lease(query="q", holder="somebody", beats=beats).to_json())
        if beats == 50:
            raise Enough

    with pytest.raises(Enough), held(store(memory), KEY, "q", progress=lambda line: None, sleep=sleep):
        raise AssertionError("two hold it")


def test_of_many_that_replace_a_dead_holder_one_wins(memory: Memory) -> None:
    other(memory)
    memory.clock.tick(EXPIRES_SECONDS + 5)
    mine = [Lease(query="q", holder=name) for name in "ab"]
    seen = store(memory).get(KEY)
    assert seen is not None
    # Both have read the dead holder's lease; the tag of what they read decides.
    won = [store(memory).replace(KEY, lease.to_json(), etag=seen.etag) for lease in mine]
    assert won == [True, False]
    assert not module._taken(store(memory), KEY, mine[1], EXPIRES_SECONDS)


def test_a_holder_that_was_replaced_publishes_nothing(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    with held(store(memory), KEY, "q", progress=lambda line: None) as lease:
        other(memory)
        lease._thread.join(5)
        with pytest.raises(Refused, match="another process may have taken the lease over"):
            lease.demand()
    stored = store(memory).get(KEY)
    assert stored is not None
    assert Lease.from_json(stored.data, KEY).holder == "somebody", "it is not given up for the other"


def test_a_holder_that_cannot_reach_s3_for_long_stops(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(store(memory), KEY, "q", progress=lambda line: None) as lease:
        lease._written -= timedelta(seconds=EXPIRES_SECONDS).total_seconds()
        with pytest.raises(Refused):
            lease.demand()
