"""The emulator's memory: JSON documents by kind and id in one SQLite file, so that jobs survive a stop and a SIGKILL.

What the documents mean is known to `jobs.py`, `queries.py` and `faults.py`; here they are only kept.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Store:
    """Documents of one emulator. Thread safe; one process at a time owns the file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "kumo.sqlite3"
        self._lock = threading.RLock()
        self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        # WAL with synchronous=NORMAL loses nothing when the process is killed (only when the machine loses power).
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS doc (kind TEXT, id TEXT, created REAL, body TEXT, PRIMARY KEY (kind, id))"
        )

    def get(self, kind: str, key: str) -> Document | None:
        with self._lock:
            row = self._db.execute("SELECT body FROM doc WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM doc WHERE kind = ? ORDER BY created, rowid", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def put(self, kind: str, key: str, body: Document) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO doc VALUES (?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, key, time.time(), json.dumps(body)),
            )

    def update(self, kind: str, key: str, change: Callable[[Document], None]) -> Document | None:
        """Read, change in place and write back as one step; None when there is no such document."""
        with self._lock:
            body = self.get(kind, key)
            if body is None:
                return None
            change(body)
            self.put(kind, key, body)
            return body

    def delete(self, kind: str, key: str | None = None) -> int:
        """Remove one document, or all of a kind; how many were there."""
        with self._lock:
            if key is None:
                return self._db.execute("DELETE FROM doc WHERE kind = ?", (kind,)).rowcount
            return self._db.execute("DELETE FROM doc WHERE kind = ? AND id = ?", (kind, key)).rowcount

    def close(self) -> None:
        with self._lock:
            self._db.close()
