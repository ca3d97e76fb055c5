"""Wait for a run, and turn its end into a result or an error.

Starting or adopting one is in `starting`. The trigger waits in its own event loop and comes here only to `conclude`. No
Airflow in this module: log lines go to `say`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kumo_airflow import operations
from kumo_airflow.client import Dagster
from kumo_airflow.errors import GateBlocked, KumoAirflowError, RunCanceled, RunFailed, RunOverdue
from kumo_airflow.events import failure_reason, gates_that_blocked, progress
from kumo_airflow.following import PARTITION_TAG, Move, Run, next_move

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """How a run ended, for XCom: plain JSON values only."""

    run_id: str
    run_url: str
    release_id: str
    partition: str
    job: str
    outcome: str = "success"
    reason: str = ""
    gates: list[dict[str, str]] = field(default_factory=list)


def deadline_of(run: Run, seconds: float | None) -> float | None:
    """When a run must be done, in seconds since 1970. Counted from its creation: a retry that adopts it gives it no more time."""
    return None if seconds is None else (run.created or time.time()) + seconds


def wait(
    dagster: Dagster,
    run_id: str,
    say: Say,
    *,
    deadline_at: float | None,
    poll_seconds: float,
    check: Callable[[], None] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Move:
    """Follow a run, and Dagster's own retries of it, to an end or its deadline. `check` is called between looks."""
    cursor: str | None = None
    while True:
        check()
        seen = dagster.do(operations.look(run_id, cursor))
        cursor = seen.cursor
        for line in progress(seen.events):
            say(line)
        if seen.more:
            continue
        move = next_move(seen.run, now=now(), deadline_at=deadline_at)
        if move.what == "follow":
            say(move.why)
            run_id, cursor = move.run_id, None
        elif move.what == "wait":
            sleep(poll_seconds)
        else:
            if move.outcome == "canceled":
                # The kill may be this task's own, made during this look. Its error then says so; `conclude` would blame
                # somebody else.
                check()
            return move


def conclude(dagster: Dagster, move: Move, say: Say) -> Result:
    """The result of a run that succeeded. Raises GateBlocked, RunCanceled, RunOverdue (the run is then terminated) or
    RunFailed, each with a `result` attribute for XCom.
    """
    seen = dagster.do(operations.look(move.run_id))
    run, url = seen.run, dagster.settings.run_url(move.run_id)
    base = Result(run.run_id, url, run.release_id, run.tags.get(PARTITION_TAG, ""), run.job)
    if move.outcome == "success":
        say(f"Run {run.run_id} succeeded" + (f": release {base.release_id}" if base.release_id else ""))
        return base
    doing, to = f"run {run.job}", base.partition and f"for {base.partition}, release {base.release_id}"
    if move.what == "overdue":
        refused = dagster.do(operations.terminate(run.run_id))
        reason = f"the run was {run.status} at its deadline; " + (refused or "it was told to stop")
        raise _with(RunOverdue(doing, to=to, found=reason, next=f"see {url}"), base, "overdue", reason)
    if move.outcome == "canceled":
        reason = "the run was terminated"
        raise _with(RunCanceled(doing, to=to, found=reason, next=f"see {url}"), base, "canceled", reason)
    events = all_events(dagster, run.run_id)
    gates = gates_that_blocked(events)
    if gates:
        reason = "; ".join(str(gate) for gate in gates)
        # A line of its own: Airflow 3 shows an exception's message beside the log's lines, not among them.
        say(f"Run {run.run_id} was stopped: {reason}")
        advice = (
            f"kumo-assets gates {query_of(run)} --partition {base.partition}, or {url}; what is active was not touched"
        )
        listed = [{"gate": gate.gate, "asset": gate.asset, "reason": gate.reason} for gate in gates]
        raise _with(GateBlocked(doing, to=to, found=reason, next=advice), base, "blocked", reason, listed)
    reason = failure_reason(events) or "the run gave no reason"
    say(f"Run {run.run_id} failed: {reason}")
    raise _with(RunFailed(doing, to=to, found=reason, next=f"see {url}"), base, "failed", reason)


def query_of(run: Run) -> str:
    return run.tags.get("kumo_assets/query") or run.job.removesuffix("_daily")


def _with(
    error: KumoAirflowError, base: Result, outcome: str, reason: str, gates: list[dict[str, str]] | None = None
) -> KumoAirflowError:
    error.result = replace(base, outcome=outcome, reason=reason, gates=gates or [])  # type: ignore[attr-defined]
    return error


def all_events(dagster: Dagster, run_id: str) -> list[Mapping[str, Any]]:
    """Every event of a run."""
    found: list[Mapping[str, Any]] = []
    cursor: str | None = None
    while True:
        seen = dagster.do(operations.look(run_id, cursor))
        found += seen.events
        cursor = seen.cursor
        if not seen.more:
            return found


def terminate(dagster: Dagster, run_id: str, say: Say) -> None:
    """End a run that is still live, and with it its Kumo job. An ended run is left alone. What happened goes to `say`."""
    refused = dagster.do(operations.terminate(run_id))
    say(f"Run {run_id} was told to stop" if not refused else f"Run {run_id} could not be terminated: {refused}")
