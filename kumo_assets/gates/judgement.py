"""What a gate says, before it becomes a stored verdict. Pure values.

A figure that is no number is never a pass: `to_verdict` turns it into an error, whoever computed it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kumo_assets.documents import ComparedWith, Opened, Verdict, utc_now

Severity = Literal["ok", "warn", "error"]
SEVERITIES: tuple[Severity, ...] = ("ok", "warn", "error")
# Label -> (in the baseline, in this release): what the plot shows, this release over its baseline.
Bars = Mapping[str, tuple[float | None, float]]


@dataclass(frozen=True)
class Judgement:
    """`severity` error stops a release where the gate's mode is block; warn is shown and lets through.

    `segment` is the part that moved most, in words. `always` makes an error block in every mode.
    """

    severity: Severity
    message: str
    value: float | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    segment: str = ""
    bars: Bars = field(default_factory=dict)
    always: bool = False


def level(value: float, warn: float, block: float) -> Severity:
    """The severity of a figure against its two limits. What is no number is an error, not a pass."""
    if not value <= block:  # NaN compares false with everything
        return "error"
    return "warn" if value > warn else "ok"


def tail(severity: Severity, warn: float, block: float, form: str = ".3g") -> str:
    """The end of a sentence: which limit was passed."""
    return {"error": f"; the limit is {block:{form}}", "warn": f"; a warning from {warn:{form}} on", "ok": ""}[severity]


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The gravest of several comparisons of one gate, its message followed by those of the others."""
    ordered = sorted(judgements, key=lambda item: (SEVERITIES.index(item.severity), item.value or 0.0), reverse=True)
    return replace(ordered[0], message="; ".join(item.message for item in ordered))


def to_verdict(judgement: Judgement, opened: Opened, gate: str, asset: str, mode: str, run_id: str) -> Verdict:
    """The verdict to store. In `warn` mode an error is only a warning, unless it blocks always."""
    if judgement.value is not None and not math.isfinite(judgement.value):
        judgement = replace(
            judgement, severity="error", message=f"{judgement.message} (the figure is {judgement.value})", value=None
        )
    severity = judgement.severity
    stored_mode: Literal["block", "warn"] = "warn" if mode == "warn" else "block"
    if severity == "error" and judgement.always:
        stored_mode = "block"
    elif mode == "warn" and severity == "error":
        severity = "warn"
    evidence = dict(judgement.evidence)
    if judgement.segment:
        evidence["segment"] = judgement.segment
    if judgement.bars:
        evidence["bars"] = {name: list(pair) for name, pair in judgement.bars.items()}
    return Verdict(
        query=opened.query,
        release_id=opened.release_id,
        partition=opened.partition,
        gate=gate,
        asset=asset,
        mode=stored_mode,
        passed=severity == "ok",
        severity=severity,
        value=judgement.value,
        limits=_storable(judgement.limits),
        baseline=ComparedWith.model_validate(_storable(judgement.baseline)),
        message=judgement.message,
        evidence=_storable(evidence),
        decided_at=utc_now(),
        run_id=run_id,
    )


def _storable(value: Any) -> Any:
    """The value as JSON has it: NaN and infinity, which JSON has not, become their names."""
    if isinstance(value, Mapping):
        return {str(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
