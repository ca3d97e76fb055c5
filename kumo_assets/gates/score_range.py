"""Gate `score_range`: predicted scores or numbers are finite, not all the same, and within bounds. Needs no baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.config.gates import ScoreRange
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.judgement import Judgement

# Probabilities computed in 32-bit floats may exceed 1 by a rounding.
ROUNDING = 1e-6
# So few entities may well have one score between them.
FEW = 10


def judge_score_range(counts: Mapping[str, Any], baseline: Baseline | None, limits: ScoreRange, task: str) -> Judgement:
    """`counts` has `finite`, `lowest`, `highest` and `entities`. The baseline is shown, not judged by."""
    probabilities = task in ("binary_classification", "multiclass_classification")
    least = limits.min if limits.min is not None else 0.0 if probabilities else None
    most = limits.max if limits.max is not None else 1.0 if probabilities else None
    bounds = {"min": least, "max": most}
    told = {"kind": "absolute"}
    if not counts["finite"]:
        return Judgement("error", "some scores are not finite numbers", None, bounds, told)
    low, high = counts["lowest"], counts["highest"]
    if low is None or high is None:
        return Judgement("error", "there are no scores", None, bounds, told)
    faults = []
    if low == high and counts["entities"] >= FEW:
        faults.append(f"every score is {low:g}: an input gone constant, or no model at all")
    if least is not None and low < least - ROUNDING:
        faults.append(f"the lowest score is {low:g}, below {least:g}")
    if most is not None and high > most + ROUNDING:
        faults.append(f"the highest score is {high:g}, above {most:g}")
    before = baseline.counts("predictions") if baseline is not None else {}
    bars = {"lowest": (before.get("lowest"), low), "highest": (before.get("highest"), high)}
    words = "; ".join(faults) or f"scores from {low:g} to {high:g}"
    evidence = {"lowest": low, "highest": high}
    return Judgement("error" if faults else "ok", words, high - low, bounds, told, evidence, bars=bars)
