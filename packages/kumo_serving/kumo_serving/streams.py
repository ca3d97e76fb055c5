"""The asyncio transport: the same bounded pool as `sockets`, for one event loop.

Built on asyncio's protocols rather than on aiohttp: there one exchange alone takes 84 us to this one's 20, and with
signing and decoding a lookup would be 4 times quicker than aiobotocore's, not 8 (docs/benchmarks.md has both). What goes
wrong is a `Problem` in the response's place, never an exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque

from kumo_serving.aws import Endpoint
from kumo_serving.core import Exchange
from kumo_serving.http1 import BadResponse, Response, ResponseParser
from kumo_serving.sockets import CLOSED, IDLE_SECONDS, TIMED_OUT, WARM, busy
from kumo_serving.wire import Problem


class Connection(asyncio.Protocol):
    """One connection, one request at a time. Its future is resolved by whatever ends the exchange first."""

    __slots__ = ("_parser", "_reply", "_touched", "_transport", "endpoint", "free_since", "lost", "until", "used")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.used = False
        self.free_since = 0.0
        self.lost = False
        self.until = 0.0
        self._touched = False
        self._parser = ResponseParser()
        self._reply: asyncio.Future[Response | Problem] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._touched = True
        if self._reply is None or self._reply.done():
            self.close()  # bytes nobody asked for: what they belong to cannot be known
            return
        try:
            response = self._parser.feed(data)
        except BadResponse as error:
            self.settle(Problem("unavailable", f"the answer was not understood: {error}"))
            return
        if response is not None:
            self.settle(response)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._reply is None or self._reply.done():
            return
        response = self._parser.end() if error is None else None
        kind = "stale" if self.used and not self._touched else "unavailable"
        reason = f"{type(error).__name__}: {error}" if error is not None else "closed"
        self.settle(response or Problem(kind, f"the connection broke ({reason})"))  # type: ignore[arg-type]

    def settle(self, reply: Response | Problem) -> None:
        """End the exchange, unless it has ended."""
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def exchange(self, request: bytes, reply: asyncio.Future[Response | Problem]) -> None:
        """Send; `reply` gets what comes of it."""
        self._parser.begin()
        self._touched = False
        self._reply = reply
        assert self._transport is not None
        self._transport.write(request)

    def usable(self, endpoint: Endpoint, now: float) -> bool:
        """True when it leads there, and neither is lost nor was idle for so long that it may be."""
        return self.endpoint is endpoint and not self.lost and now - self.free_since < IDLE_SECONDS

    def close(self) -> None:
        self.lost = True
        if self._transport is not None:
            # Not close(): that would wait for unsent bytes, and nobody waits for the answer.
            self._transport.abort()


class Pool:
    """At most `size` connections of one event loop, most recently used first. Made inside the loop.

    What comes free goes to who has waited longest, and never into a pool from which somebody else could take it first: a
    task that looks up again and again would do just that, and starve those that wait. So while anything is idle or may
    still be opened, nobody waits.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._open = 0
        # One timer for all exchanges, set for the first of their ends: a timer for each, made and cancelled, costs as much
        # as the signature.
        self._busy: set[Connection] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        # Given a connection, or None: the right to open one.
        self._waiters: deque[asyncio.Future[Connection | Problem | None]] = deque()
        self._closed = False

    async def exchange(self, step: Exchange) -> list[Response | Problem]:
        """Do all of a step's requests, side by side as far as connections allow."""
        return await asyncio.gather(*(self.one(step.endpoint, request, step.until) for request in step.requests))

    async def one(self, endpoint: Endpoint, request: bytes, until: float) -> Response | Problem:
        """Do one request."""
        connection = self._ready(endpoint) or await self._take(endpoint, until)
        if isinstance(connection, Problem):
            return connection
        reply: Response | Problem | None = None
        try:
            coming: asyncio.Future[Response | Problem] = self._loop.create_future()
            connection.until = until
            self._busy.add(connection)
            if until < self._alarm_at:
                self._set_alarm(until)
            connection.exchange(request, coming)
            reply = await coming
        finally:
            self._busy.discard(connection)
            # Also when the caller's task was cancelled: reply is None then, and the connection is not reused.
            self._give(connection, reply)
        return reply

    async def warm(self, endpoint: Endpoint, count: int, until: float) -> int:
        """Open up to `count` connections ahead of need; how many are open then."""
        ready = [self._ready(endpoint) for _ in range(min(count, self._size))]
        wanted = [self._take(endpoint, until) for connection in ready if connection is None]
        fresh = [*ready, *await asyncio.gather(*wanted)]
        opened = [connection for connection in fresh if isinstance(connection, Connection)]
        for connection in opened:
            self._give(connection, WARM)
        return len(opened)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_later(max(0.0, at - time.monotonic()), self._ring)

    def _ring(self) -> None:
        """End the exchanges whose time is up; the next alarm is for the first end of the others."""
        self._alarm, self._alarm_at = None, math.inf
        now = time.monotonic()
        for connection in self._busy:
            if connection.until <= now:
                connection.settle(TIMED_OUT)
            else:
                self._alarm_at = min(self._alarm_at, connection.until)
        if self._alarm_at < math.inf:
            self._set_alarm(self._alarm_at)

    def _ready(self, endpoint: Endpoint) -> Connection | None:
        """An idle connection that leads there."""
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(endpoint, now):
                return connection
            connection.close()
            self._open -= 1
        return None

    async def _take(self, endpoint: Endpoint, until: float) -> Connection | Problem:
        """A connection when none is idle: opened, or come free in time."""
        now = time.monotonic()
        if self._closed:
            return CLOSED
        if self._open < self._size:
            self._open += 1
            return await self._connect(endpoint, until)
        if until <= now:
            return busy(self._size)
        given = await self._freed(until - now)
        if isinstance(given, Problem):
            return given
        if given is not None:
            if given.usable(endpoint, time.monotonic()):
                return given
            given.close()
        if self._closed:
            self._forget()
            return CLOSED
        return await self._connect(endpoint, until)

    async def _freed(self, seconds: float) -> Connection | Problem | None:
        """What came free for this task, or that nothing did in time."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | Problem | None] = loop.create_future()
        timer = loop.call_later(seconds, _settle, waiter, busy(self._size))
        self._waiters.append(waiter)
        given: Connection | Problem | None = TIMED_OUT
        try:
            given = await waiter
            return given
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # It was given to a task that no longer wants it.
                unwanted = waiter.result()
                if isinstance(unwanted, Connection):
                    self._give(unwanted, WARM)
                elif unwanted is None:
                    self._forget()
            raise
        finally:
            timer.cancel()
            if isinstance(given, Problem):
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)

    async def _connect(self, endpoint: Endpoint, until: float) -> Connection | Problem:
        """A new connection, which `_open` counts already."""
        connected = False
        try:
            host, port = endpoint.address()
            async with asyncio.timeout(max(0.001, until - time.monotonic())):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(endpoint),
                    host,
                    port,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.host if endpoint.tls is not None else None,
                )
            connected = True
            return connection
        except TimeoutError:
            return Problem("timeout", f"no connection to {endpoint.host_header} in time{endpoint.note}")
        except OSError as error:
            return Problem(
                "unavailable",
                f"no connection to {endpoint.host_header} ({type(error).__name__}: {error}){endpoint.note}",
            )
        finally:
            if not connected:
                self._forget()

    def _give(self, connection: Connection, reply: Response | Problem | None) -> None:
        if isinstance(reply, Response) and reply.keep and not self._closed and not connection.lost:
            connection.used = True
            connection.free_since = time.monotonic()
            if not self._hand(connection):
                self._idle.append(connection)
            return
        connection.close()
        self._forget()
        if isinstance(reply, Problem) and reply.kind == "stale":
            self._drop_idle()

    def _forget(self) -> None:
        if not self._hand(None):
            self._open -= 1

    def _hand(self, what: Connection | None) -> bool:
        """Give it to who has waited longest; False when nobody waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(what)
                return True
        return False

    def _drop_idle(self) -> None:
        idle, self._idle = list(self._idle), deque()
        self._open -= len(idle)
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close idle connections now, busy ones when they come back."""
        self._closed = True
        self._drop_idle()


def _settle(waiter: asyncio.Future[Connection | Problem | None], problem: Problem) -> None:
    if not waiter.done():
        waiter.set_result(problem)
