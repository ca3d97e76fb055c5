"""Gate `score_range`: predicted scores or numbers are finite, not the same for nearly everybody, within bounds, and agree
with the class predicted. A pure judgement that needs no baseline."""

from __future__ import annotations

from kumo_assets.config.gates import ScoreRange
from kumo_assets.config.tasks import Task
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.counts import PredictionCounts
from kumo_assets.gates.judgement import ABSOLUTE, Judgement

# Probabilities computed in 32-bit floats may exceed 1 by a rounding error.
ROUNDING = 1e-6
EVEN = 0.5
# Fewer entities than this may well share one score.
FEW = 10


def judge_score_range(
    counts: PredictionCounts,
    baseline: Baseline | None,
    limits: ScoreRange,
    task: Task,
    threshold: float | None = None,
) -> Judgement:
    """Judges `finite`, `lowest`, `highest`, `entities`, and where they were counted `alike`, `contradicted`,
    `lowest_true` and `highest_false`. The baseline is only shown beside them. `threshold` is the probability from which
    the query's source predicts true; None when nothing says so.
    """
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
    elif counts["entities"] >= FEW and counts.get("values"):
        share = counts["alike"] / counts["values"]
        if share >= limits.most_alike:
            of = "of their class's scores" if "decided" in counts else "score"
            faults.append(
                f"{share:.2%} of all scores are one and the same {of}: an input gone constant, or no model at all "
                f"(the limit is {limits.most_alike:.0%})"
            )
    faults += _contradictions(counts, limits, threshold)
    if least is not None and low < least - ROUNDING:
        faults.append(f"the lowest score is {low:g}, below {least:g}")
    if most is not None and high > most + ROUNDING:
        faults.append(f"the highest score is {high:g}, above {most:g}")
    before: PredictionCounts = baseline.predictions if baseline is not None else {}
    bars = {"lowest": (before.get("lowest"), low), "highest": (before.get("highest"), high)}
    message = "; ".join(faults) or f"scores from {low:g} to {high:g}"
    counted = ("values", "alike", "decided", "contradicted", "lowest_true", "highest_false")
    evidence = {"lowest": low, "highest": high} | {name: counts.get(name) for name in counted if name in counts}
    return Judgement("error" if faults else "ok", message, high - low, bounds, ABSOLUTE, evidence, bars=bars)


def _contradictions(counts: PredictionCounts, limits: ScoreRange, threshold: float | None) -> list[str]:
    """How the class predicted contradicts the probabilities. A threshold that nobody names may be any, but it is one."""
    if counts.get("decided"):
        share = counts["contradicted"] / counts["decided"]
        if share > limits.contradicted:
            return [
                f"{share:.2%} of entities are predicted a class that is not their likeliest (the limit is "
                f"{limits.contradicted:.0%})"
            ]
    lowest_true, highest_false = counts.get("lowest_true"), counts.get("highest_false")
    if lowest_true is None and highest_false is None:
        return []
    found = []
    if lowest_true is not None and highest_false is not None and lowest_true < highest_false - ROUNDING:
        found.append(f"some with probability {lowest_true:g} are predicted true, some with {highest_false:g} false")
    elif threshold is not None:
        if lowest_true is not None and lowest_true < threshold - ROUNDING:
            found.append(f"some with probability {lowest_true:g} are predicted true; the threshold is {threshold:g}")
        if highest_false is not None and highest_false > threshold + ROUNDING:
            found.append(f"some with probability {highest_false:g} are predicted false; the threshold is {threshold:g}")
    else:
        low, high = counts.get("lowest"), counts.get("highest")
        if highest_false is None and high is not None and high < EVEN:
            found.append(f"all are predicted true, the likeliest with probability {high:g}")
        if lowest_true is None and low is not None and low > EVEN:
            found.append(f"all are predicted false, the least likely with probability {low:g}")
    return [f"TARGET_PRED contradicts TRUE_PROB: {fault}" for fault in found]
