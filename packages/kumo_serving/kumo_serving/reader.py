"""`Reader`: what a web service asks for an entity's predictions. The synchronous form; `aio` has the other.

Both are thin shells: `core` decides, `refresh` keeps the pointer, `sockets` moves bytes. Safe to share between threads
and to create before a fork (gunicorn's preload).
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kumo_serving import lastknown
from kumo_serving.answers import Health, Result
from kumo_serving.aws import Account
from kumo_serving.core import (
    Ask,
    Exchange,
    Pause,
    Refresh,
    Reply,
    Step,
    answer,
    answer_many,
    ask,
    ask_many,
    deadline,
    get_many,
    rest,
    rest_many,
)
from kumo_serving.errors import ReadError
from kumo_serving.items import Predictions
from kumo_serving.live import Live
from kumo_serving.metrics import Guarded, Lookup, Metrics
from kumo_serving.outcomes import Outcome
from kumo_serving.pointer import Pointer
from kumo_serving.pointer_stores import PointerStore, open_pointer
from kumo_serving.refresh import Refresher
from kumo_serving.sockets import Pool

log = logging.getLogger("kumo_serving")

BUDGET_SECONDS = 0.050
T = TypeVar("T")


class ReaderBase:
    """What both readers share: options, the refresher, metrics, health. Not for use by itself."""

    def __init__(
        self,
        query: str,
        pointer: PointerStore | str,
        *,
        environment: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        budget_seconds: float = BUDGET_SECONDS,
        pool_size: int = 16,
        warm_connections: int = 2,
        refresh_seconds: float | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        stale_after_seconds: float = 60.0,
        start_seconds: float = 10.0,
        metrics: Metrics | None = None,
        session: Any = None,
    ) -> None:
        _check("start_seconds", start_seconds)
        _check("stale_after_seconds", stale_after_seconds)
        _check("budget_seconds", budget_seconds)
        if refresh_seconds is not None:
            _check("refresh_seconds", refresh_seconds, above_zero=True)
        _check("pool_size", pool_size, above_zero=True)
        self.query = query
        self.budget_seconds = budget_seconds
        self._metrics = Guarded(metrics)
        self._pool_size = pool_size
        self._warm_connections = warm_connections
        self._start_seconds = start_seconds
        self._view = Live(query, stale_after_seconds, self._metrics)
        self._refresher = Refresher(
            self._view,
            open_pointer(pointer, session) if isinstance(pointer, str) else pointer,
            Account(session, endpoint_url),
            environment=environment,
            region=region,
            seconds=refresh_seconds,
            cache_dir=Path(cache_dir) if cache_dir is not None else lastknown.default_directory(),
        )
        _readers.add(self)

    @property
    def pointer(self) -> Pointer | None:
        """The pointer now followed, None before there ever was one."""
        return self._view.pointer

    @property
    def fallback(self) -> Predictions | None:
        """The active release's fallback list, for whoever wants it for a miss or an error. No I/O."""
        state = self._view.current
        return state.fallback.predictions if state is not None and state.fallback is not None else None

    def health(self) -> Health:
        """For a health check: no I/O, microseconds."""
        self._refresher.ensure_running()
        return self._view.health()

    def _after_fork(self) -> None:
        self._refresher.after_fork()

    def _deadline(self, started: float, budget_seconds: float | None) -> float:
        return deadline(started, self.budget_seconds if budget_seconds is None else budget_seconds)

    def _report(self, operation: str, started: float, outcomes: Iterable[object]) -> None:
        counts: dict[str, int] = {}
        for outcome in outcomes:
            name = _NAMES.get(type(outcome).__name__) or type(outcome).__name__
            counts[name] = counts.get(name, 0) + 1
        state = self._view.current
        release = state.active.source.release_id if state is not None else ""
        age = self._view.age() if state is not None else 0.0
        self._metrics.lookup(Lookup(operation, time.monotonic() - started, counts, release, age))  # type: ignore[arg-type]


def _check(name: str, value: float, *, above_zero: bool = False) -> None:
    """Raises ValueError for NaN and for what is too small. Infinity is as long as it can be."""
    if not (value > 0 if above_zero else value >= 0):
        raise ValueError(f"{name} is {value}, and it must be {'more than' if above_zero else 'at least'} 0")


_NAMES = {"Answer": "answer", "Miss": "miss", "FallbackAnswer": "fallback"}
_readers: weakref.WeakSet[ReaderBase] = weakref.WeakSet()


