"""Gate `score_range`: predicted scores or numbers are finite, not all the same, and within bounds. A pure judgement that
needs no baseline."""

from __future__ import annotations

from kumo_assets.config.gates import ScoreRange
from kumo_assets.config.tasks import Task
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.counts import PredictionCounts
from kumo_assets.gates.judgement import ABSOLUTE, Judgement

# Probabilities computed in 32-bit floats may exceed 1 by a rounding error.
ROUNDING = 1e-6
# Fewer entities than this may well share one score.
FEW = 10


def judge_score_range(counts: PredictionCounts, baseline: Baseline | None, limits: ScoreRange, task: Task) -> Judgement:
    """Judges `finite`, `lowest`, `highest` and `entities`. The baseline is only shown beside them."""
    probabilities = task in ("binary_classification", "multiclass_classification")
    least = limits.min if limits.min is not None else 0.0 if probabilities else None
    most = limits.max if limits.max is not None else 1.0 if probabilities else None
    bounds = {"min": least, "max": most}
    if not counts["finite"]:
        return Judgement("error", "some scores are not finite numbers", None, bounds, ABSOLUTE)
    low, high = counts["lowest"], counts["highest"]
    if low is None or high is None:
        return Judgement("error", "there are no scores", None, bounds, ABSOLUTE)
    faults = []
    if low == high and counts["entities"] >= FEW:
        faults.append(f"every score is {low:g}: an input gone constant, or no model at all")
    if least is not None and low < least - ROUNDING:
        faults.append(f"the lowest score is {low:g}, below {least:g}")
    if most is not None and high > most + ROUNDING:
        faults.append(f"the highest score is {high:g}, above {most:g}")
    before: PredictionCounts = baseline.predictions if baseline is not None else {}
    bars = {"lowest": (before.get("lowest"), low), "highest": (before.get("highest"), high)}
    message = "; ".join(faults) or f"scores from {low:g} to {high:g}"
    evidence = {"lowest": low, "highest": high}
    return Judgement("error" if faults else "ok", message, high - low, bounds, ABSOLUTE, evidence, bars=bars)
