"""The check `realised_quality`: is a release worse than its rivals of the same days? Pure, on stored outcomes.

Two pieces of evidence, each in which weekday and season cancel because both sides are of the same day and the same entities:

- against the release before: the paired difference by entity, as a share of that release's figure. It is the sharp one: two
  good releases a day apart differ by little.
- against the fallback: the logarithm of release over fallback, against the same of the last releases. A release that
  follows another bad one, or a slow decline, shows here. What that ratio does from day to day without any fault is
  measured by itself; the prediction interval is Student's for one more observation (Hahn and Meeker, "Statistical
  Intervals", 1991, section 4.6).

A loss below `least_loss` never fails. How often good releases fail, and how often bad ones do, is measured in
`kumo_assets_tests/outcomes/test_quality_power.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from kumo_assets.documents import Figure, Outcome
from kumo_assets.releases.outcomes import MAIN

# Standard errors that a paired difference must be below nothing by. A normal figure is beyond it once in 30,000.
SURE = 4.0
# The same, of the deviation from the last releases' ratio; its spread is estimated from few, and the days are not alike.
# On half a year of the groceries' real days none of 1,000 sequences is beyond it (test_quality_power).
FAR = 6.0
# Releases that the ratio is compared with: the last ones, and no comparison with fewer.
LAST, FEWEST = 28, 14


@dataclass(frozen=True)
class Quality:
    """The judgement of one release. `loss` is the largest of the losses looked at, as a share of what was expected (None
    when nothing could be compared); `evidence` says each of them."""

    passed: bool
    message: str
    loss: float | None = None
    evidence: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def compared(self) -> bool:
        return self.loss is not None


def judge_quality(outcome: Outcome, earlier: Sequence[Outcome], least_loss: float) -> Quality:
    """Judge a release at its first age. `earlier` are the outcomes at the same age of the releases before it, newest first;
    those that were not judged, or are of another task, are left out here.
    """
    name, more_is_better = MAIN[outcome.task]
    said = name.replace("_", " ")
    own = outcome.figures.get(name)
    if not outcome.judged or own is None:
        return Quality(True, f"not judged: {outcome.reason or 'it has no ' + said}")
    losses = [
        found
        for found in (
            _against_before(outcome, name, more_is_better),
            _against_last(outcome, earlier, name, more_is_better),
        )
        if found is not None
    ]
    evidence: dict[str, float | int | str] = {
        "figure": name,
        "value": own.value,
        "standard_error": own.standard_error or 0.0,
        "entities": own.entities,
    }
    for loss in losses:
        evidence |= {f"loss against {loss.rival}": loss.share, f"{loss.rival}: {loss.unit}": loss.distance}
    if not losses:
        reason = outcome.rivals["before"].reason if "before" in outcome.rivals else "there is no rival"
        return Quality(True, f"{said} {own.value:.4g}; nothing to compare with yet: {reason}", None, evidence)
    worst = max(losses, key=lambda loss: loss.share)
    bad = [loss for loss in losses if loss.share >= least_loss and loss.distance > loss.limit]
    if bad:
        message = f"{said} {own.value:.4g}: " + "; ".join(loss.sentence() for loss in bad)
        return Quality(False, message, worst.share, evidence)
    return Quality(True, f"{said} {own.value:.4g}, {worst.sentence()}", worst.share, evidence)


@dataclass(frozen=True)
class _Loss:
    """How much worse than a rival, as a share; how far that is from chance, in `unit`, and from where on it is `limit`."""

    rival: str
    share: float
    distance: float
    limit: float
    unit: str

    def sentence(self) -> str:
        way = "worse" if self.share >= 0 else "better"
        return f"{abs(self.share):.1%} {way} than {self.rival} ({abs(self.distance):.1f} {self.unit})"


def _against_before(outcome: Outcome, name: str, more_is_better: bool) -> _Loss | None:
    """The paired difference from the release before, as a share of that one's figure."""
    rival = outcome.rivals.get("before")
    before = rival.figures.get(name) if rival is not None else None
    difference = rival.differences.get(name) if rival is not None else None
    if rival is None or before is None or difference is None or before.value <= 0:
        return None
    worse = -difference.value if more_is_better else difference.value
    error = difference.standard_error or 0.0
    # Without an error (one entity, or the same everywhere) nothing says how far from chance a loss is.
    distance = worse / error if error else 0.0
    return _Loss(f"{rival.release_id}, live before it", worse / before.value, distance, SURE, "standard errors")


def _against_last(outcome: Outcome, earlier: Sequence[Outcome], name: str, more_is_better: bool) -> _Loss | None:
    """The ratio to the fallback, against that of the last releases."""
    now = _log_ratio(outcome, name)
    past = [ratio for one in earlier[:LAST] if one.task == outcome.task if (ratio := _log_ratio(one, name)) is not None]
    if now is None or len(past) < FEWEST:
        return None
    spread = stdev(past) * math.sqrt(1 + 1 / len(past))
    worse = fmean(past) - now if more_is_better else now - fmean(past)
    share = 1 - math.exp(-worse) if more_is_better else math.exp(worse) - 1
    distance = worse / spread if spread else 0.0
    return _Loss(f"the last {len(past)} were, against the fallback", share, distance, FAR, "spreads")


def _log_ratio(outcome: Outcome, name: str) -> float | None:
    rival = outcome.rivals.get("fallback")
    own, fallback = outcome.figures.get(name), rival.figures.get(name) if rival is not None else None
    if not outcome.judged or own is None or fallback is None or fallback.value <= 0:
        return None
    # No hit at all is worse than any; half an entity's keeps the logarithm finite.
    return math.log(max(own.value, _least(own)) / fallback.value)


def _least(figure: Figure) -> float:
    return 0.5 / max(figure.entities, 1)
