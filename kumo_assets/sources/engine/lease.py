"""A lease: one small S3 object that says which process works on something, so that a second one does not start.

Taken and kept by compare-and-set. The holder writes it again every few seconds; one that was not written for a while is
of a dead process, and anybody may take it over. Ages are counted by S3's own clock.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from kumo_assets.documents import Document, utc_now
from kumo_assets.errors import ObjectStoreError, Refused
from kumo_assets.resources.s3_objects import ObjectStore

BEAT_SECONDS = 10.0
EXPIRES_SECONDS = 60.0


class Lease(Document):
    """Who holds the work, since when, and how often it has said that it lives. `holder` is empty once it was given up."""

    holder: str
    process: str = ""
    taken_at: str = ""
    beats: int = 0


class Held:
    """A lease that this process holds. `lost` is true once another process may have it."""

    def __init__(self, objects: ObjectStore, key: str, lease: Lease) -> None:
        self._objects, self._key, self._lease = objects, key, lease
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._written = time.monotonic()
        self._gone = False
        self._thread = threading.Thread(target=self._beat, name="kumo_assets-lease", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Somebody took it over, or it could not be written for so long that somebody may."""
        return self._gone or time.monotonic() - self._written > EXPIRES_SECONDS - BEAT_SECONDS

    def demand(self) -> None:
        """Refused when the lease is lost: what was computed under it must not be published."""
        if self.lost:
            raise Refused(
                "go on with",
                to=self._objects.uri(self._key),
                found="another process may have taken the lease over: it was not renewed in time",
                next="run this again: what the other process made is adopted",
            )

    def give_up(self) -> None:
        """Let the next one have it at once."""
        self._ended.set()
        self._thread.join()
        self._renew(Lease(query=self._lease.query, holder=""))

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS) and not self._gone:
            self._renew(self._lease.model_copy(update={"beats": self._lease.beats + 1}))

    def _renew(self, lease: Lease) -> None:
        begun = time.monotonic()
        try:
            stored = self._objects.get(self._key)
            ours = stored is not None and Lease.from_json(stored.data, self._key).holder == self._lease.holder
            if stored is None or not ours or not self._objects.replace(self._key, lease.to_json(), etag=stored.etag):
                self._gone = True
                return
        except ObjectStoreError:
            return  # `lost` says so if it lasts
        self._lease, self._written = lease, begun


@contextmanager
def held(
    objects: ObjectStore,
    key: str,
    query: str,
    *,
    progress: Callable[[str], object],
    sleep: Callable[[float], None] = time.sleep,
    expires: float = EXPIRES_SECONDS,
) -> Iterator[Held]:
    """Hold the lease while the block runs. While another process holds it, and lives, it is waited for."""
    ours = Lease(
        query=query,
        holder=secrets.token_hex(8),
        process=f"{os.getpid()}@{socket.gethostname()}",
        taken_at=utc_now(),
    )
    while not _taken(objects, key, ours, expires):
        stored = objects.get(key)
        other = Lease.from_json(stored.data, key).process if stored is not None else "another process"
        progress(f"{other} holds {objects.uri(key)} and lives; waiting for it")
        sleep(min(BEAT_SECONDS, expires))
    lease = Held(objects, key, ours)
    try:
        yield lease
    finally:
        lease.give_up()


def _taken(objects: ObjectStore, key: str, ours: Lease, expires: float) -> bool:
    stored = objects.get(key)
    if stored is None:
        return objects.create(key, ours.to_json())
    found = Lease.from_json(stored.data, key)
    if found.holder == ours.holder:
        return True  # written by a request whose answer was lost
    silent = objects.now(key) - stored.modified > timedelta(seconds=expires)
    return (not found.holder or silent) and objects.replace(key, ours.to_json(), etag=stored.etag)
