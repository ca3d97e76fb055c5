"""The formulas of realised quality: estimates with standard errors from sums, discounted gain, AUC, calibration.

Plain Python on numbers that SQL has summed; nothing here knows a release. Every standard error is by entity: an entity's
list is one observation, however many items it has.

Sources. Mean, variance and paired differences: Student, "The probable error of a mean", Biometrika 6, 1908. Recall, mean
reciprocal rank: Voorhees, TREC-8, 1999. NDCG: Jarvelin and Kekalainen, ACM TOIS 20, 2002. Share of the catalogue shown:
Ge, Delgado-Battenfeld and Jannach, RecSys 2010. AUC as Mann and Whitney's statistic, with the standard error of DeLong,
DeLong and Clarke-Pearson, Biometrics 44, 1988. Brier: Monthly Weather Review 78, 1950. Standard error of a square
root: the delta method (Cochran, "Sampling Techniques", 1977, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A probability of 0 or 1 that was wrong would cost an infinite log loss; scikit-learn clips as well.
LEAST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class Moments:
    """Of one figure over entities: how many have it, the sum and the sum of squares."""

    count: int
    total: float
    squares: float

    @classmethod
    def of_row(cls, row: Mapping[str, Any], name: str) -> Moments:
        """Out of the columns `<name>_N`, `<name>_S`, `<name>_Q` of an SQL result."""
        return cls(int(row[f"{name}_N"] or 0), float(row[f"{name}_S"] or 0), float(row[f"{name}_Q"] or 0))


@dataclass(frozen=True)
class Estimate:
    """A figure, its standard error by entity, and how many entities it is over."""

    value: float
    standard_error: float
    entities: int


def mean(moments: Moments) -> Estimate | None:
    """The mean and its standard error s / sqrt(n). None over nothing; the error is 0 for one entity."""
    n = moments.count
    if n == 0:
        return None
    value = moments.total / n
    return Estimate(value, math.sqrt(sample_variance(moments) / n), n)


def sample_variance(moments: Moments) -> float:
    """The variance between entities, with n - 1 in the denominator; 0 for fewer than two."""
    n = moments.count
    if n < 2:
        return 0.0
    # Rounding can make a variance of nothing slightly negative.
    return max(moments.squares - moments.total**2 / n, 0.0) / (n - 1)


def root_mean(squared_errors: Moments) -> Estimate | None:
    """The square root of a mean (RMSE of squared errors), its error by the delta method: se / (2 root)."""
    found = mean(squared_errors)
    if found is None:
        return None
    root = math.sqrt(max(found.value, 0.0))
    return Estimate(root, found.standard_error / (2 * root) if root else 0.0, found.entities)


def discount(rank: int) -> float:
    """What a hit at a rank (1 is the first) gains: 1 / log2(rank + 1)."""
    return 1 / math.log2(rank + 1)


def ideal_gain(hits: int) -> float:
    """The discounted gain of a list that begins with this many hits."""
    return sum(discount(rank) for rank in range(1, hits + 1))


def area_under_curve(positives: Moments, negatives: Moments) -> Estimate | None:
    """AUC and its standard error from placements (DeLong): of each positive the share of negatives that it beats, of each
    negative the share of positives that beat it, ties counting half. None without both kinds."""
    if not positives.count or not negatives.count:
        return None
    variance = sum(sample_variance(side) / side.count for side in (positives, negatives))
    return Estimate(positives.total / positives.count, math.sqrt(variance), positives.count + negatives.count)


def area_difference(positives: Moments, negatives: Moments) -> Estimate | None:
    """The difference of two AUCs on the same entities: the same sums, of the differences of placements (DeLong)."""
    return area_under_curve(positives, negatives)


@dataclass(frozen=True)
class CalibrationBin:
    """One tenth of the entities by what was predicted: the mean prediction, the mean of what happened, and its error."""

    entities: int
    predicted: float
    happened: float
    standard_error: float


def calibration(rows: Sequence[Mapping[str, Any]]) -> list[CalibrationBin]:
    """Deciles from rows of BIN, P_N, P_S, Y_N, Y_S, Y_Q: in order of BIN, empty ones left out."""
    found = []
    for row in sorted(rows, key=lambda row: int(row["BIN"])):
        happened = mean(Moments.of_row(row, "Y"))
        if happened is not None:
            predicted = float(row["P_S"]) / happened.entities
            found.append(CalibrationBin(happened.entities, predicted, happened.value, happened.standard_error))
    return found
