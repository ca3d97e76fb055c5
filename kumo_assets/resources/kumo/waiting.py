"""Waiting for one job, prediction or training, to its end, and ending it when it must be: the judgement of a poll.

How often and how long is in `polling`, what is asked in `dialects` and `training`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from kumo_assets.errors import KumoApiError
from kumo_assets.resources.kumo.errors import (
    KumoJobCancelled,
    KumoJobFailed,
    KumoJobTimedOut,
    KumoJobUnusable,
    KumoMalformed,
    KumoUnreachable,
)
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, PollPolicy, Progress
from kumo_assets.resources.kumo.polling import readings
from kumo_assets.resources.kumo.wire import together

OnProgress = Callable[[KumoJob, Progress | None], None]
# Given the error of a poll that Kumo did not answer and that is ridden out.
OnSilence = Callable[[KumoApiError], object]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Routes:
    """What can be asked about one kind of job; `doing` begins its errors."""

    get: Callable[[str], KumoJob]
    progress: Callable[[str], Progress | None]
    cancel: Callable[[str], bool]
    doing: str


def wait_for(
    routes: Routes,
    job: KumoJob | str,
    policy: PollPolicy,
    sleep: Callable[[float], None],
    on_progress: OnProgress,
    should_cancel: Callable[[], bool],
    on_silence: OnSilence = lambda error: None,
) -> KumoJob:
    """See KumoClient.wait."""

    def get() -> KumoJob:
        try:
            return routes.get(job_id)
        except (KumoUnreachable, KumoMalformed) as error:
            on_silence(error)
            raise

    job_id = job if isinstance(job, str) else job.job_id
    launch_warnings = () if isinstance(job, str) else job.warnings
    last: KumoJob | None = None
    for reading in readings(get, policy, sleep):
        last = replace(reading, warnings=together(launch_warnings, reading.warnings))
        on_progress(last, routes.progress(job_id) if last.status is JobStatus.RUNNING else None)
        if not last.status.live:
            return _ended(routes, last)
        if should_cancel():
            found, final = end_job(routes, job_id, policy, sleep)
            raise KumoJobCancelled(
                routes.doing,
                to=job_id,
                found=f"it was cancelled on request and {found}",
                next=_next(final),
            )
    found, final = end_job(routes, job_id, policy, sleep)
    was = "never answered for" if last is None else last.raw_status
    raise KumoJobTimedOut(
        "wait for Kumo job",
        to=job_id,
        found=f"its deadline of {policy.deadline_seconds / 60:g} minutes passed while it was {was}; "
        f"it was cancelled and {found}",
        next=_next(final)
        if final is not None and final.status is JobStatus.DONE
        else "raise the deadline (source.kumo.poll.deadline_minutes), or look at the job in Kumo",
    )


def end_job(
    routes: Routes, job_id: str, policy: PollPolicy, sleep: Callable[[float], None]
) -> tuple[str, KumoJob | None]:
    """Ask for an end and poll to it: what became of the job, in words, and its last reading. Never raises."""
    try:
        accepted = routes.cancel(job_id)
        asked = "" if accepted else " (Kumo did not accept the cancellation)"
        last: KumoJob | None = None
        for last in readings(lambda: routes.get(job_id), policy, sleep, policy.cancel_seconds):
            if not last.status.live:
                break
    except KumoApiError as error:
        # The caller is told of its deadline or cancellation; this only adds how far ending the job came.
        return f"what became of it is not known: {error}", None
    if last is None:
        return f"Kumo did not answer what became of it{asked}", None
    if last.status is JobStatus.DONE:
        return f"ended DONE all the same{asked}", last
    return f"is now {last.raw_status}{asked}", last


def _next(final: KumoJob | None) -> str:
    if final is not None and final.status is JobStatus.DONE:
        return "re-execute the run: it adopts the finished job"
    return "re-execute the run to start the next attempt"


def _ended(routes: Routes, job: KumoJob) -> KumoJob:
    """The job when it is DONE; the right exception otherwise, with all that Kumo said."""
    if job.status is JobStatus.DONE:
        return job
    said = "; ".join(map(str, job.errors))
    if not said and job.events:
        said = f"no reason given; its last stage was {job.events[-1].stage} {job.events[-1].detail}".rstrip()
    kind: type[KumoApiError] = KumoJobFailed
    if job.status.unusable:
        kind = KumoJobUnusable
        # It never ends by itself, and the next attempt must not run beside it.
        try:
            routes.cancel(job.job_id)
        except KumoApiError as error:
            _log.warning("Kumo job %s is %s and could not be cancelled: %s", job.job_id, job.raw_status, error)
    raise kind(
        routes.doing,
        to=job.job_id,
        found=f"it ended {job.raw_status}: {said or 'Kumo gave no reason'}",
        next=f"look at {job.tracking_url or 'the job in Kumo'}; a re-run of the same release starts the next attempt",
    )
