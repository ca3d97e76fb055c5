"""The formulas: PSI, total variation, and how large a figure is by chance alone. Plain Python on numbers.

Nothing here knows a release or a limit, and nothing counts. Distributions are compared by effect size, never by a
p-value: at 5 million rows a shift of 0.005 sigma gives a Kolmogorov-Smirnov p of 4e-14 and a PSI of 0.00003 (measured).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

# The share that an empty bin is given. PSI depends on it: a bin that holds 1% on one side and nothing on the other gives
# 0.046, 0.093 or 0.162 for fills of 1e-4, 1e-6 and 1e-9.
FILL = 1e-4
# A gate stops one release in a thousand by chance alone.
CHANCE = 0.001


def shares(counts: Sequence[float]) -> list[float]:
    """Counts as shares of their sum; all zero when there is nothing."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def psi(reference: Sequence[float], current: Sequence[float], fill: float = FILL) -> float:
    """Population Stability Index of two histograms over the same bins: sum of (c - r) ln(c / r) over shares.

    It is the symmetric Kullback-Leibler divergence (Jeffreys 1946; Siddiqi, "Credit Risk Scorecards", 2006). Empty bins
    count as `fill`.
    """
    return sum(psi_pieces(reference, current, fill))


def psi_pieces(reference: Sequence[float], current: Sequence[float], fill: float = FILL) -> list[float]:
    """Each bin's part of the PSI: the largest names the segment that moved most."""
    if len(reference) != len(current):
        raise ValueError(f"{len(reference)} bins against {len(current)}")
    pairs = zip(shares(reference), shares(current), strict=True)
    return [(max(c, fill) - max(r, fill)) * math.log(max(c, fill) / max(r, fill)) for r, c in pairs]


def total_variation(reference: Mapping[str, float], current: Mapping[str, float]) -> float:
    """Half the sum of absolute differences of shares: the largest difference any set of classes shows. 0 to 1."""
    left, right = sum(reference.values()), sum(current.values())
    if not left or not right:
        return 1.0 if left != right else 0.0
    return 0.5 * sum(
        abs(reference.get(name, 0) / left - current.get(name, 0) / right) for name in reference.keys() | current.keys()
    )


def chi_square_quantile(probability: float, degrees: int) -> float:
    """Wilson and Hilferty's approximation (PNAS 17, 1931). At 0.999 and 3 degrees or more it is at most 2% above the exact
    quantile, and not below it."""
    z = NormalDist().inv_cdf(probability)
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + z * math.sqrt(spread)) ** 3)


def psi_floor(bins: int, n: int, m: int, chance: float = CHANCE) -> float:
    """The PSI that chance alone exceeds with probability `chance`, when nothing has moved.

    PSI of two samples of n and m is about chi-square with bins - 1 degrees, times (1/n + 1/m) (Yurdakul, "Statistical
    Properties of Population Stability Index", 2018). n and m are *entities*: an entity's rows move together, so
    counting rows would give too low a floor.
    """
    if n <= 0 or m <= 0 or bins < 2:
        return math.inf
    return chi_square_quantile(1 - chance, bins - 1) * (1 / n + 1 / m)


def total_variation_floor(reference: Mapping[str, float], n: int, m: int, chance: float = CHANCE) -> float:
    """The total variation that chance alone exceeds about once in 1 / `chance`.

    Its mean is the sum over classes of sqrt(p (1 - p) (1/n + 1/m) / (2 pi)) (the mean of a folded normal); its standard
    deviation is at most sqrt((1/n + 1/m) / 4) (bounded differences). n and m are entities.
    """
    if n <= 0 or m <= 0:
        return math.inf
    noise = 1 / n + 1 / m
    mean = sum(math.sqrt(p * (1 - p) * noise / (2 * math.pi)) for p in shares(list(reference.values())))
    return mean + NormalDist().inv_cdf(1 - chance) * math.sqrt(noise) / 2


def share_floor(share: float, n: int, m: int, of: int = 1, chance: float = CHANCE) -> float:
    """The difference of two shares near `share` that chance alone exceeds (two-sample normal approximation).

    `of` is how many shares are looked at for the largest difference (Bonferroni).
    """
    if n <= 0 or m <= 0:
        return math.inf
    z = NormalDist().inv_cdf(1 - chance / max(of, 1))
    return z * math.sqrt(share * (1 - share) * (1 / n + 1 / m))


def loss_ceiling(share: float, n: int, chance: float = CHANCE) -> float:
    """The share that chance alone exceeds in n when `share` is the true one (one-sample normal approximation)."""
    if n <= 0:
        return math.inf
    return share + NormalDist().inv_cdf(1 - chance) * math.sqrt(share * (1 - share) / n)


def count_floor(n: int, m: int, chance: float = CHANCE) -> float:
    """The relative change from n to m that chance alone exceeds between two counts of independent arrivals.

    Given the sum of two Poisson counts with one mean, each is binomial with probability 1/2 (Przyborowski and Wilenski,
    Biometrika 31, 1940), so their difference has variance n + m. This holds for large losses too. The familiar
    sqrt(1/n + 1/m) is a standard error of the ratio's *logarithm*, and grows with the loss.
    """
    if n <= 0 or m <= 0:
        return 0.0
    return NormalDist().inv_cdf(1 - chance) * math.sqrt(n + m) / n


def distinct_floor(distinct: int, per_entity: float, n: int, m: int, chance: float = CHANCE) -> float:
    """The relative drop in a number of distinct classes that chance alone exceeds.

    The standard deviation has two bounds, and the smaller is used. One entity changes the number by at most its list's
    length, so the deviation is at most length x sqrt(n) / 2 (Efron-Stein; Boucheron, Lugosi, Massart, "Concentration
    Inequalities", 2013, cor. 3.2). The number of classes that occur varies less than if they occurred independently,
    where its variance is at most their number; the rows of one entity may all move together, which multiplies the
    variance by the length.
    """
    if distinct <= 0 or n <= 0 or m <= 0:
        return math.inf
    by_entity = per_entity * math.sqrt(n + m) / 2
    by_class = math.sqrt(2 * distinct * max(per_entity, 1.0))
    return NormalDist().inv_cdf(1 - chance) * min(by_entity, by_class) / distinct


def distinct_edges(quantiles: Sequence[float]) -> list[float]:
    """Inner bin edges from quantiles: rising and without repeats, so that scores with many ties still have bins."""
    found: list[float] = []
    for edge in sorted(value for value in quantiles if math.isfinite(value)):
        if not found or edge > found[-1]:
            found.append(edge)
    return found
