"""What a gate says, before it becomes a stored verdict. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kumo_assets.releases.documents import Opened, Verdict, utc_now

Severity = Literal["ok", "warn", "error"]


@dataclass(frozen=True)
class Judgement:
    """`severity` error stops a release where the gate's mode is block; warn is shown and lets through."""

    severity: Severity
    message: str
    value: float | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


def to_verdict(judgement: Judgement, opened: Opened, gate: str, asset: str, mode: str, run_id: str) -> Verdict:
    """The verdict to store. In `warn` mode an error is only a warning."""
    severity = judgement.severity
    if mode == "warn" and severity == "error":
        severity = "warn"
    return Verdict(
        query=opened.query,
        release_id=opened.release_id,
        partition=opened.partition,
        gate=gate,
        asset=asset,
        mode="warn" if mode == "warn" else "block",
        passed=severity == "ok",
        severity=severity,
        value=judgement.value,
        limits=dict(judgement.limits),
        baseline=dict(judgement.baseline),
        message=judgement.message,
        evidence=dict(judgement.evidence),
        decided_at=utc_now(),
        run_id=run_id,
    )
