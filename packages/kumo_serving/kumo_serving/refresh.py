"""The background thread that keeps the pointer current, and the state every lookup reads.

One thread for each reader: it reads the store (jittered, or when its watch fires), credentials and addresses, and swaps
in a new `State` as a whole. What it cannot read or must not follow leaves the last known good in place, with a metric
and a log line. Lookups never wait for it, except for one bounded moment when a table is found gone.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from kumo_serving.answers import Health, Source
from kumo_serving.aws import Account, Endpoint
from kumo_serving.core import Fallback, State, Target
from kumo_serving.errors import ItemMalformed, KumoAssetsError, PointerError, PointerMalformed, PointerMissing
from kumo_serving.fallback import parse_fallback, read_fallback
from kumo_serving.lastknown import LastKnown
from kumo_serving.metrics import Guarded, PointerSeen
from kumo_serving.pointer import Pointer, parse_pointer, partition_of_release, release_of_table
from kumo_serving.pointer_stores import PointerStore, s3_client
from kumo_serving.wire import Requests

log = logging.getLogger("kumo_serving")

JITTER = 0.2
# While the store fails, reads slow down to this many times the usual pace.
SLOWEST = 5.0
# For so long after a table was found gone, lookups go to the next one at once instead of asking it again.
GONE_SECONDS = 1.0
# Previous releases a lookup may fall back to. More would not fit in a time budget anyway.
PREVIOUS = 2


class Refresher:
    """Owns the state of one reader. Its public attributes are read by any thread; its thread alone replaces them."""

    def __init__(
        self,
        query: str,
        store: PointerStore,
        account: Account,
        *,
        environment: str | None,
        region: str | None,
        seconds: float | None,
        cache_dir: Path | None,
        stale_after_seconds: float,
        metrics: Guarded,
    ) -> None:
        self.query = query
        self.store = store
        self.account = account
        self.metrics = metrics
        self.pointer: Pointer | None = None
        self.current: State | None = None
        self.last_error = ""
        self._environment = environment
        self._region = region
        self._seconds = seconds if seconds is not None else store.poll_seconds
        self._stale_after = stale_after_seconds
        self._lastknown = LastKnown(cache_dir, store.uri, query)
        self._bytes = b""
        self._version: str | None = None
        self._confirmed_at = 0.0
        self._rejected = False
        self._from_disk = False
        self._fallback_bytes = b""
        self._gone: dict[str, float] = {}
        self._closed = False
        self._s3 = None
        self.revive()

    # -- what lookups see (core.View, but for `retried`) ---------------------------------------------------------

    def state(self) -> State:
        """The newest state. Raises PointerError, saying why, when there never was one."""
        state = self.current
        if state is None:
            raise PointerError(
                "answer lookups",
                to=f"of {self.query}",
                found=self.last_error or "the pointer has not been read yet",
                next="see the log; a reader that never had a pointer has no last known good",
            )
        return state

    def age(self) -> float:
        """Seconds since the pointer was last seen to be current."""
        return time.monotonic() - self._confirmed_at

    def is_gone(self, table: str) -> bool:
        """True for a moment after `mark_gone`."""
        return bool(self._gone) and self._gone.get(table, 0.0) > time.monotonic()

    def mark_gone(self, table: str) -> None:
        """Remember it, so that a thousand lookups a second do not each find it out again."""
        self._gone = {table: time.monotonic() + GONE_SECONDS, **{t: u for t, u in self._gone.items() if t != table}}

    def retried(self, reason: str) -> None:
        self.metrics.retry(reason)

    def health(self) -> Health:
        """Without any I/O."""
        pointer, current = self.pointer, self.current
        state: Literal["fresh", "stale", "from_disk", "no_pointer", "closed"] = "fresh"
        if self._closed:
            state = "closed"
        elif pointer is None or current is None:
            state = "no_pointer"
        elif self._from_disk:
            state = "from_disk"
        elif self.age() > self._stale_after:
            state = "stale"
        return Health(
            ok=state not in ("closed", "no_pointer"),
            state=state,
            query=self.query,
            release_id=pointer.served_release_id if pointer else "",
            partition=pointer.served_partition if pointer else "",
            table=pointer.table if pointer else "",
            generation=pointer.generation if pointer else 0,
            pointer_age_seconds=self.age() if current is not None else None,
            last_error=self.last_error,
        )

    # -- the thread ---------------------------------------------------------------------------------------------

    def revive(self) -> None:
        """Make locks and thread anew: at the start, and in a forked child, where threads and held locks are lost."""
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._waiters: list[Future[None]] = []
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """In a forked child: what a lock or a thread of the parent may have left half-done is made anew."""
        self.account.reset()
        self._s3 = None
        self.revive()

    def ensure_running(self) -> None:
        """Start the thread if it is not there (first use, or first use after a fork)."""
        if self._thread is None and not self._closed:
            with self._lock:
                if self._thread is None:
                    self.store.watch(self._wake.set)
                    self._thread = threading.Thread(
                        target=self._run, args=(self._wake,), name=f"kumo-pointer-{self.query}", daemon=True
                    )
                    self._thread.start()

    def refresh(self) -> Future[None]:
        """Have the pointer read once more from now; the future is done after that, whatever came of it."""
        self.ensure_running()
        done: Future[None] = Future()
        with self._lock:
            self._waiters.append(done)
        self._wake.set()
        if self._closed:
            self._release()
        return done

    def close(self, timeout: float = 2.0) -> None:
        """End the thread and give back the store's connections."""
        self._closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        self.store.close()
        self._release()

    def _run(self, wake: threading.Event) -> None:
        failures = 0
        if self.current is None:
            self._from_last_known()
        while not self._closed and wake is self._wake:
            wake.clear()
            with self._lock:
                waiting, self._waiters = self._waiters, []
            try:
                failures = 0 if self._once() else failures + 1
            except Exception as error:  # noqa: BLE001 - whatever a store or a driver raises, the last known good must stay and this thread live
                failures += 1
                self._failed("failed", error)
            for future in waiting:
                future.set_result(None)
            pace = self._seconds * min(SLOWEST, 1.0 + failures / 2)
            wake.wait(pace * random.uniform(1 - JITTER, 1 + JITTER))

    def _release(self) -> None:
        with self._lock:
            waiting, self._waiters = self._waiters, []
        for future in waiting:
            future.set_result(None)

    def _once(self) -> bool:
        """One round. True when the store was reached."""
        try:
            self.account.refresh()
        except KumoAssetsError as error:
            # A public or emulated store may still be readable, and old credentials may still be good.
            self._tell(error)
        try:
            read = self.store.read(self._version)
        except PointerMissing as error:
            self._failed("missing", error)
            return False
        except PointerError as error:
            self._failed("failed", error)
            return False
        if read is None and self._rejected:
            self._seen("malformed")
            return True
        if read is None or (read.data == self._bytes and self.current is not None):
            self._version, self._rejected = (read.version if read is not None else self._version), False
            self._confirmed("unchanged")
            self._retry_fallback()
            return True
        try:
            pointer = parse_pointer(read.data, self.query, self._environment)
        except PointerMalformed as error:
            # Remember its version, so as not to fetch the same bad document each second.
            self._version, self._rejected = read.version, True
            self._failed("malformed", error)
            return True
        self._follow(pointer, b"")
        self._version, self._rejected, self._bytes = read.version, False, read.data
        self._confirmed("new")
        self._lastknown.save(read.data, self._fallback_bytes)
        return True

    # -- outcomes of a round -------------------------------------------------------------------------------------

    def _follow(self, pointer: Pointer, fallback: bytes) -> None:
        endpoint = self.account.endpoint(self._region or pointer.region)
        self._fallback_bytes = fallback or self._read_fallback(pointer)
        state = build_state(pointer, self.account, endpoint, self._fallback_bytes)
        before = self.pointer
        self.pointer, self.current = pointer, state
        if before is None or before.table != pointer.table:
            log.info(
                "query %s is served from %s (release %s, generation %s)",
                *(pointer.query, pointer.table, pointer.served_release_id or "unknown", pointer.generation),
            )

    def _confirmed(self, outcome: Literal["new", "unchanged"]) -> None:
        self._confirmed_at = time.monotonic()
        self._from_disk = False
        self.last_error = ""
        if outcome == "unchanged":
            self._lastknown.confirm()
        self._seen(outcome)

    def _failed(self, outcome: Literal["missing", "malformed", "failed"], error: Exception) -> None:
        self._tell(error)
        self._seen(outcome)

    def _tell(self, error: Exception) -> None:
        text = str(error)
        if text != self.last_error:
            log.warning("%s%s", text, " Still serving the last known good." if self.current is not None else "")
        self.last_error = text

    def _seen(self, outcome: Literal["new", "unchanged", "missing", "malformed", "failed", "from_disk"]) -> None:
        release = self.pointer.served_release_id if self.pointer else ""
        self.metrics.pointer(PointerSeen(outcome, release, self.age() if self.current is not None else 0.0))

    def _from_last_known(self) -> None:
        known = self._lastknown.load()
        if known is None:
            return
        try:
            pointer = parse_pointer(known.pointer, self.query, self._environment)
            self.account.refresh()
            self._follow(pointer, known.fallback)
        except KumoAssetsError as error:
            self._tell(error)
            return
        self._bytes = known.pointer
        self._confirmed_at = time.monotonic() - known.age_seconds
        self._from_disk = True
        self._seen("from_disk")

    def _read_fallback(self, pointer: Pointer) -> bytes:
        uri = pointer.served_fallback
        if not uri:
            return b""
        try:
            if self._s3 is None:
                self._s3 = s3_client(self.account.session, pointer.region or None)
            data = read_fallback(self._s3, uri)
            parse_fallback(data, self.query)
            return data
        except (PointerError, ItemMalformed) as error:
            log.warning("%s Lookups go on without it.", error)
            return b""

    def _retry_fallback(self) -> None:
        """The list may have been unreadable when the pointer came; try again while it is missing."""
        pointer = self.pointer
        if pointer is not None and pointer.served_fallback and not self._fallback_bytes:
            self._follow(pointer, b"")
            if self._fallback_bytes:
                self._lastknown.save(self._bytes, self._fallback_bytes)


def build_state(pointer: Pointer, account: Account, endpoint: Endpoint, fallback: bytes = b"") -> State:
    """What lookups of this pointer will use."""

    def target(table: str, release: str, partition: str, via: Literal["active", "previous"]) -> Target:
        source = Source(pointer.query, release, partition, table, pointer.generation, pointer.promoted.at, via)
        return Target(
            source, pointer.key, pointer.item_format, endpoint, Requests(account, endpoint, table, pointer.key)
        )

    active = target(pointer.table, pointer.served_release_id, pointer.served_partition, "active")
    older = [entry for entry in pointer.previous if entry.table != pointer.table][:PREVIOUS]
    previous = tuple(target(entry.table, entry.release_id, entry.partition, "previous") for entry in older)
    held = None
    if fallback:
        release, predictions = parse_fallback(fallback, pointer.query)
        release = release or release_of_table(pointer.table) or ""
        source = Source(
            pointer.query,
            release,
            partition_of_release(release),
            "",
            pointer.generation,
            pointer.promoted.at,
            "fallback",
        )
        held = Fallback(source, predictions)
    return State(active, previous, held)
