"""Launch once: find each release's job, and start one only when there certainly is none.

Kumo has no idempotency key, so a job is found again by the tags of its launch. How a job is
waited for is in `client`, routes are in `dialects`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from kumo_assets.errors import KumoApiError
from kumo_assets.resources.kumo.dialects import Dialect
from kumo_assets.resources.kumo.errors import KumoJobFailed, KumoMalformed, KumoRefused, KumoUnreachable
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Launch, Notice
from kumo_assets.resources.kumo.wire import together

MOST_ATTEMPTS = 20
LAUNCH_TRIES = 3
# How long a launch whose answer was lost is looked for before it counts as not accepted. Whether tags are searchable
# at once is not public, so one look is not enough.
AMBIGUOUS_LOOKS_SECONDS = (1.0, 3.0, 6.0)
MOST_WAIT_SECONDS = 120.0
_LATEST = datetime.max.replace(tzinfo=UTC)
_log = logging.getLogger(__name__)


class Launcher:
    """The rules of launching over one dialect. Every failure is a KumoApiError."""

    def __init__(self, dialect: Dialect, sleep: Callable[[float], None]) -> None:
        self._dialect = dialect
        self._sleep = sleep

    def adopt_or_launch(
        self,
        identify: Callable[[int], Launch],
        make_launch: Callable[[int], Launch],
        believe: Callable[[int, KumoJob], bool],
        passed_over: Callable[[int, KumoJob | None], bool] = lambda attempt, job: False,
    ) -> tuple[int, KumoJob, bool]:
        """See KumoClient.adopt_or_launch."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            adopted, found = True, self._existing(identify(attempt))
            if passed_over(attempt, found):
                continue
            if found is None:
                self._dialect.check(identify(attempt))
                launch = make_launch(attempt)
                # Making it may take minutes (a snapshot is refreshed): time for a job that a dead worker's request
                # started, or that was not yet searchable, to show itself.
                found = self._existing(launch)
                if found is None:
                    adopted, found = False, self.launch(launch)
            if not adopted or found.status.live or (found.status is JobStatus.DONE and believe(attempt, found)):
                return attempt, found, adopted
        raise KumoJobFailed(
            "launch the batch prediction of",
            to=identify(1).query_id,
            found=f"{MOST_ATTEMPTS} attempts of this release have failed",
            next="look at them in Kumo, mend the cause, and build a new release",
        )

    def launch(self, launch: Launch) -> KumoJob:
        """Launch one job. When the answer is lost the job is looked for, with pauses, before asking again."""
        for number in range(LAUNCH_TRIES):
            try:
                job_id, warnings = self._dialect.launch(launch)
            except (KumoUnreachable, KumoMalformed) as error:
                found = self._look_for(launch, error)
                if found is not None:
                    return found
                if number == LAUNCH_TRIES - 1:
                    raise
                continue
            return self._started(launch, job_id, warnings)
        raise AssertionError("the loop returns or raises")

    def _look_for(self, launch: Launch, error: KumoUnreachable | KumoMalformed) -> KumoJob | None:
        """The job of a launch whose answer was lost, if it was accepted. One look when it certainly was not."""
        pauses: tuple[float, ...] = AMBIGUOUS_LOOKS_SECONDS
        if isinstance(error, KumoUnreachable) and not error.maybe_accepted:
            pauses = (min(error.retry_after or AMBIGUOUS_LOOKS_SECONDS[0], MOST_WAIT_SECONDS),)
        for seconds in pauses:
            self._sleep(seconds)
            found = self._existing(launch)
            if found is not None:
                return found
        return None

    def _started(self, launch: Launch, job_id: str, warnings: tuple[Notice, ...]) -> KumoJob:
        """The job that was just accepted, or an older one of the same release's attempt if there is one after all.

        Nothing that goes wrong here may lose the job: it runs.
        """
        job = KumoJob(
            job_id=job_id,
            status=JobStatus.NOT_STARTED,
            raw_status=JobStatus.NOT_STARTED.value,
            tags=dict(launch.tags),
            model_id=launch.training_job_id,
            snapshot_id=launch.graph_snapshot_id,
            output_tables=(launch.table,),
        )
        try:
            if warnings:
                self._dialect.remember(job_id, warnings)
            found = self._existing(launch)
            if found is not None and (found.job_id == job_id or _usable(found)):
                if found.job_id != job_id:
                    self._dialect.cancel(job_id)
                job = found
        except KumoApiError as error:
            _log.warning("Kumo job %s was launched, and could not be looked at: %s", job_id, error)
        return job if job.job_id != job_id else replace(job, warnings=together(warnings, job.warnings))

    def _existing(self, launch: Launch) -> KumoJob | None:
        """The one job of this launch: DONE before live before failed, and of equals the oldest.

        Two workers can each have started one (the first was taken for dead). Both choose the same, and the live ones
        beside it are cancelled, for all of them write to the same table.
        """
        jobs = sorted(self._dialect.find(launch), key=_precedence)
        for other in jobs[1:]:
            if other.status.live:
                _log.warning("Kumo job %s repeats %s; cancelling it", other.job_id, jobs[0].job_id)
                try:
                    self._dialect.cancel(other.job_id)
                except (KumoUnreachable, KumoMalformed, KumoRefused) as error:
                    _log.warning("Kumo job %s could not be cancelled: %s", other.job_id, error)
        return jobs[0] if jobs else None


def _usable(job: KumoJob) -> bool:
    return job.status.live or job.status is JobStatus.DONE


def _precedence(job: KumoJob) -> tuple[bool, bool, datetime, str]:
    return (job.status is not JobStatus.DONE, not job.status.live, job.created_at or _LATEST, job.job_id)
