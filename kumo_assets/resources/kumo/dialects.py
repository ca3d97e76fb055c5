"""The two sets of routes a tenant may serve, behind one protocol. Which one is not decidable from public material.

`sdk`: what the vendor's current SDK speaks; a launch names a training job. `pquery`: older; a launch names the
predictive query, has no tags and no warnings. Only routes and JSON differ here; judgement is in `client`.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any, Protocol

from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.model import KumoJob, Launch, Notice, Progress
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import job_of, launched_of, malformed, mapping, progress_of

# Asked for always: without them a temporal task's table does not say when it was made, or for when (kumo_api.md, 4).
EXTRA_FIELDS = ["JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"]


class Dialect(Protocol):
    """What the client needs of a tenant."""

    has_tags: bool
    needs_model: bool

    def launch(self, launch: Launch) -> tuple[str, tuple[Notice, ...]]:
        """(job id, warnings). KumoRefused with Kumo's errors when it said no."""

    def get(self, job_id: str) -> KumoJob: ...

    def progress(self, job_id: str) -> Progress | None: ...

    def cancel(self, job_id: str) -> bool: ...

    def find(self, launch: Launch) -> list[KumoJob]:
        """Jobs that are this launch's: by tags, or by query and output table."""


def _output(launch: Launch) -> dict[str, Any]:
    return {
        "artifact_type": "PREDICTIONS",
        "connector_id": launch.connector,
        "table_name": launch.table,
        "storage_type": "SNOWFLAKE",
        "extra_fields": EXTRA_FIELDS,
    }


def _options(launch: Launch) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if launch.binary_threshold is not None:
        options["binary_classification_threshold"] = launch.binary_threshold
    if launch.num_classes is not None:
        options["num_classes_to_return"] = launch.num_classes
    return options


def _jobs(payload: Any) -> list[KumoJob]:
    if not isinstance(payload, list):
        raise malformed("a list of jobs", "a JSON array", payload)
    return [job_of(item) for item in payload]


def _cancelled(payload: Any) -> bool:
    return bool(mapping(payload, "a cancellation").get("is_cancelled"))


class SdkDialect:
    """Routes of kumoai 1.2.4 (March 2025) to 2.22.0 (May 2026), under `<base>/v1`."""

    has_tags = True
    needs_model = True

    def __init__(self, http: Transport) -> None:
        self._http = http

    def launch(self, launch: Launch) -> tuple[str, tuple[Notice, ...]]:
        # Optional fields are left out, not null: whether an older server refuses unknown fields is not public.
        body: dict[str, Any] = {
            "job_tags": launch.tags,
            "model_training_job_id": launch.training_job_id,
            "predict_options": _options(launch) | {"num_workers": launch.num_workers},
            "outputs": [_output(launch) | {"write_mode": "OVERWRITE"}],
        }
        if launch.graph_snapshot_id is not None:
            body["graph_snapshot_id"] = launch.graph_snapshot_id
        if launch.prediction_time is not None:
            body["prediction_time"] = launch.prediction_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        job_id, warnings, errors = launched_of(self._http.post("/v1/prediction_jobs", body))
        if job_id is None:
            raise KumoRefused(
                "launch the batch prediction of",
                to=launch.query_id,
                found="; ".join(map(str, errors)) or "no job id and no reason",
                next="mend what Kumo names, in Kumo or in the definition, and materialise again",
            )
        return job_id, warnings

    def get(self, job_id: str) -> KumoJob:
        return job_of(self._http.get(f"/v1/prediction_jobs/{job_id}"))

    def progress(self, job_id: str) -> Progress | None:
        return progress_of(self._http.get(f"/v1/prediction_jobs/{job_id}/progress"))

    def cancel(self, job_id: str) -> bool:
        return _cancelled(self._http.post(f"/v1/prediction_jobs/{job_id}/cancel"))

    def find(self, launch: Launch) -> list[KumoJob]:
        # Tags are plain query parameters. Asked again here: that a server joins them by AND is an assumption.
        wanted = {name: value for name, value in launch.tags.items() if name in IDENTITY_TAGS}
        found = _jobs(self._http.get("/v1/prediction_jobs", limit="100", **wanted))
        return [job for job in found if all(job.tags.get(name) == value for name, value in wanted.items())]


# What makes a job this release's attempt, whoever looks for it.
IDENTITY_TAGS = ("kumo_assets.environment", "kumo_assets.query", "kumo_assets.release", "kumo_assets.attempt")


class PqueryDialect:
    """Routes of the withdrawn kumo-ai 0.1.9 (2023), under `<base>` that ends in `/v1` itself or not."""

    has_tags = False
    needs_model = False

    def __init__(self, http: Transport) -> None:
        self._http = http
        self._v1 = "" if http.url.endswith("/v1") else "/v1"

    def launch(self, launch: Launch) -> tuple[str, tuple[Notice, ...]]:
        body = {"predict_options": _options(launch), "outputs": [_output(launch)]}
        job = job_of(self._http.post(f"{self._v1}/predictive_queries/{launch.query_id}/prediction_jobs", body))
        return job.job_id, job.warnings

    def get(self, job_id: str) -> KumoJob:
        return job_of(self._http.get(f"{self._v1}/prediction_jobs/{job_id}"))

    def progress(self, job_id: str) -> Progress | None:
        return None

    def cancel(self, job_id: str) -> bool:
        self._http.post(f"{self._v1}/prediction_jobs/{job_id}/cancel")
        return True

    def find(self, launch: Launch) -> list[KumoJob]:
        # No tags in this dialect: the output table is the release's own, so it tells the job.
        found = _jobs(self._http.get(f"{self._v1}/predictive_queries/{launch.query_id}/prediction_jobs"))
        return [job for job in found if launch.table in job.output_tables]
