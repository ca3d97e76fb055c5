"""What a run's events say: progress for a person, the gates that stopped it, the reason of its failure. Pure.

An event is the JSON object that `operations.job_runs.EVENTS` asks for. Gates are asset checks; one that did not pass with severity
ERROR stopped the run, one with WARN did not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class BlockedGate:
    """A gate that did not pass: its name, the asset it judges, and the reason it gave."""

    gate: str
    asset: str
    reason: str

    def __str__(self) -> str:
        return f"gate {self.gate} on {self.asset}: {self.reason}"


def gates_that_blocked(events: Iterable[Event]) -> list[BlockedGate]:
    """The blocking gates whose last verdict in these events was a failure."""
    found: dict[tuple[str, str], BlockedGate | None] = {}
    for event in events:
        judged = event.get("evaluation")
        if not judged:
            continue
        asset = "/".join(judged["assetKey"]["path"])
        stopped = not judged["success"] and judged["severity"] == "ERROR"
        reason = judged.get("description") or "it did not pass"
        found[asset, judged["checkName"]] = BlockedGate(judged["checkName"], asset, reason) if stopped else None
    return [gate for gate in found.values() if gate is not None]


def failure_reason(events: Iterable[Event]) -> str:
    """The deepest cause of the first failed step, else the run's own failure message, else ""."""
    last = ""
    for event in events:
        kind = event.get("__typename")
        if kind == "ExecutionStepFailureEvent":
            return f"{event.get('stepKey')}: {_root_cause(event.get('error'))}"
        if kind == "RunFailureEvent":
            last = _root_cause(event.get("error")) or str(event.get("message") or "")
    return last


def _root_cause(error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    causes = error.get("causes") or []
    deepest = causes[-1] if causes else error
    return str(deepest.get("message") or "").strip()


def progress(events: Iterable[Event]) -> list[str]:
    """A log line for each event that a person who watches wants to see."""
    lines = []
    for event in events:
        kind, step = event.get("__typename"), event.get("stepKey") or ""
        if kind == "ExecutionStepStartEvent":
            lines.append(f"{step}: started")
        elif kind == "ExecutionStepSuccessEvent":
            lines.append(f"{step}: done")
        elif kind == "ExecutionStepFailureEvent":
            lines.append(f"{step}: FAILED: {_root_cause(event.get('error'))}")
        elif kind == "MaterializationEvent" and event.get("assetKey"):
            lines.append(f"{'/'.join(event['assetKey']['path'])} materialised")
        elif event.get("evaluation"):
            judged = event["evaluation"]
            mark = "passed" if judged["success"] else ("WARNS" if judged["severity"] == "WARN" else "BLOCKS")
            lines.append(f"gate {judged['checkName']} {mark}: {judged.get('description') or ''}".rstrip(": "))
        elif kind == "LogMessageEvent" and event.get("level") in ("INFO", "WARNING", "ERROR", "CRITICAL"):
            lines.append(f"{step}: {event.get('message')}" if step else str(event.get("message")))
        elif kind == "RunEnqueuedEvent":
            lines.append("queued in Dagster")
    return lines
