"""`AsyncReader`: the reader for asyncio services. Same core, same options, same answers as `reader.Reader`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from kumo_serving.answers import Result
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
    get_many,
    rest,
    rest_many,
)
from kumo_serving.errors import ReadError
from kumo_serving.outcomes import Outcome
from kumo_serving.pointer_stores import PointerStore
from kumo_serving.reader import ReaderBase
from kumo_serving.streams import Pool

T = TypeVar("T")


class AsyncReader(ReaderBase):
    """As `Reader`, for one event loop. Making one does no I/O; start it with `async with` or `await start()`.

    The pointer is refreshed by a thread here too: neither botocore nor kazoo has an asyncio of its own, and a busy
    event loop must not delay it.
    """

    def __init__(self, query: str, pointer: PointerStore | str, **options: Any) -> None:
        super().__init__(query, pointer, **options)
        self._pool: Pool | None = None

    async def start(self) -> Self:
        """Wait, at most `start_seconds`, for the first read of the pointer, and open connections."""
        await self.refresh(self._start_seconds)
        state = self._view.current
        if state is not None and self._warm_connections:
            await self._connected().warm(state.active.endpoint, self._warm_connections, time.monotonic() + 1.0)
        return self

    async def get(
        self, entity: str | int, *, release: str | None = None, budget_seconds: float | None = None
    ) -> Result:
        """See `Reader.get`."""
        started = time.monotonic()
        self._refresher.ensure_running()
        outcome: Outcome
        try:
            until = self._deadline(started, budget_seconds)
            view = self._view.of(release)
            asked = ask(view, entity, until)
            if isinstance(asked, Ask):
                reply = await (self._pool or self._connected()).one(asked.target.endpoint, asked.request, asked.until)
                settled = answer(view, asked, reply)
                outcome = settled if settled is not None else await self._run(rest(view, asked, reply, until))
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

    async def get_many(
        self, entities: Iterable[str | int], *, release: str | None = None, budget_seconds: float | None = None
    ) -> dict[str | int, Outcome]:
        """See `Reader.get_many`."""
        started = time.monotonic()
        self._refresher.ensure_running()
        wanted = list(entities)
        try:
            until = self._deadline(started, budget_seconds)
            view = self._view.of(release)
            asked = ask_many(view, wanted, until)
            if asked is not None:
                reply = await (self._pool or self._connected()).one(asked.target.endpoint, asked.request, asked.until)
                settled = answer_many(view, asked, reply)
                outcomes = settled if settled is not None else await self._run(rest_many(view, asked, reply, until))
            else:
                outcomes = await self._run(get_many(view, wanted, until))
        except Exception as error:
            if self._metrics.wanted:
                self._report("get_many", started, (error,))
            raise
        if self._metrics.wanted:
            self._report("get_many", started, outcomes.values())
        return outcomes

    async def refresh(self, timeout: float = 1.0) -> bool:
        """See `Reader.refresh`."""
        done = asyncio.wrap_future(self._refresher.refresh())
        finished, _ = await asyncio.wait((done,), timeout=min(timeout, threading.TIMEOUT_MAX))
        return bool(finished)

    async def close(self) -> None:
        """End the background thread and close connections; lookups raise from then on."""
        pool, self._pool = self._pool, Pool(0)
        self._pool.close()
        if pool is not None:
            pool.close()
        await asyncio.get_running_loop().run_in_executor(None, self._refresher.close)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _after_fork(self) -> None:
        super()._after_fork()
        if not self._view.closed:
            self._pool = None

    def _connected(self) -> Pool:
        if self._pool is None:
            self._pool = Pool(self._pool_size)
        return self._pool

    async def _run(self, plan: Generator[Step, Reply, T]) -> T:
        """Drive a lookup's generator: do each step it asks for, until it returns."""
        reply: Reply = None
        try:
            while True:
                step = plan.send(reply)
                reply = None
                if isinstance(step, Exchange):
                    pool = self._connected()
                    if len(step.requests) == 1:  # nearly always: no task, and no coroutine but its own
                        reply = [await pool.one(step.endpoint, step.requests[0], step.until)]
                    else:
                        reply = await pool.exchange(step)
                elif isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Refresh):
                    await self.refresh(max(0.0, step.until - time.monotonic()))
        except StopIteration as end:
            result: T = end.value
            return result
