"""What a run's log says of something that is waited for: each change, and now and then that nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from kumo_assets.resources.kumo.model import KumoJob, Progress

# Hours in a queue are fine, and are told this often, so that a log never looks dead.
SAY_AGAIN_SECONDS = 600.0


def changes(
    say: Callable[[str], object], again_seconds: float = SAY_AGAIN_SECONDS, clock: Callable[[], float] = time.monotonic
) -> Callable[[str], None]:
    """Takes words at every poll and passes on those that are new, and after `again_seconds` the same once more: each is
    an event in Dagster's log, and an import that is polled for an hour would write hundreds."""
    last = ""
    started = said = clock()

    def tell(words: str) -> None:
        nonlocal last, said
        now = clock()
        if words != last or now - said >= again_seconds:
            last, said = words, now
            minutes = (now - started) / 60
            say(f"{words} (waited for {minutes:.0f} min)" if minutes >= 1 else words)

    return tell


def of_job(say: Callable[[str], object], what: str, unit: str = "") -> Callable[[KumoJob, Progress | None], None]:
    """Status, stage and how much is done of a Kumo job, at each change, and where to look at it."""
    tell = changes(say)

    def on_progress(job: KumoJob, progress: Progress | None) -> None:
        stage = job.events[-1].stage if job.events else ""
        done = f" {progress.completed}/{progress.total}{unit}" if progress and progress.total else ""
        parts = (f"{what} {job.job_id}: {job.raw_status}", f"{stage}{done}".strip(), job.tracking_url)
        tell(" ".join(part for part in parts if part))

    return on_progress
