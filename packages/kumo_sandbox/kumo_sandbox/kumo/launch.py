"""Accepting a batch prediction: the checks the vendor makes before a job exists, then the job.

Shared by both dialects; what travels over HTTP is in `routes_sdk.py` and `routes_v3.py`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from kumo_sandbox.kumo.faults import JOB
from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.jobs import new_job
from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.requests import PredictionOutput
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.wire import iso

Problem = dict[str, str]


def find_query(call: Call, name_or_id: str) -> QuerySpec | None:
    """A query by its name or its `pquery-...` id."""
    for document in call.kumo.store.all("query"):
        spec = QuerySpec.model_validate(document)
        if name_or_id in (spec.id, spec.pquery_id):
            return spec
    return None


def output_problems(call: Call, outputs: list[PredictionOutput]) -> list[Problem]:
    problems = []
    for output in outputs:
        if output.artifact_type != "PREDICTIONS":
            problems.append(_problem("Unsupported artifact", "This tenant computes no embeddings."))
        elif output.storage_type != "SNOWFLAKE":
            problems.append(_problem("Unsupported storage", f"No connector writes {output.storage_type} here."))
        elif call.kumo.store.get("connector", output.connector_id or "") is None:
            problems.append(_problem("Unknown connector", f"Connector {output.connector_id} does not exist."))
    tables = [output.table_name for output in outputs]
    if len(set(tables)) != len(tables):
        problems.append(_problem("Duplicate output", "Two outputs write to the same table."))
    return problems


def accept(
    call: Call, model: Document, config: dict[str, Any], outputs: list[PredictionOutput], dialect: str
) -> tuple[Document | None, list[Problem], list[Problem]]:
    """Make the job, or refuse; (job, warnings, errors) with exactly one of job and errors.

    Raises `Answer` 404 for a snapshot that does not exist.
    """
    kumo = call.kumo
    spec = find_query(call, model["query"])
    errors = output_problems(call, outputs)
    if spec is None or model["status"] != "DONE":
        errors.append(_problem("Model not ready", f"Training job {model['job_id']} is {model['status']}, not DONE."))
    elif spec.task == "binary_classification" and config["predict_options"]["binary_classification_threshold"] is None:
        errors.append(_problem("Missing option", "binary_classification_threshold is required for this task."))
    snapshot = config["graph_snapshot_id"]
    if snapshot is not None and kumo.store.get("snapshot", snapshot) is None:
        raise Answer(404, f"Graph snapshot {snapshot} not found")
    if config["pred_table_job_id"] or config["pred_table_path"]:
        errors.append(_problem("Unsupported table", "Only the inline prediction table is available here."))
    faults = kumo.faults.strike("launch", JOB, model["query"], config["job_tags"]) if not errors else []
    for fault in faults:
        if fault["kind"] == "refused":
            errors += fault["with"].get("errors") or [
                _problem("Launch refused", "The prediction job was not accepted.")
            ]
    if errors:
        return None, [], errors
    warnings = [
        warning
        for fault in faults
        if fault["kind"] == "launch_warnings"
        for warning in fault["with"].get("warnings") or [_problem("Old model", "The model was trained a while ago.")]
    ]
    now = time.time()
    job = new_job(
        "prediction",
        model["query"],
        model["pquery_id"],
        now,
        dialect=dialect,
        model_id=model["job_id"],
        tags=config["job_tags"],
        config=config,
        faults=faults,
        unknown_fields=call.unknown_fields,
        project_id=call.query.get("project_id"),
    )
    job["tracking_url"] = f"{kumo.live.now.tracking_base or call.base_url}/ui/jobs/{job['job_id']}"
    kumo.store.put("prediction", job["job_id"], job)
    kumo.worker.wake()
    return job, warnings, []


def full_config(values: dict[str, Any], outputs: list[PredictionOutput]) -> dict[str, Any]:
    """A `BatchPredictionRequest` with every field of kumo-api 0.92."""
    moment = values.get("prediction_time")
    options = values["predict_options"]
    return {
        "job_tags": values.get("job_tags", {}),
        "model_training_job_id": values["model_training_job_id"],
        "predict_options": {
            "binary_classification_threshold": options.binary_classification_threshold,
            "num_classes_to_return": options.num_classes_to_return,
            "num_workers": options.num_workers,
        },
        "outputs": [output.wire() for output in outputs],
        "graph_snapshot_id": values.get("graph_snapshot_id"),
        "pred_table_job_id": values.get("pred_table_job_id"),
        "pred_table_path": values.get("pred_table_path"),
        "prediction_time": None if moment is None else _iso_of(moment),
        "explanations": values.get("explanations", False),
        "data_backend_session_id": values.get("data_backend_session_id"),
    }


def _iso_of(moment: datetime) -> str | None:
    return iso((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _problem(title: str, message: str) -> Problem:
    return {"title": title, "message": message}
