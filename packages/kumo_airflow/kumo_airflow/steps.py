"""The seven steps of a day's run as a person counts them, and whether a run's events say one is done. Pure.

Six are in the run's own events; the seventh, the swap of the pointer, is a run of its own (`live`). Steps are known by
the assets they make and the gates on them, not by Dagster's step names, which are an implementation's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kumo_airflow.events import failure_reason, gates_that_blocked
from kumo_airflow.following import Run, next_move


@dataclass(frozen=True)
class Step:
    """`asset` of the query it makes, or whose gates it asks ("raw" stands for all raw logs)."""

    asset: str
    made: bool
    judged: bool


CHAIN = ("predictions", "postprocessed", "s3_export", "dynamodb_table")
STEPS: dict[str, Step] = {
    "ingest_check": Step("raw", made=False, judged=True),
    "batch_prediction": Step("predictions", made=True, judged=False),
    "drift_check": Step("predictions", made=False, judged=True),
    "post_processing": Step("postprocessed", made=True, judged=True),
    "export": Step("s3_export", made=True, judged=False),
    "import": Step("dynamodb_table", made=True, judged=True),
}


def group_of(root: Run, others: Sequence[Run]) -> list[Run]:
    """A run and its re-executions, oldest first, each once."""
    return sorted({run.run_id: run for run in (root, *others)}.values(), key=lambda run: (run.created, run.run_id))


def step_state(
    name: str, query: str, events: Iterable[Mapping[str, Any]], newest: Run, *, now: float
) -> tuple[Literal["done", "failed", "waiting"], str]:
    """The state of a step from all events of a run and its re-executions, oldest first; `newest` is the last of them.

    Where the step failed, the text is the gate's or the error's own.
    """
    step, seen = STEPS[name], list(events)
    made = {"/".join(event["assetKey"]["path"]) for event in seen if _is(event, "MaterializationEvent")}
    later = CHAIN if step.asset == "raw" else CHAIN[CHAIN.index(step.asset) + 1 :]
    if any(f"{query}/{asset}" in made for asset in later):
        return "done", "a later step is done"
    mine = [gate for gate in gates_that_blocked(seen) if _on(gate.asset, step.asset, query)]
    move = next_move(newest, now=now)
    if mine and step.judged and move.what == "ended":
        return "failed", "; ".join(map(str, mine))
    if _complete(step, query, seen, made):
        return "done", "done"
    if move.what != "ended":
        return "waiting", f"run {newest.run_id} is {newest.status}"
    if move.outcome == "success":
        return "done", "the run succeeded"
    return "failed", f"run {newest.run_id} ended as {newest.status} before it: {failure_reason(seen)}"


def _complete(step: Step, query: str, events: Sequence[Mapping[str, Any]], made: set[str]) -> bool:
    if step.made and f"{query}/{step.asset}" not in made:
        return False
    if not step.judged:
        return True
    judging = {
        event.get("stepKey")
        for event in events
        if event.get("evaluation") and _on("/".join(event["evaluation"]["assetKey"]["path"]), step.asset, query)
    }
    ended = {event.get("stepKey") for event in events if _is(event, "ExecutionStepSuccessEvent")}
    return bool(judging) and judging <= ended


def _on(path: str, asset: str, query: str) -> bool:
    return path.startswith("raw/") if asset == "raw" else path == f"{query}/{asset}"


def _is(event: Mapping[str, Any], kind: str) -> bool:
    return event.get("__typename") == kind and (kind != "MaterializationEvent" or bool(event.get("assetKey")))
