"""The client of one tenant: what everything else of the project calls. It waits for jobs to an end, and ends them.

HTTP is in `transport`, routes in `dialects`, launching once in `launching`; whether a table bears a job out is in
`output`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.auth import Auth
from kumo_assets.resources.kumo.dialects import Dialect, SdkDialect
from kumo_assets.resources.kumo.errors import KumoMalformed, KumoRefused, KumoUnreachable
from kumo_assets.resources.kumo.launching import Launcher
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Launch, PollPolicy, Progress, TrainedModel
from kumo_assets.resources.kumo.session_token import SessionToken
from kumo_assets.resources.kumo.snapshots import OnStages, refresh
from kumo_assets.resources.kumo.training import Training
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.v3 import V3Dialect
from kumo_assets.resources.kumo.waiting import OnProgress, OnSilence, Routes, end_job, wait_for
from kumo_assets.resources.kumo.wire import model_of

DIALECTS = ("sdk", "v3")

# Ways to authenticate that need no secret of Kumo's.
AUTHENTICATIONS = ("snowflake", "none")


def open_client(
    url: str,
    api_key: str = "",
    *,
    token_file: str = "",
    authentication: str = "",
    dialect: str = "sdk",
    group_id: str = "",
    project_id: str = "",
    project: str = "",
    connect_seconds: float = 5.0,
    read_seconds: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> KumoClient:
    """A client, to be used as a context manager. Nothing is asked of Kumo yet.

    `authentication` is "snowflake" (log in by the SNOWFLAKE_* variables), "none" (inside a Snowflake notebook), or empty
    with a key or a token file. ConfigError for a URL that is not https, an unknown dialect or authentication, or anything
    but exactly one way to authenticate.
    """
    if authentication not in ("", *AUTHENTICATIONS):
        raise ConfigError(
            "use KUMO_AUTHENTICATION",
            to=repr(authentication),
            found="unknown",
            next=f"use one of: {', '.join(AUTHENTICATIONS)}; leave it out with KUMO_API_KEY or KUMO_SNOWFLAKE_TOKEN_FILE",
        )
    if dialect not in DIALECTS:
        raise ConfigError(
            "use KUMO_API_DIALECT", to=repr(dialect), found="unknown", next=f"use one of: {', '.join(DIALECTS)}"
        )
    for variable, value, of in (
        ("KUMO_PROJECT", project, dialect == "v3"),
        ("KUMO_GROUP_ID", group_id, dialect != "v3"),
        ("KUMO_PROJECT_ID", project_id, dialect != "v3"),
    ):
        if value and not of:
            # Sent to the wrong dialect it would be ignored, and the wrong project be used.
            raise ConfigError(
                f"use {variable} with KUMO_API_DIALECT={dialect}",
                found="this dialect does not know it",
                next="set KUMO_PROJECT for v3; KUMO_GROUP_ID and KUMO_PROJECT_ID for sdk; and unset the others",
            )
    http = Transport(
        url,
        Auth(
            api_key,
            token_file,
            login=SessionToken() if authentication == "snowflake" else None,
            none=authentication == "none",
        ),
        group_id=group_id,
        project_id=project_id,
        connect_seconds=connect_seconds,
        read_seconds=read_seconds,
        sleep=sleep,
    )
    return KumoClient(http, dialect, project=project, sleep=sleep)


class KumoClient:
    """Batch prediction, training and snapshots of one tenant. Every failure is a KumoApiError (or a ConfigError)."""

    def __init__(
        self,
        http: Transport,
        dialect: str = "sdk",
        *,
        project: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._dialect: Dialect = V3Dialect(http, project) if dialect == "v3" else SdkDialect(http)
        self._launcher = Launcher(self._dialect, sleep)
        self._training = Training(http, sleep)
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
    def calls(self) -> dict[str, int]:
        """Requests sent so far, by method."""
        return dict(self._http.calls)

    # ---- what is there

    def probe(self) -> None:
        """KumoUnauthorized, KumoRefused or KumoUnreachable when this client cannot work: its key, or in v3 its project."""
        self._dialect.probe()

    def connectors(self) -> list[dict[str, object]]:
        """Configurations of the connectors that a launch may name: `name`, `type`, for Snowflake `database`, `schema_name`."""
        return self._dialect.connectors()

    def check_classes(self, task: str, num_classes: int | None) -> None:
        """ConfigError when a tenant of this dialect returns fewer candidates an entity than are wanted."""
        self._dialect.check_classes(task, num_classes)

    def newest_model(self, query_id: str) -> TrainedModel:
        """The newest DONE training job of a query, sorted here: the order of Kumo's list is not documented.

        Raises KumoRefused when there is none, or when a name stands for several queries.
        """
        return self._training.newest(query_id)

    def models(self, query_id: str) -> list[TrainedModel]:
        """The query's DONE training jobs, oldest first; empty for a query that was never trained."""
        return self._training.models(query_id)

    def refresh_snapshot(self, graph_id: str, policy: PollPolicy, on_stages: OnStages = lambda stages: None) -> str:
        """Ingest the newest raw logs into a new snapshot of the graph; its id once every stage is DONE.

        `on_stages` is told each reading's {stage: status}. Raises KumoJobFailed naming the stage, KumoJobTimedOut at the
        policy's deadline.
        """
        return refresh(self._http, graph_id, policy, self._sleep, on_stages)

    # ---- launch once

    def adopt_or_launch(
        self,
        identify: Callable[[int], Launch],
        make_launch: Callable[[int], Launch] | None = None,
        believe: Callable[[int, KumoJob], bool] = lambda attempt, job: True,
        passed_over: Callable[[int, KumoJob | None], bool] = lambda attempt, job: False,
    ) -> tuple[int, KumoJob, bool]:
        """(attempt, job, adopted): the release's live or DONE job, else a new one.

        `identify(attempt)` names an attempt cheaply (tags, table); `make_launch(attempt)` may do work, and is called
        only when there is nothing to adopt. A job that failed, or an earlier one that says DONE and is not believed,
        opens the next attempt under a new table name (rule 2). So does one that is `passed_over`, whether it has a job
        (the second argument) or not.
        """
        return self._launcher.adopt_or_launch(identify, make_launch or identify, believe, passed_over)

    def launch(self, launch: Launch) -> KumoJob:
        """Launch one job, whatever happens to the answer: when it is lost, the job is looked for before a second try.

        Raises KumoRefused with Kumo's errors.
        """
        return self._launcher.launch(launch)

    # ---- poll to an end

    def get(self, job_id: str) -> KumoJob:
        return self._dialect.get(job_id)

    def progress(self, job_id: str) -> Progress | None:
        """How far the job is, None when Kumo does not say. It is a nicety: an error here is None too."""
        return _nicety(self._dialect.progress, job_id)

    def cancel(self, job_id: str) -> bool:
        """Ask Kumo to cancel; True when it says it did. Best effort: the job may still end DONE."""
        return self._dialect.cancel(job_id)

    def end(self, job_id: str, policy: PollPolicy) -> str:
        """Cancel a job and poll it to a terminal state: what became of it, in words. Never raises."""
        return end_job(Routes(self.get, self.progress, self.cancel, ""), job_id, policy, self._sleep)[0]

    def end_training(self, job_id: str, policy: PollPolicy) -> str:
        """`end` for a training job."""
        training = self._training
        return end_job(Routes(training.get, training.progress, training.cancel, ""), job_id, policy, self._sleep)[0]

    def wait(
        self,
        job: KumoJob | str,
        policy: PollPolicy,
        on_progress: OnProgress = lambda job, progress: None,
        should_cancel: Callable[[], bool] = lambda: False,
        on_silence: OnSilence = lambda error: None,
    ) -> KumoJob:
        """Poll until DONE. QUEUED for hours is fine; an unknown status is polled on; outages are ridden out, and each poll
        that was not answered is reported to `on_silence`.

        The deadline is of this wait, not of the job: whoever runs it again gives it more time. Raises KumoJobFailed
        (FAILED, CANCELLED), KumoJobUnusable (UNTRAINED, MISSING), KumoJobTimedOut after the deadline and
        KumoJobCancelled when `should_cancel` said so: the job is then cancelled and polled to a terminal state, and one
        that ended DONE all the same is said to have.
        """
        routes = Routes(self.get, self.progress, self.cancel, "get predictions from Kumo job")
        return wait_for(routes, job, policy, self._sleep, on_progress, should_cancel, on_silence)

    # ---- training

    def launch_training(
        self,
        query_id: str,
        tags: Mapping[str, str],
        snapshot_id: str | None = None,
        plan: Mapping[str, object] | None = None,
    ) -> tuple[str, bool]:
        """(training job id, adopted): train a query by `plan`, or again by its newest model's, on a snapshot's data.

        A live or DONE training with all these tags is adopted; so `tags` must name what the training is for.
        """
        return self._training.launch(query_id, tags, snapshot_id, plan)

    def find_training(self, tags: Mapping[str, str]) -> str | None:
        """The live or DONE training with all these tags; the oldest, should there be several."""
        return self._training.find(tags)

    def wait_training(
        self,
        job_id: str,
        policy: PollPolicy,
        on_progress: OnProgress = lambda job, progress: None,
        should_cancel: Callable[[], bool] = lambda: False,
        on_silence: OnSilence = lambda error: None,
    ) -> TrainedModel:
        """The model of a training job, once it is DONE. Raises as `wait` does."""
        routes = Routes(
            self._training.get,
            lambda key: _nicety(self._training.progress, key),
            self._training.cancel,
            "get a model from Kumo training job",
        )
        return model_of(wait_for(routes, job_id, policy, self._sleep, on_progress, should_cancel, on_silence).raw)

    def model(self, job_id: str) -> TrainedModel:
        """One training job. Raises KumoRefused when it is not there or not DONE."""
        job = self._training.get(job_id)
        if job.status is not JobStatus.DONE:
            raise KumoRefused(
                "use the model of training job",
                to=job_id,
                found=f"it is {job.raw_status}",
                next="wait for it, or pin another training_job_id",
            )
        return model_of(job.raw)


def _nicety(read: Callable[[str], Progress | None], job_id: str) -> Progress | None:
    try:
        return read(job_id)
    except (KumoUnreachable, KumoMalformed, KumoRefused):
        return None
