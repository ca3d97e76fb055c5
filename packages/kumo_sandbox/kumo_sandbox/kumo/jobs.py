"""Jobs as documents and the one pure function that says what a job does next, given the clock.

A prediction job goes NOT_STARTED -> QUEUED -> RUNNING -> DONE as the vendor's does; training jobs and artefact exports
share the machine. Nothing here touches the clock, the warehouse or a thread: that is `worker.py`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Literal

from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.wire import TERMINAL

Kind = Literal["prediction", "training", "artifact"]
PREFIX: dict[str, str] = {"prediction": "bp-job-", "training": "trainingjob-", "artifact": "artifact-export-job-"}
# Faults that replace the status a client sees, once the job would be running, and for good.
SHOWN_STATUS = {"untrained": "UNTRAINED", "missing": "MISSING", "unknown_status": "HIBERNATING"}


@dataclass(frozen=True)
class Conditions:
    """What the machine must know of the world besides the job: the clock, free slots, the data, the work."""

    now: float
    pace: float
    slots_free: bool = True
    data: Literal["ready", "waiting", "failed"] = "ready"
    work: Literal["none", "running", "finished"] = "none"


Step = Literal["wait", "queue", "start", "work", "finish", "cancel", "fail"]


def new_job(kind: Kind, query: str, pquery_id: str, now: float, **fields: Any) -> Document:
    """A job that has just been accepted. Its event log has an entry at once: the SDK's `attach()` reads the last one."""
    silent = any(item["kind"] == "failed_without_detail" for item in fields.get("faults", []))
    return {
        "job_id": PREFIX[kind] + secrets.token_hex(16),
        "kind": kind,
        "query": query,
        "pquery_id": pquery_id,
        "model_id": None,
        "status": "NOT_STARTED",
        "shown_status": None,
        "created_at": now,
        "phase_at": now,
        "started_at": None,
        "ended_at": None,
        "tags": {},
        "config": {},
        "unknown_fields": [],
        "events": [] if silent else [{"stage": "Preparing", "at": now, "detail": None}],
        "warnings": [],
        "errors": [],
        "entities": None,
        "cancel_requested": False,
        "faults": [],
        "tracking_url": "",
        **fields,
    }


def fault(job: Document, *kinds: str) -> Document | None:
    """The job's first fault of one of these kinds."""
    return next((item for item in job["faults"] if item["kind"] in kinds), None)


def _seconds(item: Document | None) -> float:
    """How long a fault holds a job; an hour unless it says."""
    return float((item.get("with") or {}).get("seconds", 3600)) if item else 0.0


def next_step(job: Document, world: Conditions) -> Step:
    """What to do with a job now. Total over every status; a terminal job waits for ever."""
    status = job["status"]
    if status in TERMINAL:
        return "wait"
    # Work under way sees the request itself, before it writes; so that no table appears after CANCELLED. With a late
    # cancel Kumo says yes and the job ends DONE all the same (its cancel is best effort).
    if job["cancel_requested"] and world.work == "none" and fault(job, "late_cancel") is None:
        return "cancel"
    if job["shown_status"] is not None:
        return "wait"
    in_phase = world.now - job["phase_at"]
    if status == "NOT_STARTED":
        if world.data == "failed":
            return "fail"
        return "queue" if world.data == "ready" and in_phase >= world.pace else "wait"
    if status == "QUEUED":
        held = max(world.pace, _seconds(fault(job, "long_queue")))
        return "start" if in_phase >= held and world.slots_free else "wait"
    if world.work == "none":
        return "work" if in_phase >= _seconds(fault(job, "long_run")) else "wait"
    return "finish" if world.work == "finished" and in_phase >= world.pace else "wait"


def enter(job: Document, status: str, now: float) -> None:
    """Move a job to a status, in place."""
    job["status"] = status
    job["phase_at"] = now
    if status == "RUNNING":
        job["started_at"] = job["started_at"] or now
        shown = fault(job, *SHOWN_STATUS)
        if shown is not None:
            job["shown_status"] = (shown.get("with") or {}).get("status", SHOWN_STATUS[shown["kind"]])
    if status in TERMINAL:
        job["ended_at"] = now
        job["shown_status"] = None


def log(job: Document, stage: str, now: float, detail: str | None = None) -> None:
    """Add an entry to the job's event log, in place. Of the vendor's stage names only `Predicting` is public."""
    job["events"].append({"stage": stage, "at": now, "detail": detail})
