"""Routes of the SDK dialect for prediction jobs: launch by training job, get, list by tag, progress, cancel, tags, URLs.

Relative to `<base>/v1`. Training, data and export routes of the same dialect are in `routes_models.py` and
`routes_data.py`.
"""

from __future__ import annotations

import random
import time
from typing import Any

from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.jobs import fault
from kumo_sandbox.kumo.launch import accept, full_config
from kumo_sandbox.kumo.requests import LaunchRequest, check_tags
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.wire import TERMINAL, prediction_progress, prediction_resource, validation

# Query parameters that are not tags.
RESERVED = frozenset(
    {"pquery_name", "pquery_id", "job_status", "limit", "model_id", "group_id", "project_id", "data_backend_session_id"}
)


def launch(call: Call) -> Any:
    """POST /prediction_jobs: `[job_id | null, ValidationResponse]`."""
    request = call.model(LaunchRequest)
    model = call.kumo.store.get("training", request.model_training_job_id)
    if model is None:
        raise Answer(404, f"Training job {request.model_training_job_id} not found")
    values = {name: getattr(request, name) for name in type(request).model_fields}
    if call.kumo.live.now.tenant == "old":
        # kumo-api 0.60 (February 2026) knows neither: pydantic drops what it does not know.
        call.unknown_fields += [n for n in ("prediction_time", "data_backend_session_id") if values[n] is not None]
        values.update(prediction_time=None, data_backend_session_id=None)
    job, warnings, errors = accept(call, model, full_config(values, request.outputs), request.outputs, "sdk")
    return [job["job_id"] if job else None, validation(warnings, errors)]


def owned(call: Call, job: Document | None) -> Document | None:
    """The job, unless it belongs to another project than the one that the request may see."""
    if job is None or call.project in (None, job.get("project_id") or "default"):
        return job
    return None


def find_job(call: Call, kind: str) -> Document:
    """The job of the path; `Answer` 404 when there is none."""
    job = owned(call, call.kumo.store.get(kind, call.path["id"]))
    if job is None:
        raise Answer(404, f"Job {call.path['id']} not found")
    return job


def get(call: Call) -> Any:
    return prediction_resource(find_job(call, "prediction"))


def listed(call: Call, kind: str) -> list[Document]:
    """Jobs of a kind that match every filter of the query string; filters that are not reserved are tags."""
    query = call.query
    live = call.kumo.live.now
    wanted = {name: value for name, value in query.items() if name not in RESERVED}
    found = []
    for job in call.kumo.store.all(kind):
        if owned(call, job) is None:
            continue
        names = (job["query"], job["pquery_id"])
        if any(query.get(name) is not None and query[name] not in names for name in ("pquery_id", "pquery_name")):
            continue
        if "job_status" in query and query["job_status"] != (job["shown_status"] or job["status"]):
            continue
        if "model_id" in query and query["model_id"] != job["model_id"]:
            continue
        if wanted and time.time() - job["created_at"] < live.tags_visible_after:
            continue
        if wanted.items() <= {"pquery_id": job["pquery_id"], "pquery_name": job["query"], **job["tags"]}.items():
            found.append(job)
    found.reverse()
    if live.list_order == "shuffled":
        random.shuffle(found)
    return found[: limit_of(call)]


def limit_of(call: Call) -> int | None:
    text = call.query.get("limit")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise Answer(
            422, [{"type": "int_parsing", "loc": ["query", "limit"], "msg": "Input should be a valid integer"}]
        )
    return int(text)


def list_jobs(call: Call) -> Any:
    return [prediction_resource(job) for job in listed(call, "prediction")]


def progress(call: Call) -> Any:
    return prediction_progress(find_job(call, "prediction"), time.time())


def request_cancel(call: Call, kind: str) -> bool:
    """Ask a job to end. True when Kumo accepts; the worker then ends it at its next tick."""
    job = find_job(call, kind)
    if job["status"] in TERMINAL or fault(job, "cancel_refused") is not None:
        return False
    call.kumo.store.update(kind, job["job_id"], lambda j: j.update(cancel_requested=True))
    call.kumo.worker.wake()
    return True


def cancel(call: Call) -> Any:
    return {"is_cancelled": request_cancel(call, "prediction")}


def change_tags(call: Call, kind: str) -> Any:
    """PATCH .../tags?k=v: the value `none` removes a tag."""
    job = find_job(call, kind)
    changes = {name: value for name, value in call.query.items() if name not in ("group_id", "project_id")}
    try:
        check_tags(changes)
    except ValueError as error:
        raise Answer(422, str(error)) from None
    tags = {**job["tags"], **changes}
    tags = {name: value for name, value in tags.items() if value != "none"}
    call.kumo.store.update(kind, job["job_id"], lambda j: j.update(tags=tags))
    return {"resource_updated": tags != job["tags"]}


def tags(call: Call) -> Any:
    return change_tags(call, "prediction")


def prediction_urls(call: Call) -> Any:
    """One "presigned" parquet file, served by the emulator itself (`files.py`)."""
    job = find_job(call, "prediction")
    if job["status"] != "DONE":
        raise Answer(409, f"Job {job['job_id']} is {job['status']}: there are no predictions yet")
    return {"prediction_partitions": [call.kumo.signed_url(call.base_url, job["job_id"])]}


def embedding_urls(call: Call) -> Any:
    find_job(call, "prediction")
    return {"embedding_partitions": []}
