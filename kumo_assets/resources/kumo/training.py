"""Training jobs: choosing the model to predict with, and training a query again over REST.

A training is launched once by the same means as a prediction: its tags. Waiting for one is `KumoClient.wait_training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from kumo_assets.resources.kumo.dialects import same_job
from kumo_assets.resources.kumo.errors import KumoMalformed, KumoRefused, KumoUnreachable
from kumo_assets.resources.kumo.launching import AMBIGUOUS_LOOKS_SECONDS
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Progress, TrainedModel
from kumo_assets.resources.kumo.paths import at, listed
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import job_of, mapping, model_of, progress_of, status_of, text

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Training:
    """Routes and rules of `/training_jobs`, which are the same in every dialect."""

    def __init__(self, http: Transport, sleep: Callable[[float], None]) -> None:
        self._http = http
        self._sleep = sleep

    def newest(self, query_id: str) -> TrainedModel:
        """See KumoClient.newest_model."""
        models = self.models(query_id)
        if not models:
            raise KumoRefused(
                "find a trained model of",
                to=query_id,
                found="it has no training job that ended DONE",
                next="train the query in Kumo first, or correct predictive_query_id",
            )
        return models[-1]

    def models(self, query_id: str) -> list[TrainedModel]:
        """The query's DONE trainings, oldest first."""
        found = listed(self._http, "/training_jobs", pquery_id=query_id, job_status="DONE")
        models = [model_of(item) for item in found if _status(item) is JobStatus.DONE]
        if query_id.startswith("pquery-"):
            # That a server filters by what it is asked for is checked, since the wrong model would predict.
            models = [model for model in models if model.query_id in ("", query_id)]
        elif len({model.query_id for model in models} - {""}) > 1:
            # A name is accepted where an id is; then the answers carry the id, and cannot be compared with the name.
            raise KumoRefused(
                "find a trained model of",
                to=query_id,
                found="Kumo answered with models of " + ", ".join(sorted({model.query_id for model in models})[:5]),
                next="write the query's id (pquery-...) as predictive_query_id",
            )
        return sorted(models, key=lambda model: (model.created_at or _EARLIEST, model.job_id))

    def launch(
        self, query_id: str, tags: Mapping[str, str], snapshot_id: str | None, plan: Mapping[str, object] | None
    ) -> tuple[str, bool]:
        """(job id, adopted). See KumoClient.launch_training."""
        found = self.find(tags)
        if found is not None:
            return found, True
        body: dict[str, object] = {"job_tags": dict(tags), "pquery_id": query_id}
        # The training table is left out, so that Kumo generates it from this snapshot (kumoai/trainer/trainer.py, `fit`
        # without a table).
        if plan is not None:
            body["model_plan"] = dict(plan)
        else:
            for recipe in self.models(query_id)[-1:]:
                # The same recipe on new data: without a plan Kumo would train by its defaults.
                body["pquery_id"] = recipe.query_id or query_id
                if recipe.plan:
                    body["model_plan"] = recipe.plan
        if snapshot_id is not None:
            body["graph_snapshot_id"] = snapshot_id
        try:
            return text(mapping(self._http.post("/training_jobs", body), "a training launch"), "id"), False
        except (KumoUnreachable, KumoMalformed):
            for seconds in AMBIGUOUS_LOOKS_SECONDS:
                self._sleep(seconds)
                found = self.find(tags)
                if found is not None:
                    return found, True
            raise

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The live or DONE training with all these tags; the oldest, should there be several."""
        jobs = [job_of(item) for item in listed(self._http, "/training_jobs", **tags)]
        usable = [job for job in jobs if tags.items() <= job.tags.items() and _usable(job)]
        return min(usable, key=lambda job: (job.created_at or _EARLIEST, job.job_id)).job_id if usable else None

    def get(self, job_id: str) -> KumoJob:
        return same_job(job_of(self._http.get(at("training_jobs", job_id)), web=self._http.url), job_id)

    def progress(self, job_id: str) -> Progress | None:
        return progress_of(self._http.get(at("training_jobs", job_id, "progress")))

    def cancel(self, job_id: str) -> bool:
        answer = self._http.repeat("POST", at("training_jobs", job_id, "cancel"))
        return mapping(answer, "a cancellation").get("is_cancelled") is True


def _usable(job: KumoJob) -> bool:
    return job.status.live or job.status is JobStatus.DONE


def _status(item: object) -> JobStatus | None:
    report = item.get("job_status_report") if isinstance(item, dict) else None
    return status_of(report.get("status"))[0] if isinstance(report, dict) else None
