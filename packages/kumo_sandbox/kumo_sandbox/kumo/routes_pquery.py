"""Routes of the predictive-query dialect (the withdrawn package kumo-ai 0.1.9, 2023): launch by query id, no tags.

Relative to `/v1`. The model is the query's newest DONE one, the anchor always the newest event.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.launch import accept, find_query, full_config, newest_model
from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.requests import OldLaunchRequest
from kumo_sandbox.kumo.routes_sdk import find_job, request_cancel
from kumo_sandbox.kumo.wire import OLD_STATUS, TERMINAL, old_prediction_resource


def _query(call: Call) -> QuerySpec:
    spec = find_query(call, call.path["query"])
    if spec is None:
        raise Answer(404, f"Predictive query {call.path['query']} not found")
    return spec


def launch(call: Call) -> Any:
    """POST /predictive_queries/{id}/prediction_jobs: the whole job. A refusal is a 400 with its reasons."""
    spec = _query(call)
    request = call.model(OldLaunchRequest)
    model = newest_model(call, spec)
    if model is None:
        raise Answer(400, f"Predictive query {spec.id} has no trained model")
    values = {"predict_options": request.predict_options, "model_training_job_id": model["job_id"]}
    job, _, errors = accept(call, model, full_config(values, request.outputs), request.outputs, "pquery")
    if job is None:
        raise Answer(400, "; ".join(f"{e['title']}: {e['message']}" for e in errors))
    return old_prediction_resource(job)


def list_jobs(call: Call) -> Any:
    spec = _query(call)
    status = call.query.get("job_status")
    jobs = [old_prediction_resource(job) for job in call.kumo.store.all("prediction") if job["query"] == spec.id]
    return [job for job in jobs if status in (None, job["job_status_report"]["status"])]


def get_query(call: Call) -> Any:
    spec = _query(call)
    return {"id": spec.pquery_id, "name": spec.id, "task_type": spec.task}


def get(call: Call) -> Any:
    return old_prediction_resource(find_job(call, "prediction"))


def cancel(call: Call) -> Any:
    return {"is_cancelled": request_cancel(call, "prediction")}


def delete(call: Call) -> Any:
    """DELETE /prediction_jobs/{id}: forget a finished job; its table stays."""
    job = find_job(call, "prediction")
    if job["status"] not in TERMINAL:
        raise Answer(409, f"Job {job['job_id']} is {OLD_STATUS.get(job['status'], job['status'])}: cancel it first")
    call.kumo.store.delete("prediction", job["job_id"])
    return Response(status_code=204)
