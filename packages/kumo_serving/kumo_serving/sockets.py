"""The sync transport: a bounded, thread-safe pool of keep-alive connections, and one exchange over them.

Knows sockets and TLS, not DynamoDB: requests are bytes from `wire`, responses are framed by `http1`. http.client takes
63 us for what takes 14 here (docs/benchmarks.md), and has neither a pool nor a limit on the time of a whole exchange.
What goes wrong is a `Problem` in the response's place, never an exception.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque

from kumo_serving.aws import Endpoint
from kumo_serving.core import Exchange
from kumo_serving.http1 import BadResponse, Response, ResponseParser
from kumo_serving.wire import Problem

RECEIVE = 64 * 1024
# Load balancers drop idle connections silently; past this a new one is cheaper than finding out.
IDLE_SECONDS = 30.0

TIMED_OUT = Problem("timeout", "DynamoDB did not answer in time")
CLOSED = Problem("closed", "the reader is closed")
# Stands for the answer of a connection that was opened ahead of need, or never used.
WARM = Response(200, b"", None, True)


def busy(size: int) -> Problem:
    """No connection came free in time."""
    return Problem("timeout", f"all {size} connections were busy; a larger pool_size would help")


class Connection:
    """One connection. `used` tells a server that closed an idle connection from one that refuses."""

    __slots__ = ("_allowed", "_parser", "endpoint", "free_since", "sock", "used")

    def __init__(self, endpoint: Endpoint, until: float) -> None:
        self.endpoint = endpoint
        self.used = False
        self.free_since = 0.0
        self._parser = ResponseParser()
        self._allowed = -1.0  # none set by this class
        raw = socket.create_connection(endpoint.address(), timeout=max(0.001, until - time.monotonic()))
        try:
            # Head and body go out in one packet or two, and neither may wait for the other's acknowledgement.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.tls is not None:
                raw.settimeout(max(0.001, until - time.monotonic()))
                raw = endpoint.tls.wrap_socket(raw, server_hostname=endpoint.host)
        except BaseException:
            raw.close()
            raise
        self.sock = raw

    def send(self, request: bytes, until: float) -> Problem | None:
        try:
            self._allow(until - time.monotonic())
            self.sock.sendall(request)
        except TimeoutError:
            return TIMED_OUT
        except OSError as error:
            return self._broken(error, nothing_read=True)
        return None

    def receive(self, until: float) -> Response | Problem:
        parser, sock = self._parser, self.sock
        parser.begin()
        nothing_read = True
        try:
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    return TIMED_OUT
                self._allow(left)
                data = sock.recv(RECEIVE)
                if not data:
                    return parser.end() or self._broken(ConnectionError("closed"), nothing_read=nothing_read)
                nothing_read = False
                response = parser.feed(data)
                if response is not None:
                    return response
        except TimeoutError:
            return TIMED_OUT
        except BadResponse as error:
            return Problem("unavailable", f"the answer was not understood: {error}")
        except OSError as error:
            return self._broken(error, nothing_read=nothing_read)

    def _allow(self, seconds: float) -> None:
        """How long the socket may wait, to the millisecond: to set it is a system call, and mostly it is what it was."""
        if not -0.001 < self._allowed - seconds < 0.001:
            self._allowed = max(0.001, seconds)
            self.sock.settimeout(self._allowed)

    def _broken(self, error: OSError, *, nothing_read: bool) -> Problem:
        kind = "stale" if self.used and nothing_read else "unavailable"
        return Problem(kind, f"the connection broke ({type(error).__name__}: {error})")  # type: ignore[arg-type]

    def usable(self, endpoint: Endpoint, now: float) -> bool:
        """True when it leads there, and was not idle for so long that it may be lost."""
        return self.endpoint is endpoint and now - self.free_since < IDLE_SECONDS

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


class Waiter:
    """A thread that waits for a connection. Given one, or None: the right to open one."""

    __slots__ = ("given", "what", "woken")

    def __init__(self) -> None:
        self.given = False
        self.what: Connection | None = None
        self.woken = threading.Lock()
        self.woken.acquire()


class Pool:
    """At most `size` connections in use or idle, most recently used first.

    What comes free goes to who has waited longest, as in `streams`: while anything is idle or may still be opened, nobody
    waits.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._closed = False
        self.reset()

    def reset(self) -> None:
        """Start afresh, closed if it was closed (also in a forked child, which must neither share nor shut down its parent's connections)."""
        self._lock = threading.Lock()
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._waiters: deque[Waiter] = deque()

    def exchange(self, step: Exchange) -> list[Response | Problem]:
        """Do all of a step's requests, side by side as far as connections allow."""
        if len(step.requests) == 1:
            return [self.one(step.endpoint, step.requests[0], step.until)]
        return self._several(step)

    def one(self, endpoint: Endpoint, request: bytes, until: float) -> Response | Problem:
        """Do one request."""
        connection = self._take(endpoint, until)
        if isinstance(connection, Problem):
            return connection
        reply: Response | Problem | None = None
        try:
            reply = connection.send(request, until) or connection.receive(until)
        finally:
            self._give(connection, reply)
        return reply

    def _several(self, step: Exchange) -> list[Response | Problem]:
        replies: list[Response | Problem] = []
        while len(replies) < len(step.requests):
            taken: list[Connection] = []
            results: list[Response | Problem | None] = []
            try:
                for request in step.requests[len(replies) :]:
                    # Wait for the first connection only: others are taken while there are any.
                    connection = self._take(step.endpoint, step.until, wait=not taken)
                    if isinstance(connection, Problem):
                        if not taken:
                            return replies + [connection] * (len(step.requests) - len(replies))
                        break
                    taken.append(connection)
                    results.append(connection.send(request, step.until))
                for position, connection in enumerate(taken):
                    if results[position] is None:
                        results[position] = connection.receive(step.until)
            finally:
                # An exception between the two (a worker's alarm, say) must not leak half-read connections.
                for position, connection in enumerate(taken):
                    self._give(connection, results[position] if position < len(results) else None)
            replies += [result for result in results if result is not None]
        return replies

    def warm(self, endpoint: Endpoint, count: int, until: float) -> int:
        """Open up to `count` connections ahead of need; how many are open then. Failures are for lookups to report."""
        fresh = [self._take(endpoint, until, wait=False) for _ in range(min(count, self._size))]
        opened = [connection for connection in fresh if isinstance(connection, Connection)]
        for connection in opened:
            self._give(connection, WARM)
        return len(opened)

    def _take(self, endpoint: Endpoint, until: float, *, wait: bool = True) -> Connection | Problem:
        waiter: Waiter | None = None
        with self._lock:
            now = time.monotonic()
            while self._idle:
                connection = self._idle.pop()
                if connection.usable(endpoint, now):
                    return connection
                connection.close()
                self._open -= 1
            if self._closed:
                return CLOSED
            if self._open < self._size:
                self._open += 1
            elif not wait or until <= now:
                return busy(self._size)
            else:
                waiter = Waiter()
                self._waiters.append(waiter)
        if waiter is not None:
            if not self._freed(waiter, until - now):
                return busy(self._size)
            if waiter.what is not None:
                if waiter.what.usable(endpoint, time.monotonic()):
                    return waiter.what
                waiter.what.close()
            if self._closed:
                self._forget()
                return CLOSED
        return self._connect(endpoint, until)

    def _freed(self, waiter: Waiter, seconds: float) -> bool:
        """Wait until something is given, or False: nothing was in time."""
        try:
            waiter.woken.acquire(timeout=seconds)
        except BaseException:  # a worker's alarm, say: what it was given must not be lost
            if self._gave_up(waiter):
                raise
            if waiter.what is not None:
                self._give(waiter.what, WARM)
            else:
                self._forget()
            raise
        return waiter.given or not self._gave_up(waiter)

    def _gave_up(self, waiter: Waiter) -> bool:
        """Take it out of the queue; False when something was given to it at the last moment."""
        with self._lock:
            if not waiter.given:
                self._waiters.remove(waiter)
            return not waiter.given

    def _connect(self, endpoint: Endpoint, until: float) -> Connection | Problem:
        """A new connection, which `_open` counts already."""
        try:
            return Connection(endpoint, until)
        except TimeoutError:
            problem = Problem("timeout", f"no connection to {endpoint.host_header} in time{endpoint.note}")
        except OSError as error:
            problem = Problem(
                "unavailable",
                f"no connection to {endpoint.host_header} ({type(error).__name__}: {error}){endpoint.note}",
            )
        except BaseException:
            self._forget()
            raise
        self._forget()
        return problem

    def _give(self, connection: Connection, reply: Response | Problem | None) -> None:
        if isinstance(reply, Response) and reply.keep and not self._closed:
            connection.used = True
            connection.free_since = time.monotonic()
            with self._lock:
                if not self._hand(connection):
                    self._idle.append(connection)
            return
        connection.close()
        self._forget()
        if isinstance(reply, Problem) and reply.kind == "stale":
            # The server went away and came back: the other idle connections are dead too.
            self._drop_idle()

    def _forget(self) -> None:
        with self._lock:
            if not self._hand(None):
                self._open -= 1

    def _hand(self, what: Connection | None) -> bool:
        """Give it to who has waited longest; False when nobody waits. The lock is held."""
        if not self._waiters:
            return False
        waiter = self._waiters.popleft()
        waiter.given, waiter.what = True, what
        waiter.woken.release()
        return True

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = list(self._idle), deque()
            self._open -= len(idle)
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close idle connections now, busy ones when they come back."""
        self._closed = True
        self._drop_idle()
