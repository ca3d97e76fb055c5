"""A log that is never silent while something outside is waited for: each minute one line says for what, and for how long.

A call that hangs returns to nobody, so the lines come from a thread of their own. How long a wait may last is decided
where it is made.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], object]

EVERY_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Narrator:
    """A way to the log, called with each line, that says by itself what is waited for once it was silent for a while.

    A line that somebody else writes through it counts too: a wait that reports its own progress is not reported twice. Waits
    may be nested; the innermost is reported.
    """

    def __init__(self, say: Say, every_seconds: float | None = None) -> None:
        self._say = say
        self._every = EVERY_SECONDS if every_seconds is None else every_seconds
        self._waits: list[tuple[str, float]] = []
        self._said = time.monotonic()

    def __call__(self, line: str) -> None:
        self._said = time.monotonic()
        self._say(line)

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """While the block runs: "Waiting for <what> (3 min)" whenever nothing was said for a minute."""
        started = self._said = time.monotonic()
        self._waits.append((what, started))
        ended = threading.Event()
        outermost = len(self._waits) == 1
        if outermost:
            threading.Thread(target=self._tell, args=(ended,), name="kumo_assets-waiting", daemon=True).start()
        try:
            yield
        finally:
            self._waits.pop()
            if outermost:
                ended.set()

    def _tell(self, ended: threading.Event) -> None:
        while not ended.wait(max(self._said + self._every - time.monotonic(), 0.01)):
            now = time.monotonic()
            if now - self._said < self._every or not self._waits:
                continue
            what, started = self._waits[-1]
            try:
                self(f"Waiting for {what} ({_lasted(now - started)})")
            except Exception as error:  # noqa: BLE001 - a log that cannot be written must not end the wait it reports
                _log.warning("Could not say that %s is waited for: %s", what, error)


def _lasted(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
