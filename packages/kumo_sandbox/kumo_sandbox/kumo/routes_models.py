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
from kumo_sandbox.kumo.requests import TrainingRequest, training_config
from kumo_sandbox.kumo.routes_sdk import change_tags, find_job, listed, request_cancel
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.wire import training_progress, training_resource


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
        project_id=call.query.get("project_id"),
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
    """GET .../holdout: a bare text URL. This emulator keeps no hold-out file, so the answer is 404."""
    find_job(call, "training")
    return PlainTextResponse("The sandbox keeps no hold-out data", status_code=404)
