"""The vendor's JSON: what each resource looks like on the wire, and how times are written.

Field names and shapes are those of `kumo-api` (kumoapi/jobs.py, data_snapshot.py, data_source.py); the documents they
are made from are the emulator's own (`jobs.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kumo_sandbox.kumo.store import Document

TERMINAL = ("DONE", "FAILED", "CANCELLED")


def iso(moment: float | None) -> str | None:
    """Epoch seconds as ISO-8601 UTC with Z, as kumo-api writes it."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stamp(moment: float) -> str:
    """Epoch seconds as an SQL timestamp in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def duration(seconds: float) -> str:
    """A timedelta as pydantic v2 writes it."""
    return f"PT{seconds:.6f}S"


def messages(items: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"title": item.get("title", ""), "message": item.get("message", "")} for item in items]


def validation(warnings: list[dict[str, str]], errors: list[dict[str, str]]) -> dict[str, Any]:
    return {"warnings": messages(warnings), "errors": messages(errors), "info_items": []}


def status_report(job: Document) -> dict[str, Any]:
    detailed = job["warnings"] or job["errors"]
    return {
        "status": job.get("shown_status") or job["status"],
        "tracking_url": job["tracking_url"],
        "start_time": iso(job["started_at"] or job["created_at"]),
        "end_time": iso(job["ended_at"]),
        "event_log": [
            {"stage_name": e["stage"], "last_updated_at": iso(e["at"]), "detail": e.get("detail")}
            for e in job["events"]
        ],
        "validation_response": validation(job["warnings"], job["errors"]) if detailed else None,
    }


def prediction_resource(job: Document) -> dict[str, Any]:
    """`BatchPredictionJobResource`; `result` is null unless DONE."""
    done = job["status"] == "DONE" and job["entities"] is not None
    return {
        "job_id": job["job_id"],
        "job_status_report": status_report(job),
        "created_at": iso(job["created_at"]),
        "tags": {
            "pquery_id": job["pquery_id"],
            "pquery_name": job["query"],
            "model_id": job["model_id"],
            **job["tags"],
        },
        "project_id": job.get("project_id"),
        "config": job["config"],
        "result": {"num_entities_predicted": job["entities"]} if done else None,
    }


def prediction_progress(job: Document, now: float) -> dict[str, Any]:
    """`PredictionProgress`: iterations are the four steps a job goes through."""
    started = job["started_at"]
    elapsed = 0.0 if started is None else (job["ended_at"] or now) - started
    total = 0 if started is None else 4
    completed = total if job["status"] == "DONE" else min(len(job["events"]), 3) if total else 0
    return {
        "start_time": iso(started),
        "total_iterations": total,
        "completed_iterations": completed,
        "elapsed_prediction_time": duration(elapsed),
        "estimated_prediction_time": None if completed in (0, total) else duration(elapsed * (total / completed - 1)),
    }


def training_resource(job: Document) -> dict[str, Any]:
    """`TrainingJobResource`."""
    metrics = [{"name": name, "value": value} for name, value in (job.get("metrics") or {}).items()]
    result = None
    if job["status"] == "DONE":
        result = {
            "eval_metrics": {"test_metrics": metrics, "validation_metrics": [], "training_metrics": []},
            "total_elapsed_time": duration((job["ended_at"] or 0) - (job["started_at"] or 0)),
            "automl_experiments_completed": 1,
        }
    return {
        "job_id": job["job_id"],
        "job_status_report": status_report(job),
        "created_at": iso(job["created_at"]),
        "tags": {"pquery_id": job["pquery_id"], "pquery_name": job["query"], **job["tags"]},
        "project_id": job.get("project_id"),
        "config": job["config"],
        "result": result,
    }


def training_progress(job: Document, now: float) -> dict[str, Any]:
    """`AutoTrainerProgress`; its times are plain seconds."""
    started = job["started_at"]
    return {
        "start_time": iso(started),
        "total_trials": 1,
        "completed_trials": int(job["status"] == "DONE"),
        "elapsed_training_time": 0.0 if started is None else (job["ended_at"] or now) - started,
        "estimated_training_time": None,
        "trial_progress": {},
    }


def job_state(state: Document) -> dict[str, Any]:
    return {
        "status": state["status"],
        "start_time": iso(state["start"]),
        "end_time": iso(state["end"]),
        "warnings": [],
        "error": state.get("error"),
    }


def connector_resource(config: dict[str, Any], now: float) -> Document:
    """`ConnectorResponse`: a connector made at `now`, known by its name."""
    created = iso(now)
    return {"id": config["name"], "timestamps": {"created_at": created, "updated_at": created}, "config": config}
