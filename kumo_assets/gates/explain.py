"""Verdicts as text and as JSON: what each gate found, against what, and what to look at. Pure; the input is stored
verdicts.

The same in the Dagster UI is in `reporting`. What a gate advises is in its registration.
"""

from __future__ import annotations

from collections.abc import Mapping

from kumo_assets.documents import Opened, Verdict
from kumo_assets.gates.registry import GATES

MISSING = "no verdict: the check was not reached, was skipped, or raised; promotion is refused without it"


def look_at(gate: str) -> str:
    """What to look at when the gate does not pass: the advice of its registration, or an own gate's file."""
    if gate in GATES:
        return GATES[gate].advice
    return f"the query's own gate: its file is gates/{gate}.sql or gates/{gate}.py"


def explained(verdicts: Mapping[str, Verdict | None]) -> list[dict[str, object]]:
    """The verdicts as JSON: each as it is stored, with the segment that moved most and what to look at."""
    return [
        verdict.model_dump(mode="json")
        | {"segment": verdict.segment, "look_at": "" if verdict.passed else look_at(gate)}
        if verdict is not None
        else {
            "gate": gate,
            "passed": False,
            "mode": "block",
            "severity": "missing",
            "value": None,
            "limits": {},
            "baseline": {},
            "message": MISSING,
            "segment": "",
            "look_at": "the run's log: which step failed, or was left out?",
        }
        for gate, verdict in sorted(verdicts.items())
    ]


def explain(opened: Opened, verdicts: Mapping[str, Verdict | None]) -> str:
    """A page of text, a paragraph a gate, those that stop the release first."""
    blocks = [(gate, verdict) for gate, verdict in sorted(verdicts.items())]
    blocks.sort(key=lambda item: _rank(item[1]))
    head = f"{opened.query}, partition {opened.partition}, release {opened.release_id}"
    if opened.adopted:
        head += "\n  adopts " + ", ".join(f"{asset} of {release}" for asset, release in opened.adopted.items())
    return "\n".join([head, *(_paragraph(gate, verdict) for gate, verdict in blocks)])


def _rank(verdict: Verdict | None) -> int:
    if verdict is None:
        return 1
    return {"error": 0, "warn": 2, "ok": 3}[verdict.severity]


def _paragraph(gate: str, verdict: Verdict | None) -> str:
    if verdict is None:
        return f"\n  {gate}: MISSING\n    {MISSING}"
    state = {"error": "BLOCKS" if verdict.blocks else "ERROR", "warn": "WARNS", "ok": "passes"}[verdict.severity]
    lines = [f"\n  {gate}: {state} (mode {verdict.mode})", f"    {verdict.message}"]
    if verdict.value is not None:
        lines.append(f"    value     {verdict.value:g}")
    if verdict.limits:
        lines.append("    limits    " + ", ".join(f"{name} {value}" for name, value in verdict.limits.items()))
    for before in verdict.earlier:
        limits = ", ".join(f"{name} {value}" for name, value in before.limits.items()) or "none"
        lines.append(
            f"    before    {'passed' if before.passed else 'did not pass'} by limits {limits} ({before.decided_at})"
        )
    lines.append("    baseline  " + ", ".join(f"{name} {value}" for name, value in verdict.baseline.known().items()))
    if verdict.segment:
        lines.append(f"    moved     {verdict.segment}")
    if verdict.severity != "ok":
        lines.append(f"    look at   {look_at(gate)}")
    return "\n".join(lines)
