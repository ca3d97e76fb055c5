"""The client: find or launch each release's job exactly once, wait for it to an end, never believe silence.

HTTP is in `transport`, routes in `dialects`; whether the table bears a job out is in `output`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from kumo_assets.errors import KumoApiError
from kumo_assets.resources.kumo.dialects import Dialect, PqueryDialect, SdkDialect
from kumo_assets.resources.kumo.errors import (
    KumoJobFailed,
    KumoJobTimedOut,
    KumoJobUnusable,
    KumoMalformed,
    KumoRefused,
    KumoUnreachable,
)
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Launch, Notice, PollPolicy, Progress, TrainedModel
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import mapping, model_of, status_of, text

MOST_ATTEMPTS = 20
# How long a launch whose answer was lost is looked for before it counts as not accepted. Whether tags are searchable
# at once is not public, so one look is not enough.
AMBIGUOUS_LOOKS_SECONDS = (1.0, 3.0, 6.0)
# How long a cancelled job is waited for. Cancelling is best effort and asynchronous.
CANCEL_SECONDS = 600.0

OnProgress = Callable[[KumoJob, Progress | None], None]


class KumoClient:
    """Batch prediction, training and snapshots of one tenant. Every failure is a KumoApiError."""

    def __init__(self, http: Transport, dialect: str = "sdk", *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._http = http
        self._dialect: Dialect = SdkDialect(http) if dialect == "sdk" else PqueryDialect(http)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def needs_model(self) -> bool:
        """True in the dialect whose launches name a training job."""
        return self._dialect.needs_model

    @property
    def calls(self) -> dict[str, int]:
        """Requests sent so far, by method."""
        return dict(self._http.calls)

    # ---- what is there

    def probe(self) -> None:
        """KumoUnauthorized or KumoUnreachable when this client cannot work. The vendor's own probe (`authenticate`)."""
        if isinstance(self._dialect, SdkDialect):
            self._http.get("/v1/connectors")

    def connectors(self) -> list[dict[str, Any]]:
        """Configurations of the tenant's connectors."""
        found = self._http.get("/v1/connectors")
        items = found if isinstance(found, list) else mapping(found, "the connectors").get("connectors", [])
        return [dict(mapping(item, "a connector").get("config") or item) for item in items]

    def newest_model(self, query_id: str) -> TrainedModel:
        """The newest DONE training job of a query, sorted here: the order of Kumo's list is not documented.

        Raises KumoRefused when there is none.
        """
        found = self._http.get("/v1/training_jobs", pquery_id=query_id, job_status="DONE", limit="100")
        if not isinstance(found, list):
            raise KumoMalformed("read Kumo's training jobs", found=repr(found)[:200], next="check KUMO_API_URL")
        done = [item for item in found if _done(item)]
        models = [
            model for model in map(model_of, done) if model.query_id in ("", query_id) or not _looks_like_id(query_id)
        ]
        if not models:
            raise KumoRefused(
                "find a trained model of",
                to=query_id,
                found="it has no training job that ended DONE",
                next="train the query in Kumo first, or correct predictive_query_id",
            )
        return max(models, key=lambda model: model.created_at or datetime.min.replace(tzinfo=UTC))

    def refresh_snapshot(self, graph_id: str, policy: PollPolicy) -> str:
        """Ingest the newest raw logs into a new snapshot of the graph; its id once every stage is DONE.

        Raises KumoJobFailed naming the stage, KumoJobTimedOut at the policy's deadline.
        """
        made = self._http.post("/v1/graphsnapshots", graph_id=graph_id, refresh_source="true")
        snapshot = text(mapping(made, "a graph snapshot"), "id")
        for _ in _pace(policy, self._sleep):
            body = mapping(self._http.get(f"/v1/graphsnapshots/{quote(snapshot, safe='')}"), "a graph snapshot")
            stages = body.get("stages")
            states = {
                str(name): stage
                for name, stage in (stages.items() if isinstance(stages, dict) else ())
                if isinstance(stage, dict)
            }
            for name, stage in states.items():
                if status_of(stage.get("status"))[0] in (JobStatus.FAILED, JobStatus.CANCELLED):
                    raise KumoJobFailed(
                        "refresh the snapshot of graph",
                        to=graph_id,
                        found=f"stage {name} ended {stage.get('status')}: {stage.get('error') or 'no reason given'}",
                        next="look at the graph in Kumo; nothing was launched",
                    )
            if states and all(status_of(stage.get("status"))[0] is JobStatus.DONE for stage in states.values()):
                return snapshot
        raise KumoJobTimedOut(
            "refresh the snapshot of graph", to=graph_id, found="the deadline passed", next="look at the graph in Kumo"
        )

    # ---- launch once

    def adopt_or_launch(
        self, identify: Callable[[int], Launch], make_launch: Callable[[int], Launch]
    ) -> tuple[int, KumoJob, bool]:
        """(attempt, job, adopted): the release's live or DONE job, else a new one.

        `identify(attempt)` names an attempt cheaply (tags, table); `make_launch(attempt)` may do work, and is called
        only when there is nothing to adopt. A job that failed opens the next attempt under a new table name (rule 2).
        """
        for attempt in range(1, MOST_ATTEMPTS + 1):
            found = self._newest(self._dialect.find(identify(attempt)))
            if found is None:
                return attempt, self.launch(make_launch(attempt)), False
            if found.status.live or found.status is JobStatus.DONE:
                return attempt, found, True
        raise KumoJobFailed(
            "launch the batch prediction of",
            to=identify(1).query_id,
            found=f"{MOST_ATTEMPTS} attempts of this release have failed",
            next="look at them in Kumo, mend the cause, and build a new release",
        )

    def launch(self, launch: Launch) -> KumoJob:
        """Launch one job. When the answer is lost the job is looked for, with pauses, before asking a second time."""
        for last_try in (False, True):
            try:
                job_id, warnings = self._dialect.launch(launch)
            except (KumoUnreachable, KumoMalformed):
                found = self._look_for(launch)
                if found is not None:
                    return found
                if last_try:
                    raise
                continue
            return self._with_warnings(self.get(job_id), warnings)
        raise AssertionError("unreachable")

    def _look_for(self, launch: Launch) -> KumoJob | None:
        """The job of a launch whose answer was lost, if it was accepted."""
        for seconds in AMBIGUOUS_LOOKS_SECONDS:
            self._sleep(seconds)
            found = self._newest(self._dialect.find(launch))
            if found is not None:
                return found
        return None

    @staticmethod
    def _newest(jobs: list[KumoJob]) -> KumoJob | None:
        """Of several (there should be one), a live or DONE one before a failed one, then the newest."""
        epoch = datetime.min.replace(tzinfo=UTC)
        return max(
            jobs,
            key=lambda job: (job.status.live or job.status is JobStatus.DONE, job.created_at or epoch, job.job_id),
            default=None,
        )

    @staticmethod
    def _with_warnings(job: KumoJob, warnings: tuple[Notice, ...]) -> KumoJob:
        """The launch's own warnings are told once, in its answer: keep them with the job's."""
        return replace(job, warnings=tuple(dict.fromkeys(warnings + job.warnings)))

    # ---- poll to an end

    def get(self, job_id: str) -> KumoJob:
        return self._dialect.get(job_id)

    def progress(self, job_id: str) -> Progress | None:
        """How far the job is, None when Kumo does not say. It is a nicety: an error here is None too."""
        try:
            return self._dialect.progress(job_id)
        except (KumoUnreachable, KumoMalformed, KumoRefused):
            return None

    def cancel(self, job_id: str) -> bool:
        """Ask Kumo to cancel; True when it says it did. Best effort: the job may still end DONE."""
        return self._dialect.cancel(job_id)

    def wait(self, job: KumoJob, policy: PollPolicy, on_progress: OnProgress = lambda job, progress: None) -> KumoJob:
        """Poll until DONE. QUEUED for hours is fine; an unknown status is polled on.

        Raises KumoJobFailed (FAILED, CANCELLED), KumoJobUnusable (UNTRAINED, MISSING), KumoJobTimedOut after the
        policy's deadline: the job is then cancelled and polled to a terminal state, and a job that ended DONE all the
        same is said to have.
        """
        launched_with = job.warnings
        for _ in _pace(policy, self._sleep):
            job = self._with_warnings(self.get(job.job_id), launched_with)
            on_progress(job, self.progress(job.job_id) if job.status is JobStatus.RUNNING else None)
            if not job.status.live:
                return _ended(job)
        return self._cancel_late(job, policy)

    def _cancel_late(self, job: KumoJob, policy: PollPolicy) -> KumoJob:
        self.cancel(job.job_id)
        patience = replace(policy, deadline_seconds=CANCEL_SECONDS)
        for _ in _pace(patience, self._sleep):
            job = self.get(job.job_id)
            if not job.status.live:
                break
        done = (
            " It ended DONE after the cancellation: re-execute the run to use it."
            if job.status is JobStatus.DONE
            else ""
        )
        raise KumoJobTimedOut(
            "wait for Kumo job",
            to=job.job_id,
            found=f"its deadline of {policy.deadline_seconds / 60:g} minutes passed; it was cancelled and is now {job.raw_status}.{done}",
            next="raise kumo.poll.deadline_minutes, or look at the job in Kumo",
        )


