"""The set of routes that a tenant serves, behind one protocol, and that of Kumo 2.x. Which one it is must be configured.

`sdk` is what the vendor's SDK 2.x speaks; 3.0 is in `v3`. Only routes and JSON differ between them; judgement is in
`launching`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.model import KumoJob, Launch, Notice, Progress
from kumo_assets.resources.kumo.paths import at, listed
from kumo_assets.resources.kumo.replies import malformed
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import array, job_of, launched_of, mapping, progress_of, remember

# Asked for always: without them a temporal task's table does not say when it was made, or for when.
EXTRA_FIELDS = ["JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"]
# What makes a job this release's attempt, whoever looks for it.
IDENTITY_TAGS = ("kumo_assets.environment", "kumo_assets.query", "kumo_assets.release", "kumo_assets.attempt")
DEFAULT_THRESHOLD = 0.5


class Dialect(Protocol):
    """What the client needs of a tenant."""

    def probe(self) -> None:
        """KumoUnauthorized, KumoRefused or KumoUnreachable when this tenant cannot be used."""

    def connectors(self) -> list[dict[str, object]]:
        """Configurations of the connectors that a launch may name, each with its `name`."""

    def check(self, launch: Launch) -> None:
        """What the tenant would refuse, before work is done for the launch. ConfigError or KumoRefused."""

    def check_classes(self, task: str, num_classes: int | None) -> None:
        """The part of `check` that asks the tenant nothing."""

    def launch(self, launch: Launch) -> tuple[str, tuple[Notice, ...]]:
        """(job id, warnings). KumoRefused with Kumo's errors when it said no."""

    def remember(self, job_id: str, warnings: tuple[Notice, ...]) -> None:
        """Keep a launch's warnings with its job."""

    def get(self, job_id: str) -> KumoJob: ...

    def progress(self, job_id: str) -> Progress | None: ...

    def cancel(self, job_id: str) -> bool: ...

    def find(self, launch: Launch) -> list[KumoJob]:
        """Jobs that are this launch's, by its tags."""


def same_job(job: KumoJob, job_id: str) -> KumoJob:
    """The job, unless the answer is another's: a cache in between must not make one job's end another's."""
    if job.job_id != job_id:
        raise malformed(f"job {job_id}", "that job", f"job {job.job_id}")
    return job


def _configurations(http: Transport) -> list[dict[str, object]]:
    found = http.get("/connectors")
    items = array(found.get("connectors") if isinstance(found, dict) else found, "the connectors")
    configs = [(mapping(item, "a connector"), mapping(item, "a connector").get("config")) for item in items]
    return [dict(config if isinstance(config, Mapping) else item) for item, config in configs]


def _output(launch: Launch, connector: str) -> dict[str, object]:
    return {
        "artifact_type": "PREDICTIONS",
        "connector_id": connector,
        "table_name": launch.table,
        "storage_type": "SNOWFLAKE",
        "extra_fields": EXTRA_FIELDS,
    }


def _options(launch: Launch) -> dict[str, object]:
    options: dict[str, object] = {}
    if launch.task == "binary_classification":
        # "Required if binary classification" (a comment in kumoapi/jobs.py).
        options["binary_classification_threshold"] = (
            DEFAULT_THRESHOLD if launch.binary_threshold is None else launch.binary_threshold
        )
    if launch.num_classes is not None and launch.task in ("ranking", "multiclass_classification"):
        options["num_classes_to_return"] = launch.num_classes
    return options


class SdkDialect:
    """Routes of kumoai 1.2.4 (March 2025) to 2.22.0 (May 2026), under `<base>/v1`."""

    def __init__(self, http: Transport) -> None:
        self._http = http

    def probe(self) -> None:
        """The vendor's own probe (kumoai 2.22.0, kumoai/client/client.py, `authenticate`)."""
        self.connectors()

    def connectors(self) -> list[dict[str, object]]:
        return _configurations(self._http)

    def check(self, launch: Launch) -> None:
        """Nothing is known that this dialect refuses beforehand."""

    def check_classes(self, task: str, num_classes: int | None) -> None:
        """No limit is known."""

    def launch(self, launch: Launch) -> tuple[str, tuple[Notice, ...]]:
        if launch.training_job_id is None:
            raise ConfigError(
                "launch the batch prediction of",
                to=launch.query_id,
                found="no model is named, and this dialect launches by model",
                next="pin source.kumo.training_job_id, or let newest_model choose one",
            )
        # Optional fields are left out, not null: whether an older server refuses unknown fields is not public.
        body: dict[str, object] = {
            "job_tags": launch.tags,
            "model_training_job_id": launch.training_job_id,
            "predict_options": _options(launch) | {"num_workers": launch.num_workers},
            "outputs": [_output(launch, self._connector(launch)) | {"write_mode": "OVERWRITE"}],
        }
        if launch.graph_snapshot_id is not None:
            body["graph_snapshot_id"] = launch.graph_snapshot_id
        if launch.prediction_time is not None:
            body["prediction_time"] = self._moment(launch.prediction_time)
        job_id, warnings, errors = launched_of(self._http.post("/prediction_jobs", body))
        if job_id is None:
            raise KumoRefused(
                "launch the batch prediction of",
                to=launch.query_id,
                found="; ".join(map(str, errors)) or "no job id and no reason",
                next="fix what Kumo names, in Kumo or in the definition, and materialise again",
            )
        return job_id, warnings

    def remember(self, job_id: str, warnings: tuple[Notice, ...]) -> None:
        self._http.repeat("PATCH", at("prediction_jobs", job_id, "tags"), **remember(warnings))

    def get(self, job_id: str) -> KumoJob:
        return same_job(job_of(self._http.get(at("prediction_jobs", job_id)), web=self._http.url), job_id)

    def progress(self, job_id: str) -> Progress | None:
        return progress_of(self._http.get(at("prediction_jobs", job_id, "progress")))

    def cancel(self, job_id: str) -> bool:
        answer = self._http.repeat("POST", at("prediction_jobs", job_id, "cancel"))
        return mapping(answer, "a cancellation").get("is_cancelled") is True

    def find(self, launch: Launch) -> list[KumoJob]:
        # Tags are plain query parameters. Compared again here: that a server joins them by AND is an assumption.
        wanted = {name: value for name, value in launch.tags.items() if name in IDENTITY_TAGS}
        if "kumo_assets.release" not in wanted:
            raise ConfigError(
                "find the job of",
                to=launch.query_id,
                found="its tags name no release",
                next="tag it kumo_assets.release",
            )
        found = [job_of(item, web=self._http.url) for item in listed(self._http, "/prediction_jobs", **wanted)]
        return [job for job in found if wanted.items() <= job.tags.items()]

    def _connector(self, launch: Launch) -> str:
        """What a launch writes as its connector's id: in 2.x that is its name."""
        return launch.connector

    def _moment(self, moment: datetime) -> str:
        """How `prediction_time` is written."""
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