def _in_child() -> None:
    for reader in list(_readers):
        reader._after_fork()


os.register_at_fork(after_in_child=_in_child)


class Reader(ReaderBase):
    """Answers lookups of one query from the table its active pointer names.

    `pointer` is a store or an address for `open_pointer`. `budget_seconds` is the time one call may take, retries and
    all. `region` and `endpoint_url` override the pointer's region and the AWS configuration. `cache_dir` holds the last
    known good pointer (default: `lastknown.default_directory`). The constructor waits at most `start_seconds` for the
    first read of the pointer; without one it still returns, and lookups raise until there is one.
    """

    def __init__(self, query: str, pointer: PointerStore | str, **options: Any) -> None:
        super().__init__(query, pointer, **options)
        self._pool = Pool(self._pool_size)
        self.refresh(self._start_seconds)
        state = self._view.current
        if state is not None and self._warm_connections:
            self._pool.warm(state.active.endpoint, self._warm_connections, time.monotonic() + 1.0)

    def get(self, entity: str | int, *, release: str | None = None, budget_seconds: float | None = None) -> Result:
        """The entity's Answer, a Miss, or a FallbackAnswer when no table is at hand.

        `release` asks one release alone, which answers itself or not at all: "staged", the one that waits for approval,
        or the id of the active, the staged or a previous one. Raises NotServed for any other, Throttled, TimedOut,
        Unavailable, TableGone, ItemMalformed (all ReadError); PointerError while there never was a pointer.
        """
        started = time.monotonic()
        self._refresher.ensure_running()
        outcome: Outcome
        try:
            until = self._deadline(started, budget_seconds)
            view = self._view.of(release)
            asked = ask(view, entity, until)
            if isinstance(asked, Ask):
                reply = self._pool.one(asked.target.endpoint, asked.request, asked.until)
                settled = answer(view, asked, reply)
                outcome = settled if settled is not None else self._run(rest(view, asked, reply, until))
            else:
                outcome = asked
        except Exception as error:
            if self._metrics.wanted:
                self._report("get", started, (error,))
            raise
        if self._metrics.wanted:
            self._report("get", started, (outcome,))
        if isinstance(outcome, ReadError):
            raise outcome
        return outcome

    def get_many(
        self, entities: Iterable[str | int], *, release: str | None = None, budget_seconds: float | None = None
    ) -> dict[str | int, Outcome]:
        """Each entity's outcome, in the order given; a ReadError stands as a value in its own entity's place.

        `release` as in `get`. Raises PointerError, and NotServed; nothing else. More than 100 entities go out as several requests side by side.
        """
        started = time.monotonic()
        self._refresher.ensure_running()
        wanted = list(entities)
        try:
            until = self._deadline(started, budget_seconds)
            view = self._view.of(release)
            asked = ask_many(view, wanted, until)
            if asked is not None:
                reply = self._pool.one(asked.target.endpoint, asked.request, asked.until)
                settled = answer_many(view, asked, reply)
                outcomes = settled if settled is not None else self._run(rest_many(view, asked, reply, until))
            else:
                outcomes = self._run(get_many(view, wanted, until))
        except Exception as error:
            if self._metrics.wanted:
                self._report("get_many", started, (error,))
            raise
        if self._metrics.wanted:
            self._report("get_many", started, outcomes.values())
        return outcomes

    def refresh(self, timeout: float = 1.0) -> bool:
        """Read the pointer again now and wait for that; False when it took longer. Not for the path of a request."""
        done = self._refresher.refresh()
        try:
            done.result(min(timeout, threading.TIMEOUT_MAX))
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End the background thread and close connections; lookups raise from then on."""
        self._refresher.close()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._pool.reset()

    def _run(self, plan: Generator[Step, Reply, T]) -> T:
        return drive(plan, self._pool, self.refresh)


def drive(plan: Generator[Step, Reply, T], pool: Pool, refresh: Callable[[float], object] | None) -> T:
    """Do each step a lookup's generator asks for, until it returns. `refresh` takes the seconds it may last."""
    reply: Reply = None
    try:
        while True:
            step = plan.send(reply)
            reply = None
            if isinstance(step, Exchange):
                reply = pool.exchange(step)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            elif isinstance(step, Refresh) and refresh is not None:
                refresh(max(0.0, step.until - time.monotonic()))
    except StopIteration as end:
        result: T = end.value
        return result