def _ended(job: KumoJob) -> KumoJob:
    """The job when it is DONE; the right exception otherwise, with all that Kumo said."""
    if job.status is JobStatus.DONE:
        return job
    said = "; ".join(map(str, job.errors)) or (
        f"last stage {job.events[-1].stage}" if job.events else "Kumo gave no reason"
    )
    kind: type[KumoApiError] = KumoJobUnusable if job.status.unusable else KumoJobFailed
    raise kind(
        "get predictions from Kumo job",
        to=job.job_id,
        found=f"it ended {job.raw_status}: {said}",
        next=f"look at {job.tracking_url or 'the job in Kumo'}; a re-run of the same release starts attempt 2",
    )


def _pace(policy: PollPolicy, sleep: Callable[[float], None]):  # type: ignore[no-untyped-def]
    """Yield at once, then after each pause, until the deadline."""
    started = time.monotonic()
    pause = policy.first_seconds
    while True:
        yield
        if time.monotonic() - started + pause > policy.deadline_seconds:
            return
        sleep(pause * random.uniform(1 - policy.jitter, 1 + policy.jitter))
        pause = min(pause * 1.5, policy.max_seconds)


def _done(item: Any) -> bool:
    report = item.get("job_status_report") if isinstance(item, dict) else None
    return isinstance(report, dict) and status_of(report.get("status"))[0] is JobStatus.DONE


def _looks_like_id(query_id: str) -> bool:
    """A name is accepted where a pquery id is; then the answers carry the id, and cannot be compared with the name."""
    return query_id.startswith("pquery-")
