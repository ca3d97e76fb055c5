"""The last known good pointer on this machine's disk, so that a service can start while S3 or ZooKeeper is down.

One small file for each (store, query), replaced whole. It is a convenience: a disk that cannot be written costs a log
line, never a lookup. Whether the bytes are a pointer is decided by whoever loads them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path

import msgspec

log = logging.getLogger("kumo_serving")

# How often the file's time is moved forward while the pointer stays the same.
TOUCH_SECONDS = 30.0


class Known(msgspec.Struct, frozen=True):
    """A pointer's bytes, its release's fallback list ("" when none was read), and how old the knowledge is."""

    pointer: bytes
    fallback: bytes
    age_seconds: float


def default_directory() -> Path | None:
    """`$KUMO_SERVING_CACHE`, else kumo_serving under `$XDG_CACHE_HOME` or `~/.cache`. None when there is no home.

    Never a shared temporary directory: whoever can write the file chooses the table.
    """
    given = os.environ.get("KUMO_SERVING_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "kumo_serving"
    home = os.path.expanduser("~")
    return Path(home) / ".cache" / "kumo_serving" if os.path.isabs(home) else None


class LastKnown:
    """The file of one query and one store."""

    def __init__(self, directory: Path | None, uri: str, query: str) -> None:
        self.path: Path | None = None
        if directory is not None:
            self.path = directory / f"{query}-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.json"
        self._uri = uri
        self._touched = 0.0
        self._told = False

    def load(self) -> Known | None:
        """What was saved, None when nothing usable was."""
        if self.path is None:
            return None
        try:
            document = json.loads(self.path.read_bytes())
            age = max(0.0, time.time() - self.path.stat().st_mtime)
            if document["schema_version"] != 1 or document["uri"] != self._uri:
                return None
            return Known(document["pointer"].encode(), document["fallback"].encode(), age)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("ignored the last known pointer in %s: %s: %s", self.path, type(error).__name__, error)
            return None

    def save(self, pointer: bytes, fallback: bytes) -> None:
        """Replace the file, whole or not at all (a crash leaves the old one)."""
        if self.path is None:
            return
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            document = {
                "schema_version": 1,
                "uri": self._uri,
                "pointer": pointer.decode(),
                "fallback": fallback.decode(),
            }
            part.write_text(json.dumps(document), encoding="utf-8")
            os.replace(part, self.path)
            self._touched = time.monotonic()
        except (OSError, ValueError) as error:
            self._complain(error)

    def confirm(self) -> None:
        """The pointer is still current: keep the file's age honest, without writing each second."""
        if self.path is None or time.monotonic() - self._touched < TOUCH_SECONDS:
            return
        self._touched = time.monotonic()
        try:
            os.utime(self.path)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            log.warning("cannot keep the last known pointer in %s: %s (said once)", self.path, error)
