"""What a run's log says of something that is waited for: each change, and now and then that nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from kumo_assets.resources.waiting import EVERY_SECONDS

# Hours in a queue are fine, and are told this often, so that a log never looks dead.
SAY_AGAIN_SECONDS = EVERY_SECONDS


def changes(
    say: Callable[[str], object], again_seconds: float = SAY_AGAIN_SECONDS, clock: Callable[[], float] = time.monotonic
) -> Callable[[str], None]:
    """Takes the state at every poll and passes on those that are new, and after `again_seconds` the same once more: each
    is an event in Dagster's log, and an import that is polled for an hour would write hundreds. Time counts from the
    first state."""
    last = ""
    started: float | None = None
    said = 0.0

    def tell(words: str) -> None:
        nonlocal last, started, said
        now = clock()
        started = now if started is None else started
        if words != last or now - said >= again_seconds:
            last, said = words, now
            minutes = (now - started) / 60
            say(f"{words} (waited for {minutes:.0f} min)" if minutes >= 1 else words)

    return tell
