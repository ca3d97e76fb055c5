"""The background thread that keeps a reader's pointer, credentials and addresses current.

One thread for each reader: it reads the store (jittered, or when its watch fires) and swaps in a new state as a whole.
What it cannot read or must not follow leaves the last known good in place, with a metric and a log line. Lookups never
wait for it, except for one bounded moment when a table is found gone.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from kumo_serving.aws import Account, Endpoint
from kumo_serving.errors import ItemMalformed, PointerError, PointerMalformed, PointerMissing
from kumo_serving.fallback import fallback_address, parse_fallback, read_fallback
from kumo_serving.lastknown import LastKnown
from kumo_serving.live import Live
from kumo_serving.pointer import Pointer, parse_pointer
from kumo_serving.pointer_stores import PointerStore
from kumo_serving.polling import polled
from kumo_serving.state import build_state

log = logging.getLogger("kumo_serving")

JITTER = 0.2
# While the store fails, reads slow down to this many times the usual pace.
SLOWEST = 5.0
# The slowest pace: a wait takes no infinity.
SLOWEST_SECONDS = 3600.0
# A fallback list that could not be read is tried again after so long, then twice as long, up to the second figure: each
# try at an S3 that is down keeps this thread from a watch that fires.
FALLBACK_SECONDS, SLOWEST_FALLBACK_SECONDS = 1.0, 60.0
# A whole fleet follows a promotion at one moment, and then each reads the new list some time within so many seconds: no
# herd at S3, and on a machine of many readers the swap of one does not wait for the list of another.
FALLBACK_SPREAD_SECONDS = 1.0


class Refresher:
    """Keeps `live` current. `seconds` None means the store's own pace (`pace`)."""

    def __init__(
        self,
        live: Live,
        store: PointerStore,
        account: Account,
        *,
        environment: str | None,
        region: str | None,
        seconds: float | None,
        cache_dir: Path | None,
    ) -> None:
        self._live = live
        self._store = store
        self._account = account
        self._environment = environment
        self._region = region
        self._seconds = seconds
        self._lastknown = LastKnown(cache_dir, store.uri, live.query)
        self._version: str | None = None
        self._rejected = False
        self._bytes = b""
        self._fallback_bytes = b""
        self._fallback_due, self._fallback_pause = 0.0, FALLBACK_SECONDS
        self._renew()

    def _renew(self) -> None:
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._waiters: list[Future[None]] = []
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """In a forked child: threads are gone, and any lock may be held by one of them, so all is made anew."""
        self._account.reset()
        self._renew()

    def ensure_running(self) -> None:
        """Start the thread if it is not there (first use, or first use after a fork)."""
        if self._thread is None and not self._live.closed:
            with self._lock:
                if self._thread is None:
                    if hasattr(self._store, "poll_seconds_of_many"):
                        polled.begin(self, self._store.uri)
                    self._store.watch(self._wake.set)
                    self._thread = threading.Thread(
                        target=self._run, args=(self._wake,), name=f"kumo-pointer-{self._live.query}", daemon=True
                    )
                    self._thread.start()

    def refresh(self) -> Future[None]:
        """Have the pointer read once more from now; the future is done after that, whatever came of it."""
        self.ensure_running()
        done: Future[None] = Future()
        with self._lock:  # with the wake, so that the thread never takes the waiter and then wakes again for it
            self._waiters.append(done)
            self._wake.set()
        if self._live.closed:
            self._release(self._take_waiters())
        return done

    def close(self, timeout: float = 2.0) -> None:
        """End the thread and give back the store's connections."""
        self._live.closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        polled.end(self)
        self._store.close()
        self._release(self._take_waiters())

    def _run(self, wake: threading.Event) -> None:
        failures = 0
        self._keep_account()
        if self._live.current is None:
            self._guarded(self._from_last_known)
        while wake is self._wake:
            waiting = self._take_waiters(wake)
            if self._live.closed:  # looked at after the wake was cleared: close() sets the one, then the other
                self._release(waiting)
                return
            starting = self._live.current is None
            failures = 0 if self._guarded(self._once) else failures + 1
            if starting:  # a service that starts waits for the list too
                self._guarded(self._keep_fallback)
            self._release(waiting)
            # Only now: neither a slow list, role nor resolver may hold up a swap, or a lookup that waits for one.
            self._guarded(self._keep_fallback)
            self._keep_account()
            pace = self.pace() * min(SLOWEST, 1.0 + failures / 2)
            wake.wait(min(pace * random.uniform(1 - JITTER, 1 + JITTER), self._until_fallback()))

    def pace(self) -> float:
        """Seconds between two reads: as was asked for, else the store's own."""
        if self._seconds is not None:
            return min(self._seconds, SLOWEST_SECONDS)
        of_many: float | None = getattr(self._store, "poll_seconds_of_many", None)
        return of_many if of_many is not None and polled.several() else self._store.poll_seconds

    def _guarded(self, work: Any) -> bool:
        try:
            return bool(work())
        # Whatever a store or a driver raises, this thread must live and the last known good stay.
        except Exception as error:  # noqa: BLE001
            self._live.failed("failed", error)
            return False

    def _keep_account(self) -> None:
        """Credentials and addresses. In trouble the store may be readable all the same, and those held still good."""
        try:
            self._account.refresh()
        except Exception as error:  # noqa: BLE001 - a credential process of the company's own may raise anything
            self._live.account(error)
        else:
            self._live.account(None)

    def _take_waiters(self, wake: threading.Event | None = None) -> list[Future[None]]:
        with self._lock:
            if wake is not None:
                wake.clear()
            waiting, self._waiters = self._waiters, []
        return waiting

    def _release(self, waiting: list[Future[None]]) -> None:
        for future in waiting:
            # An asyncio waiter that gave up has cancelled its future.
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _once(self) -> bool:
        """One round. True when the store was reached."""
        try:
            read = self._store.read(self._version)
        except PointerMissing as error:
            self._live.failed("missing", error)
            return False
        except PointerError as error:
            self._live.failed("failed", error)
            return False
        if read is None and self._rejected:
            self._live.seen("malformed")
        elif read is None or (read.data == self._bytes and self._live.current is not None):
            self._version, self._rejected = (read.version if read is not None else self._version), False
            self._live.confirmed("unchanged")
            self._lastknown.confirm()
        else:
            self._changed(read.data, read.version)
        return True

    def _changed(self, data: bytes, version: str) -> None:
        try:
            pointer = parse_pointer(data, self._live.query, self._environment)
        except PointerMalformed as error:
            # Remember its version, so as not to fetch the same bad document each second.
            self._version, self._rejected = version, True
            self._live.failed("malformed", error)
            return
        starting = self._live.current is None
        self._follow(pointer, b"")
        self._version, self._rejected, self._bytes = version, False, data
        self._live.confirmed("new")
        self._lastknown.save(data, b"")
        self._fallback_due = time.monotonic() + (0.0 if starting else random.uniform(0, FALLBACK_SPREAD_SECONDS))
        self._fallback_pause = FALLBACK_SECONDS

    def _follow(self, pointer: Pointer, fallback: bytes) -> None:
        endpoint = self._account.endpoint(self._region or pointer.region)
        state = build_state(pointer, self._account, endpoint, fallback, self._beside(pointer))
        before = self._live.current
        if not fallback and pointer.served_fallback and before is not None:
            # Until the new list is read, the one at hand, under its own release's name, is better than none.
            state = msgspec.structs.replace(state, fallback=before.fallback)
        self._live.follow(pointer, state)
        self._fallback_bytes = fallback

    def _beside(self, pointer: Pointer) -> Endpoint | None:
        """The endpoint of the staged release's region. None when there is none, and when it cannot be had: what is live
        is followed all the same."""
        if pointer.staged is None:
            return None
        try:
            return self._account.endpoint(self._region or pointer.staged.region or pointer.region)
        except Exception as error:  # noqa: BLE001 - a resolver or a credential process may raise anything
            log.warning("The staged release of %s cannot be asked: %s", pointer.query, error)
            return None

    def _from_last_known(self) -> bool:
        known = self._lastknown.load()
        if known is not None:
            pointer = parse_pointer(known.pointer, self._live.query, self._environment)
            self._follow(pointer, known.fallback)
            self._bytes = known.pointer
            self._live.confirmed("from_disk", known.age_seconds)
        return True

    def _read_fallback(self, pointer: Pointer) -> bytes:
        uri = pointer.served_fallback
        if not uri:
            return b""
        try:
            shared = self._account.shared
            client = shared.take_s3(fallback_address(uri), pointer.region)
            try:
                data = read_fallback(client, uri)
            finally:
                shared.give_s3(client)
            parse_fallback(data, self._live.query)
            return data
        except (PointerError, ItemMalformed) as error:
            log.warning("%s Lookups go on without it, or with the one before.", error)
            return b""

    def _until_fallback(self) -> float:
        """Seconds until the release's list is to be read; infinite when it is there, or the release has none."""
        pointer = self._live.pointer
        if pointer is None or not pointer.served_fallback or self._fallback_bytes:
            return math.inf
        return max(0.0, self._fallback_due - time.monotonic())

    def _keep_fallback(self) -> None:
        """Read the release's list while it is missing, ever more rarely."""
        pointer = self._live.pointer
        if pointer is None or self._until_fallback() > 0:
            return
        self._fallback_due = time.monotonic() + self._fallback_pause
        self._fallback_pause = min(2 * self._fallback_pause, SLOWEST_FALLBACK_SECONDS)
        fallback = self._read_fallback(pointer)
        if fallback:
            self._follow(pointer, fallback)
            self._lastknown.save(self._bytes, fallback)
