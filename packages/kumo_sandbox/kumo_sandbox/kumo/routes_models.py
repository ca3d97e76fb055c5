"""Routes of the SDK dialect for training jobs: list, get, launch, progress, cancel, tags, holdout, encoders.

A training job here measures its hold-out metrics on the raw logs (`evaluate.py`); the recommender itself has no weights.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import PlainTextResponse

from kumo_sandbox.kumo.faults import JOB
from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.jobs import new_job
from kumo_sandbox.kumo.launch import find_query
from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.requests import TrainingRequest
from kumo_sandbox.kumo.routes_sdk import change_tags, find_job, listed, request_cancel
from kumo_sandbox.kumo.store import Document, Store
from kumo_sandbox.kumo.wire import training_progress, training_resource


def training_config(pquery_id: str, graph_snapshot_id: str | None, **given: Any) -> dict[str, Any]:
    """A `TrainingJobRequest` with every field of kumo-api 0.92."""
    return {
        "job_tags": {},
        "pquery_id": pquery_id,
        "model_plan": {},
        "graph_snapshot_id": graph_snapshot_id,
        "train_table_job_id": None,
        "train_table_override": None,
        "enable_baselines": False,
        "custom_train_table": None,
        "warm_start_job_id": None,
        "data_backend_session_id": None,
        **given,
    }


def seed_model(store: Store, spec: QuerySpec) -> None:
    """The DONE training job every query has from the start, unless it has one."""
    if any(job["query"] == spec.id for job in store.all("training")):
        return
    # The snapshot it was trained on is older than the tenant: only its graph's id is of use to a client.
    job = new_job(
        "training",
        spec.id,
        spec.pquery_id,
        time.time(),
        status="DONE",
        started_at=time.time(),
        ended_at=time.time(),
        config=training_config(spec.pquery_id, f"{spec.graph_id}@0"),
        metrics=spec.metrics,
    )
    job["job_id"] = "trainingjob-" + spec.pquery_id.removeprefix("pquery-")
    store.put("training", job["job_id"], job)


def list_jobs(call: Call) -> Any:
    return [training_resource(job) for job in listed(call, "training")]


def get(call: Call) -> Any:
    return training_resource(find_job(call, "training"))


def launch(call: Call) -> Any:
    """POST /training_jobs: `{"id": ...}`."""
    request = call.model(TrainingRequest)
    spec = find_query(call, request.pquery_id)
    if spec is None:
        raise Answer(404, f"Predictive query {request.pquery_id} not found")
    if request.graph_snapshot_id and call.kumo.store.get("snapshot", request.graph_snapshot_id) is None:
        raise Answer(404, f"Graph snapshot {request.graph_snapshot_id} not found")
    given = request.model_dump(include=set(TrainingRequest.model_fields))
    given.update(pquery_id=spec.pquery_id)
    job: Document = new_job(
        "training",
        spec.id,
        spec.pquery_id,
        time.time(),
        tags=request.job_tags,
        config=training_config(**given),
        faults=call.kumo.faults.strike("training_launch", JOB, spec.id, request.job_tags),
        unknown_fields=call.unknown_fields,
    )
    job["tracking_url"] = f"{call.kumo.live.now.tracking_base or call.base_url}/ui/jobs/{job['job_id']}"
    call.kumo.store.put("training", job["job_id"], job)
    call.kumo.worker.wake()
    return {"id": job["job_id"]}


def progress(call: Call) -> Any:
    return training_progress(find_job(call, "training"), time.time())


def cancel(call: Call) -> Any:
    return {"is_cancelled": request_cancel(call, "training")}


def tags(call: Call) -> Any:
    return change_tags(call, "training")


def encoders(call: Call) -> Any:
    find_job(call, "training")
    return None


def holdout(call: Call) -> Any:
    """GET .../holdout: a bare text URL. This emulator keeps no hold-out file, so it is told so."""
    find_job(call, "training")
    return PlainTextResponse("The sandbox keeps no hold-out data", status_code=404)
