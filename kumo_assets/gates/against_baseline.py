"""What all judgements on a figure compared with a baseline have in common: effective limits, the first release, and what
happens when there is nothing to compare with. Pure.

The figures themselves are computed in each gate's own module; which baselines a release has is decided in `baseline`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from kumo_assets.config.registration import Limits
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.judgement import ABSOLUTE, Judgement, level, limit_passed, worst
from kumo_assets.gates.outcome import Bars

BOOTSTRAP: Mapping[str, object] = {"kind": "bootstrap"}

C = TypeVar("C")
L = TypeVar("L", bound=Limits)


def against_each(
    judge: Callable[[C, Baseline | None, L], Judgement],
    counts: C,
    limits: L,
    baselines: Baselines,
    *,
    reference: bool = True,
) -> Judgement:
    """The gravest judgement over all baselines, the fixed `reference` among them. A first release is judged against
    None. Where there should be a baseline and is none, nothing passes."""
    compared = [item for item in baselines.drift() if reference or item.kind != "fixed"]
    judgements = [judge(counts, item, limits) for item in compared]
    if baselines.fault:
        judgements.append(nothing_compared(baselines.fault, None, limits))
    return worst(judgements or [judge(counts, None, limits)])


def unless_fault(judge: Callable[[], Judgement], limits: Limits, baselines: Baselines) -> Judgement:
    """The judgement, except where there should be a baseline and is none: that is no bootstrap."""
    return nothing_compared(baselines.fault, None, limits) if baselines.fault else judge()


def judge_figure(
    value: float,
    floor: float,
    limits: Limits,
    message: str,
    baseline: Mapping[str, object],
    *,
    evidence: Mapping[str, object] | None = None,
    segment: str = "",
    bars: Bars | None = None,
) -> Judgement:
    """The judgement of a figure. Its limits are never below the noise `floor`, what chance alone would show."""
    warn, block = max(limits.warn, floor), max(limits.block, floor)
    bounds = {
        **limits_of(limits),
        "noise_floor": round(floor, 6),
        "effective_warn": round(warn, 6),
        "effective_block": round(block, 6),
    }
    severity = level(value, warn, block)
    message += limit_passed(severity, warn, block)
    return Judgement(severity, message, value, bounds, baseline, evidence or {}, segment, bars or {})


def bootstrap(message: str, limits: Limits) -> Judgement:
    """The judgement of a first release, which has nothing to be compared with."""
    return Judgement("ok", f"{message} (bootstrap)", None, limits_of(limits), BOOTSTRAP)


def nothing_compared(message: str, baseline: Baseline | None, limits: Limits) -> Judgement:
    """What could not be compared did not pass."""
    recorded = baseline.recorded() if baseline is not None else ABSOLUTE
    return Judgement("error", f"could not be compared: {message}", None, limits_of(limits), recorded)


def limits_of(limits: Limits) -> dict[str, float]:
    """The configured limits, as a verdict records them."""
    return {"warn": limits.warn, "block": limits.block}
