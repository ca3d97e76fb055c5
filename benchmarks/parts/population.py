"""A made-up population of entities with five correlated rows each, resampled by entity, and the counts of a resample.

An entity is a list of five items with falling scores: its own level moves all five, its taste prefers some items. A
release of n entities is a bootstrap: how often each of the population's entities occurs. All counts the gates ask of
Snowflake follow from those weights, exactly and without making a row, so that a million entities cost what 200 do.
What is judged from the counts is in `kumo_assets.gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kumo_assets.gates.count_sql import BINS, MOST_CLASSES

LIST = 5
ITEMS, TASTES = 2000, 20
# Of the variance of a score, how much is the entity's own level: its five rows move together.
LEVEL = 0.7
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """All scores of the population, sorted, and whose each is."""

    values: Floats
    owner: Ints

    @classmethod
    def of(cls, scores: Floats) -> Scores:
        order = np.argsort(scores, axis=None)
        return cls(scores.ravel()[order], (order // LIST).astype(np.int64))

    def edges(self, weights: Ints) -> list[float]:
        """Quantile edges of a resample, as APPROX_PERCENTILE would give them."""
        cumulated = np.cumsum(weights[self.owner])
        places = np.searchsorted(cumulated, cumulated[-1] * np.arange(1, BINS) / BINS)
        return [float(edge) for edge in np.unique(self.values[places])]

    def histogram(self, weights: Ints, edges: list[float], shift: float = 0.0) -> list[int]:
        """Counts of a resample over (-inf, e1], (e1, e2], ..., with every score moved by `shift`."""
        cumulated = np.concatenate([[0], np.cumsum(weights[self.owner])])
        below = cumulated[np.searchsorted(self.values, np.asarray(edges) - shift, side="right")]
        return [int(count) for count in np.diff(np.concatenate([[0], below, [cumulated[-1]]]))]


@dataclass(frozen=True)
class Population:
    """`items[entity, rank]`; `scores` as they should be, `flat` those of a model whose entity feature went constant."""

    items: Ints
    scores: Scores
    flat: Scores
    deviation: float

    @property
    def size(self) -> int:
        return len(self.items)

    def resample(self, n: int, random: np.random.Generator) -> Ints:
        """How often each entity of the population occurs among n drawn with replacement."""
        return np.bincount(random.integers(0, self.size, n), minlength=self.size)


def make(size: int, seed: int = 7) -> Population:
    """`size` entities: five items by popularity (Zipf, exponent 0.8) and taste, by Gumbel's top-k trick; scores are
    the perturbed utilities and the entity's level."""
    random = np.random.default_rng(seed)
    popularity = -0.8 * np.log(np.arange(1, ITEMS + 1, dtype=np.float64))
    preference = random.normal(0, 1.0, (TASTES, ITEMS))
    items = np.empty((size, LIST), dtype=np.int64)
    utilities = np.empty((size, LIST))
    for start in range(0, size, 1000):
        stop = min(start + 1000, size)
        taste = random.integers(0, TASTES, stop - start)
        utility = popularity + preference[taste] + random.gumbel(0, 1, (stop - start, ITEMS))
        best = np.argpartition(-utility, LIST, axis=1)[:, :LIST]
        found = np.take_along_axis(utility, best, axis=1)
        order = np.argsort(-found, axis=1)
        items[start:stop] = np.take_along_axis(best, order, axis=1)
        utilities[start:stop] = np.take_along_axis(found, order, axis=1)
    own = np.sqrt(1 - LEVEL) * (utilities - utilities.mean()) / utilities.std()
    scores = own + np.sqrt(LEVEL) * random.standard_normal((size, 1))
    return Population(items, Scores.of(scores), Scores.of(own), float(scores.std()))


def count_predictions(scores: Scores, weights: Ints, edges: list[float] | None, shift: float = 0.0) -> dict[str, Any]:
    """What `gates.count_sql.count_predictions` would return; `edges` None makes a baseline with edges of its own."""
    entities = int(weights.sum())
    known = edges if edges is not None else scores.edges(weights)
    histogram = scores.histogram(weights, known, shift)
    return {
        "rows": LIST * entities,
        "entities": entities,
        "nulls": 0,
        "keys": LIST * entities,
        "finite": True,
        "lowest": 0.0,
        "highest": 1.0,
        "against": histogram if edges is not None else [],
        "edges": known,
        "histogram": histogram,
    }


def count_lists(
    items: Ints, weights: Ints, first: tuple[int, float] | None, random: np.random.Generator
) -> dict[str, Any]:
    """What `gates.count_sql.count_lists` would return. `first` = (item, share): it takes that share of first places."""
    served = np.zeros(ITEMS, dtype=np.int64)
    places = np.zeros(ITEMS, dtype=np.int64)
    taken = random.binomial(weights, first[1]) if first is not None else np.zeros_like(weights)
    for rank in range(LIST):
        kept = weights - taken if rank == 0 else weights
        counted = np.bincount(items[:, rank], weights=kept, minlength=ITEMS).astype(np.int64)
        if rank == 0:
            if first is not None:
                counted[first[0]] += taken.sum()
            places = counted
        served += counted
    order = np.lexsort((np.arange(ITEMS), -served))[:MOST_CLASSES]
    first_order = np.lexsort((np.arange(ITEMS), -places))[:MOST_CLASSES]
    return {
        "lists": int(weights.sum()),
        "short": 0,
        "misranked": 0,
        "disordered": 0,
        "longest": LIST,
        "classes": {str(item): int(served[item]) for item in order if served[item]},
        "coverage": int(np.count_nonzero(served)),
        "served": int(served.sum()),
        "firsts": {str(item): int(places[item]) for item in first_order if places[item]},
        "finite": True,
    }
