"""Verdicts in words: what each gate found, against what, and what to look at. Pure text from stored verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.documents import Opened, Verdict

MISSING = "no verdict: the check was not reached, was skipped, or raised; promotion is refused without it"

ADVICE = {
    "raw_freshness": "look at the stream that ends early: is its connector behind, or has it stopped?",
    "raw_volume": "compare the log's rows of the day with those of the day before: a stream that stopped, or runs twice?",
    "raw_drift": "look at the column that moved most, at its source: a changed schema, unit or default?",
    "kumo_warnings": "read the warnings in Kumo's job; list harmless titles under gates.kumo_warnings.allow",
    "volume": "compare the raw logs of the day with those of the day before: are entities missing upstream?",
    "keys": "look at repeated (ENTITY, CLASS) pairs in Kumo's table; a graph with a duplicated key gives them",
    "score_range": "scores that are all the same or out of bounds: a model that failed to train, or the wrong task?",
    "score_drift": "look at the bin that moved most: a retrained model, a changed feature, a column gone constant?",
    "class_share": "look at the class that moved most: a campaign, a catalogue change, a wrong join?",
    "class_balance": "look at the class that moved most: a retrained model, a moved threshold, a column gone constant?",
    "top_item": "look at the item that is first most often, and at the raw logs of it",
    "coverage": "look for a filter in postprocess.sql, or a catalogue that was cut",
    "unknown_items": "look these items up: a catalogue that was cut, or logs of items that are gone?",
    "entities_lost": "compare the entities of both tables: which segment is missing from the raw logs or the graph?",
    "overlap": "lists that change altogether overnight point to a changed model or scrambled keys",
    "list_shape": "look at postprocess.sql: which rule leaves lists short, or ranks twice?",
    "import_complete": "look at the import's error log in CloudWatch (/aws-dynamodb/imports)",
}


def look_at(gate: str) -> str:
    """What to look at when the gate does not pass; an own gate's file."""
    return ADVICE.get(gate, f"the query's own gate: its file is gates/{gate}.sql or gates/{gate}.py")


def explained(verdicts: Mapping[str, Verdict | None]) -> list[dict[str, Any]]:
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
    lines.append("    baseline  " + ", ".join(f"{name} {value}" for name, value in verdict.baseline.known().items()))
    if verdict.segment:
        lines.append(f"    moved     {verdict.segment}")
    if verdict.severity != "ok":
        lines.append(f"    look at   {look_at(gate)}")
    return "\n".join(lines)
