"""The pure part: what a job does next, given the clock and the world."""

from __future__ import annotations

from typing import Any

import pytest
from kumo_sandbox.kumo.jobs import Conditions, enter, new_job, next_step


def job(status: str, *, phase_at: float = 100.0, **fields: Any) -> dict[str, Any]:
    made = new_job("prediction", "q", "pquery-q", 100.0, **fields)
    made.update(status=status, phase_at=phase_at)
    return made


def faulty(kind: str, **with_: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, "with": with_}]


@pytest.mark.parametrize(
    ("status", "world", "expected"),
    [
        ("NOT_STARTED", {"now": 100.5}, "wait"),
        ("NOT_STARTED", {"now": 101.5}, "queue"),
        ("NOT_STARTED", {"now": 199, "data": "waiting"}, "wait"),
        ("NOT_STARTED", {"now": 100, "data": "failed"}, "fail"),
        ("QUEUED", {"now": 101.5}, "start"),
        ("QUEUED", {"now": 101.5, "slots_free": False}, "wait"),
        ("RUNNING", {"now": 100}, "work"),
        ("RUNNING", {"now": 100.5, "work": "finished"}, "wait"),
        ("RUNNING", {"now": 101.5, "work": "finished"}, "finish"),
        ("RUNNING", {"now": 999, "work": "running"}, "wait"),
        ("DONE", {"now": 999}, "wait"),
        ("FAILED", {"now": 999}, "wait"),
        ("CANCELLED", {"now": 999}, "wait"),
    ],
)
def test_each_status_has_one_next_step(status: str, world: dict[str, Any], expected: str) -> None:
    assert next_step(job(status), Conditions(pace=1.0, **world)) == expected


@pytest.mark.parametrize("status", ["NOT_STARTED", "QUEUED", "RUNNING"])
def test_a_cancelled_job_without_work_is_cancelled_at_once(status: str) -> None:
    assert next_step(job(status, cancel_requested=True), Conditions(now=100, pace=1)) == "cancel"


def test_work_under_way_sees_the_cancel_itself() -> None:
    cancelled = job("RUNNING", cancel_requested=True)
    assert next_step(cancelled, Conditions(now=100, pace=1, work="running")) == "wait"


def test_a_late_cancel_lets_the_job_go_on() -> None:
    cancelled = job("QUEUED", cancel_requested=True, faults=faulty("late_cancel"))
    assert next_step(cancelled, Conditions(now=102, pace=1)) == "start"


def test_a_long_queue_is_as_long_as_asked() -> None:
    waiting = job("QUEUED", faults=faulty("long_queue", seconds=50))
    assert next_step(waiting, Conditions(now=149, pace=1)) == "wait"
    assert next_step(waiting, Conditions(now=151, pace=1)) == "start"


@pytest.mark.parametrize(("kind", "shown"), [("untrained", "UNTRAINED"), ("missing", "MISSING")])
def test_a_shown_status_stays_for_good(kind: str, shown: str) -> None:
    stuck = job("QUEUED", faults=faulty(kind))
    enter(stuck, "RUNNING", 100.0)
    assert stuck["shown_status"] == shown
    assert next_step(stuck, Conditions(now=1e9, pace=1)) == "wait"
