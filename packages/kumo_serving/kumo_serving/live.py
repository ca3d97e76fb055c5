"""What a reader believes now: the pointer it follows, since when, and which tables it just found gone.

Written by the refresh thread alone, read by every lookup without a lock (each attribute is replaced whole). How it
comes to be known is in `refresh`.
"""

from __future__ import annotations

import logging
import time
from typing import Literal

from kumo_serving.answers import Health
from kumo_serving.errors import NotServed, PointerError
from kumo_serving.metrics import Guarded, PointerSeen
from kumo_serving.outcomes import View
from kumo_serving.pointer import Pointer
from kumo_serving.state import STAGED, State

log = logging.getLogger("kumo_serving")

# For so long after a table was found gone, lookups go to the next one at once instead of asking it again.
GONE_SECONDS = 1.0

HealthState = Literal["fresh", "stale", "from_disk", "no_pointer", "closed"]


class Live:
    """The `core.View` of a reader with a pointer."""

    def __init__(self, query: str, stale_after_seconds: float, metrics: Guarded) -> None:
        self.query = query
        self.pointer: Pointer | None = None
        self.current: State | None = None
        self.last_error = ""
        self.account_error = ""
        self.from_disk = False
        self.closed = False
        self._stale_after = stale_after_seconds
        self._metrics = metrics
        self._confirmed_at = 0.0
        self._gone: dict[str, float] = {}

    # -- read by lookups

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

    def of(self, release: str | None) -> View:
        """What a lookup sees that names a release; this itself for None, the usual case."""
        return self if release is None else OfRelease(self, release)

    def age(self) -> float:
        """Seconds since the pointer was last seen to be current."""
        return time.monotonic() - self._confirmed_at

    def is_gone(self, table: str) -> bool:
        """True for a moment after `mark_gone`."""
        return bool(self._gone) and self._gone.get(table, 0.0) > time.monotonic()

    def mark_gone(self, table: str) -> None:
        """Remember it, so that a thousand lookups a second do not each find it out again."""
        now = time.monotonic()
        kept = {name: until for name, until in self._gone.items() if until > now}
        self._gone = {**kept, table: now + GONE_SECONDS}

    def retried(self, reason: str) -> None:
        """An attempt failed and is made again."""
        self._metrics.retry(reason)

    def health(self) -> Health:
        """Without any I/O."""
        pointer, current = self.pointer, self.current
        state = self._health_state()
        return Health(
            ok=state not in ("closed", "no_pointer"),
            state=state,
            query=self.query,
            release_id=pointer.served_release_id if pointer else "",
            partition=pointer.served_partition if pointer else "",
            table=pointer.table if pointer else "",
            generation=pointer.generation if pointer else 0,
            pointer_age_seconds=self.age() if current is not None else None,
            last_error=self.last_error or self.account_error,
        )

    def _health_state(self) -> HealthState:
        if self.closed:
            return "closed"
        if self.current is None:
            return "no_pointer"
        if self.from_disk:
            return "from_disk"
        return "stale" if self.age() > self._stale_after else "fresh"

    # -- written by the refresh thread

    def follow(self, pointer: Pointer, state: State) -> None:
        """From now on lookups use this."""
        before = self.pointer
        self.pointer, self.current = pointer, state
        if before is None or before.table != pointer.table:
            release = pointer.served_release_id or "unknown"
            log.info(
                "%s is served from %s (release %s, generation %s)",
                self.query,
                pointer.table,
                release,
                pointer.generation,
            )

    def confirmed(self, outcome: Literal["new", "unchanged", "from_disk"], age_seconds: float = 0.0) -> None:
        """What is followed was current so long ago."""
        self._confirmed_at = time.monotonic() - age_seconds
        self.from_disk = outcome == "from_disk"
        if not self.from_disk:
            self.last_error = ""
        self.seen(outcome)

    def failed(self, outcome: Literal["missing", "malformed", "failed"], error: Exception) -> None:
        """The last known good stays; said once in the log, each time in the metrics."""
        text = str(error) or type(error).__name__
        if text != self.last_error:
            log.warning("%s%s", text, " Still serving the last known good." if self.current is not None else "")
        self.last_error = text
        self.seen(outcome)

    def account(self, error: Exception | None) -> None:
        """What is wrong with credentials or addresses, if anything: said once in the log, and kept for `health`."""
        text = (str(error) or type(error).__name__) if error is not None else ""
        if text and text != self.account_error:
            log.warning("%s", text)
        self.account_error = text

    def seen(self, outcome: Literal["new", "unchanged", "missing", "malformed", "failed", "from_disk"]) -> None:
        """One read of the pointer, for the metrics."""
        release = self.pointer.served_release_id if self.pointer else ""
        self._metrics.pointer(PointerSeen(outcome, release, self.age() if self.current is not None else 0.0))


class OfRelease:
    """The `core.View` of one lookup that names its release: the same reader's, with that release's table alone."""

    def __init__(self, live: Live, release: str) -> None:
        self._live = live
        self._release = release

    def state(self) -> State:
        """Raises NotServed for a release that the newest pointer does not name."""
        state = self._live.state()
        found = state.of_release(self._release)
        if found is None:
            known = ", ".join(dict.fromkeys(one.source.release_id for one in state.named()))
            raise NotServed(
                "look up",
                to=f"in release {self._release!r:.80} of {self._live.query}",
                found="nothing is staged" if self._release == STAGED else f"the pointer names {known or 'none'}",
                next="name the active release, a previous one, or the staged one; `kumo-assets status` lists them",
            )
        return found

    def age(self) -> float:
        return self._live.age()

    def is_gone(self, table: str) -> bool:
        return self._live.is_gone(table)

    def mark_gone(self, table: str) -> None:
        self._live.mark_gone(table)

    def retried(self, reason: str) -> None:
        self._live.retried(reason)
