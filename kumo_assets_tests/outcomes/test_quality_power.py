"""How often the check `realised_quality` fails without a reason, and how often with one: on half a year of the groceries'
real days, household by household (`groceries`).

A sequence draws 10,000 entities from the households with replacement, each with all its days: weekdays, seasons and what
one day has to do with the next stay. 60 sequences here; 1,000 and the whole power curve with KUMO_SOAK=1 (`make soak`,
`-s` prints it). The figures are in docs/outcomes.md.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import pytest

from kumo_assets.config.outcomes import RealisedQuality
from kumo_assets.documents import Figure, Outcome, RivalOutcome
from kumo_assets.outcomes.formulas import Moments, mean
from kumo_assets.outcomes.quality import FEWEST, LAST, judge_quality
from kumo_assets_tests.outcomes.groceries import DATA, STALE

pytestmark = pytest.mark.timeout(1800)
SOAK = os.environ.get("KUMO_SOAK") == "1"
SEQUENCES = 1000 if SOAK else 60
ENTITIES = 10_000
LEAST = RealisedQuality().least_loss
Hits = npt.NDArray[np.float64]
# Figures are means of hits: own, before, popular; and paired differences.
Day = dict[str, tuple[float, float]]


class Groceries:
    """Hits by day and household, and sequences drawn from them."""

    def __init__(self) -> None:
        with np.load(DATA) as found:
            self.hits = {name: found[name].astype(float) for name in found.files}
        self.served = self.hits.pop("served")
        self.days, self.households = self.served.shape
        self.random = np.random.default_rng(20)

    def weights(self) -> Hits:
        return self.random.multinomial(ENTITIES, np.full(self.households, 1 / self.households)).astype(float)

    def figure(self, values: Hits, weights: Hits, served: Hits) -> list[Figure]:
        """The mean by day of values by day and household, through the formulas of the product."""
        count, total, squares = served @ weights, values @ weights, (values * values) @ weights
        found = (mean(Moments(round(n), s, q)) for n, s, q in zip(count, total, squares, strict=True))
        return [Figure.model_construct(**vars(one)) for one in found if one is not None]

    def outcomes(self, weights: Hits, own: Hits, rows: slice = slice(None)) -> list[Outcome]:
        """The outcome of each day in order, for releases with these hits by day and household."""
        before, popular, served = (
            self.hits["before"][rows],
            self.hits["popular"][rows],
            self.served[rows],
        )
        figures = [
            self.figure(values, weights, served) for values in (own, before, popular, own - before, own - popular)
        ]
        return [outcome_of(*each, day=day) for day, each in enumerate(zip(*figures, strict=True))]


def outcome_of(own: Figure, before: Figure, popular: Figure, lost: Figure, over: Figure, day: int = 0) -> Outcome:
    return Outcome.model_construct(  # valid as it stands; 200,000 of them are made
        query="q",
        release_id=f"r{day}",
        partition="2017-05-01",
        task="ranking",
        age_days=1,
        judged=True,
        window_start="",
        window_end="",
        judged_at="",
        run_id="",
        hours_live=24,
        figures={"mean_hits": own},
        rivals={
            "before": RivalOutcome.model_construct(
                release_id=f"r{day - 1}", reason="", figures={"mean_hits": before}, differences={"mean_hits": lost}
            ),
            "fallback": RivalOutcome.model_construct(
                release_id=None, reason="", figures={"mean_hits": popular}, differences={"mean_hits": over}
            ),
        },
    )


@pytest.fixture(scope="module")
def groceries() -> Groceries:
    return Groceries()


def fails(outcomes: list[Outcome], at: int, now: Outcome | None = None) -> bool:
    past = outcomes[max(0, at - LAST) : at][::-1]
    return not judge_quality(now or outcomes[at], past, LEAST).passed


def test_of_good_releases_at_most_one_sequence_in_a_hundred_is_ever_held(groceries: Groceries) -> None:
    held = 0
    for _ in range(SEQUENCES):
        outcomes = groceries.outcomes(groceries.weights(), groceries.hits["own"])
        held += any(fails(outcomes, at) for at in range(len(outcomes)))
    print(f"\n  sequences of {groceries.days} days with a false hold: {held} of {SEQUENCES}")
    assert held <= 0.01 * SEQUENCES


def detected(groceries: Groceries, bad: Hits, sequences: int, days: int = 2) -> list[float]:
    """Share of sequences in which a release that becomes bad, and stays it, is noticed by the first day, the second, ...

    What the release before served is good on the first day and bad from then on.
    """
    found = np.zeros(days)
    for number in range(sequences):
        weights = groceries.weights()
        start = LAST + (number * 7919) % (groceries.days - LAST - days)
        past = groceries.outcomes(weights, groceries.hits["own"][start - LAST : start], slice(start - LAST, start))
        for day in range(days):
            rows = slice(start + day, start + day + 1)
            own = bad[rows]
            [now] = groceries.outcomes(weights, own, rows)
            if day:
                # On the same day the release before had the same fault; its lists differ by what a day's refresh changes.
                ratio = now.figures["mean_hits"].value
                stale = Figure(value=ratio, standard_error=now.figures["mean_hits"].standard_error, entities=ENTITIES)
                lost = Figure(value=0.0, standard_error=stale.standard_error, entities=ENTITIES)
                now.rivals["before"] = RivalOutcome(
                    release_id="bad", figures={"mean_hits": stale}, differences={"mean_hits": lost}
                )
            if not judge_quality(now, past[::-1], LEAST).passed:
                found[day:] += 1
                break
            past = [*past, now]
    return [float(share) for share in found / sequences]


def thinned(groceries: Groceries, loss: float) -> Hits:
    """Each hit is lost with this chance: so many places of the lists hold something that nobody takes."""
    own = groceries.hits["own"]
    return np.asarray(groceries.random.binomial(own.astype(int), 1 - loss), float)


@pytest.mark.parametrize("kind", ["shuffled lists", "a loss of 30%", "a loss of 50%"])
def test_a_bad_release_is_found_within_two_days(groceries: Groceries, kind: str) -> None:
    bad = groceries.hits["shuffled"] if kind == "shuffled lists" else thinned(groceries, 0.3 if "30" in kind else 0.5)
    shares = detected(groceries, bad, SEQUENCES)
    print(f"\n  {kind}: found on the first day {shares[0]:.1%}, by the second {shares[1]:.1%}")
    assert shares[1] >= 0.99


def test_the_same_list_for_everybody_is_found_and_lists_of_a_week_ago_are_as_good_as_fresh_ones(
    groceries: Groceries,
) -> None:
    constant = detected(groceries, groceries.hits["popular"], SEQUENCES)
    stale = {days: detected(groceries, groceries.hits[f"stale_{days}"], SEQUENCES) for days in STALE}
    print(f"\n  constant lists: {constant}; stale ones, by days: {stale}")
    assert constant[0] >= 0.99
    assert stale[7][1] <= 0.05, "lists of a week ago lose under 1%: no check should fail for them"


@pytest.mark.skipif(not SOAK, reason="long form: make soak")
@pytest.mark.parametrize("loss", [0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25])
def test_the_power_curve(groceries: Groceries, loss: float) -> None:
    shares = detected(groceries, thinned(groceries, loss), SEQUENCES)
    print(f"\n  a loss of {loss:.0%}: found on the first day {shares[0]:.1%}, by the second {shares[1]:.1%}")
    assert shares[1] >= (0.99 if loss >= 0.15 else 0)


def test_before_there_are_enough_releases_only_the_release_before_counts(groceries: Groceries) -> None:
    outcomes = groceries.outcomes(groceries.weights(), groceries.hits["own"][:20], slice(20))
    worse = outcomes[FEWEST - 1].model_copy(update={"rivals": {"fallback": outcomes[FEWEST - 1].rivals["fallback"]}})
    found = judge_quality(worse, outcomes[: FEWEST - 1][::-1], LEAST)
    assert found.passed
    assert not found.compared
    assert judge_quality(worse, outcomes[:FEWEST][::-1], LEAST).compared


def test_more_error_is_worse_where_the_figure_is_an_error() -> None:
    def figure(value: float) -> Figure:
        return Figure(value=value, standard_error=0.01, entities=500)

    outcome = outcome_of(figure(1), figure(1), figure(1), figure(0), figure(0))
    regression = outcome.model_copy(
        update={
            "task": "regression",
            "figures": {"mean_absolute_error": figure(1.5)},
            "rivals": {
                "before": RivalOutcome(
                    release_id="r1",
                    figures={"mean_absolute_error": figure(1)},
                    differences={"mean_absolute_error": figure(0.5)},
                )
            },
        }
    )
    found = judge_quality(regression, [], LEAST)
    assert not found.passed
    assert "50.0% worse than r1" in found.message
