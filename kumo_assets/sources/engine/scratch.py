"""Local folders that the Engine works in: one a run, removed when it ends, and by the next run when it could not be."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "KUMO_ENGINE_SCRATCH"
LOCK = "lock"
# A folder this young may be one whose process has not locked it yet.
YOUNG_SECONDS = 60.0


def root() -> Path:
    """Where the folders are: KUMO_ENGINE_SCRATCH, by default a folder of this user's in the system's temporary one."""
    chosen = os.environ.get(VARIABLE, "").strip()
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"kumo-engine-{os.getuid()}"


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A new folder, only this user's, that is removed at the end. First, those that dead processes left are removed."""
    base = root()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(base)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    with (folder / LOCK).open("w") as lock:
        # The kernel gives the lock up when this process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def prune(base: Path, young_seconds: float = YOUNG_SECONDS) -> list[str]:
    """Remove the folders whose process is gone; their names."""
    removed = []
    for folder in base.iterdir():
        try:
            if time.time() - folder.stat().st_ctime < young_seconds:
                continue
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
        except OSError:
            continue  # in use, made this moment, or somebody else's
    return removed
