"""Sessions with ZooKeeper: how one is opened, and one for all that a process reads, however many pointers that are.

A session costs the ensemble a transaction to open and one to close, and a heartbeat in between. What is read and written
through it is in `zookeeper`. kazoo is imported only when a query wants it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Any

from kumo_assets.pointers.store import read_failed

SECONDS = 10.0
RECONNECT_SECONDS = 2.0
# So long nobody tries an ensemble again that has just not answered: a hundred queries would wait for it one by one.
FAILED_SECONDS = 5.0
AUTH = "KUMO_ASSETS_ZOOKEEPER_AUTH"
# kazoo logs each request at DEBUG, and one of them is the password.
_log = logging.getLogger("kumo_assets.zookeeper")
_log.setLevel(logging.WARNING)


def open_session(hosts: str, uri: str) -> Any:
    """A started client; kazoo opens a session anew when it is lost. ReleaseError, about the pointer `uri`, when ZooKeeper
    does not answer."""
    from kazoo.client import KazooClient
    from kazoo.handlers.threading import KazooTimeoutError

    auth = os.environ.get(AUTH)
    client = KazooClient(
        hosts=hosts,
        timeout=SECONDS,
        auth_data=[("digest", auth)] if auth else None,
        # kazoo's own pauses between two tries to reconnect double up to an hour (kazoo.retry.KazooRetry).
        connection_retry={"max_tries": -1, "max_delay": RECONNECT_SECONDS},
        logger=_log,
    )
    try:
        client.start(timeout=SECONDS)
    except (KazooTimeoutError, OSError) as error:
        client.stop()
        client.close()
        raise read_failed(uri, error) from error
    return client


class ZooKeeperSessions:
    """One session for each ensemble, opened when it is first wanted, for stores that are made and closed one after another.
    Threads may share it."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._open: dict[tuple[str, str], Any] = {}
        self._failed: dict[tuple[str, str], tuple[float, Exception]] = {}
        # With the code location that a reload replaces, its sessions end.
        weakref.finalize(self, _end_all, self._open)

    def of(self, hosts: str, uri: str) -> Any:
        """The session with the ensemble. ReleaseError when it does not answer, or did not a moment ago."""
        place = (hosts, os.environ.get(AUTH, ""))
        with self._making:
            if place in self._open:
                return self._open[place]
            at, error = self._failed.get(place, (0.0, None))
            if error is not None and time.monotonic() - at < FAILED_SECONDS:
                raise read_failed(uri, error) from error
            try:
                made = self._open[place] = open_session(hosts, uri)
            except Exception as failure:
                self._failed[place] = time.monotonic(), failure
                raise
            self._failed.pop(place, None)
            return made

    def close(self) -> None:
        """End all of them."""
        with self._making:
            _end_all(self._open)


def _end_all(clients: dict[tuple[str, str], Any]) -> None:
    for client in clients.values():
        client.stop()
        client.close()
    clients.clear()
