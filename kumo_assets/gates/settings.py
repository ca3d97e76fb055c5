"""What the definition says of a gate: what its verdict was judged by, and what tells that it has changed since. Pure but for
reading the file of a query's own gate.

A gate's mode is not among it: the one that `opened.json` records holds for the release, and only a stricter one is taken.
"""

from __future__ import annotations

import hashlib

from pydantic import JsonValue
from pydantic.main import IncEx

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Opened, Verdict
from kumo_assets.gates.own import own_gates
from kumo_assets.gates.registry import GATES

Settings = dict[str, JsonValue]
# The mode: see above. The column of names in a catalogue is for people who read a comparison.
NOT_JUDGED_BY: dict[str, IncEx | bool] = {"mode": True, "catalogue": {"name": True}}


def settings_of(definition: QueryDefinition, gate: str) -> Settings | None:
    """Everything in the definition that a gate's judgement goes by, but for what the artefact itself is made from; None
    for a gate that the query does not have now."""
    spec = definition.spec
    common: Settings = {"baseline": spec.gates.baseline, "reference": spec.gates.reference}
    if gate in spec.asked_gates:
        found = getattr(spec.gates, gate).model_dump(mode="json", by_alias=True, exclude=NOT_JUDGED_BY)
        before_launch = {
            "raw_logs": [*spec.raw_logs],
            "late_logs_tolerance_minutes": spec.schedule.late_logs_tolerance_minutes,
        }
        return {**found, **common, **(before_launch if GATES[gate].before_launch else {})}
    path, own = own_gates(definition).get(gate, (None, None))
    if path is None or own is None or own.mode == "off":
        return None
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:32],
        "top_k": spec.top_k,
        **common,
    }


def judged_by_others(definition: QueryDefinition, verdict: Verdict) -> bool:
    """Whether the definition says something else of the verdict's gate than it was judged by. False where an earlier
    version did not record that, and for a gate that the query does not have any more."""
    now = settings_of(definition, verdict.gate)
    return verdict.settings is not None and now is not None and now != verdict.settings


def mode_for(opened: Opened, gate: str, mode: str) -> str:
    """The mode that a gate judges a release in: `block` when the release was opened with it, or the definition says so."""
    recorded = opened.gates.get(gate)
    return "block" if recorded is not None and recorded.mode == "block" else mode
