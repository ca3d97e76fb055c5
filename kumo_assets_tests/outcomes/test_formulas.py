"""The formulas of realised quality against scipy and numpy, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kumo_assets.outcomes.formulas import (
    Estimate,
    Moments,
    area_difference,
    area_under_curve,
    calibration,
    discount,
    ideal_gain,
    mean,
    root_mean,
)

RANDOM = np.random.default_rng(20)


def moments(values: object) -> Moments:
    found = np.asarray(values, float)
    return Moments(len(found), float(found.sum()), float((found**2).sum()))


def test_a_mean_and_its_error_are_those_of_scipy() -> None:
    values = RANDOM.poisson(0.3, 500)
    found = mean(moments(values))
    assert found is not None
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(stats.sem(values))
    assert found.entities == 500


def test_a_paired_difference_has_the_error_of_a_paired_t_test() -> None:
    own, rival = RANDOM.poisson(0.5, 400), RANDOM.poisson(0.4, 400)
    found = mean(moments(own - rival))
    assert found is not None
    assert found.value / found.standard_error == pytest.approx(stats.ttest_rel(own, rival).statistic)


def test_nothing_has_no_mean_and_one_entity_no_error() -> None:
    assert mean(Moments(0, 0, 0)) is None
    assert root_mean(Moments(0, 0, 0)) is None
    assert mean(Moments(1, 3, 9)) == Estimate(3, 0, 1)
    assert mean(Moments(3, 0.3, 0.03)) == Estimate(pytest.approx(0.1), pytest.approx(0, abs=1e-8), 3)


def test_the_error_of_a_root_mean_square_is_that_of_resampling() -> None:
    errors = RANDOM.normal(1, 2, 4000)
    found = root_mean(moments(errors**2))
    assert found is not None
    assert found.value == pytest.approx(math.sqrt((errors**2).mean()))
    drawn = [math.sqrt((RANDOM.choice(errors, 4000) ** 2).mean()) for _ in range(400)]
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.15)


def test_gains_are_discounted_by_the_logarithm_of_the_rank() -> None:
    assert [discount(rank) for rank in (1, 3)] == [1, 0.5]
    assert ideal_gain(3) == pytest.approx(1 + 1 / math.log2(3) + 0.5)
    assert ideal_gain(0) == 0


def placements(scores: np.ndarray, happened: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By counting all pairs: of each positive the share of negatives it beats, of each negative that of positives over it."""
    wins = np.sign(scores[happened][:, None] - scores[~happened][None, :]) / 2 + 0.5
    return wins.mean(axis=1), wins.mean(axis=0)


def test_the_area_under_the_curve_is_that_of_mann_and_whitney() -> None:
    happened = RANDOM.random(300) < 0.3
    scores = np.round(RANDOM.random(300) + 0.3 * happened, 1)  # many ties
    positives, negatives = placements(scores, happened)
    found = area_under_curve(moments(positives), moments(negatives))
    assert found is not None
    expected = stats.mannwhitneyu(scores[happened], scores[~happened])
    assert found.value == pytest.approx(expected.statistic / (happened.sum() * (~happened).sum()))
    assert area_under_curve(moments(positives), Moments(0, 0, 0)) is None


def test_the_error_of_an_area_and_of_a_difference_of_areas_is_that_of_resampling() -> None:
    happened = np.arange(600) < 200
    truth = RANDOM.normal(size=600) + happened
    own, rival = truth + RANDOM.normal(size=600) / 2, truth + RANDOM.normal(size=600)
    found = area_under_curve(*map(moments, placements(own, happened)))
    paired = area_difference(
        *(moments(a - b) for a, b in zip(placements(own, happened), placements(rival, happened), strict=True))
    )
    assert found is not None
    assert paired is not None
    drawn, differences = [], []
    for _ in range(300):
        chosen = np.concatenate([RANDOM.integers(0, 200, 200), RANDOM.integers(200, 600, 400)])
        first = placements(own[chosen], happened[chosen])[0].mean()
        drawn.append(first)
        differences.append(first - placements(rival[chosen], happened[chosen])[0].mean())
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.2)
    assert paired.standard_error == pytest.approx(np.std(differences), rel=0.2)


def test_calibration_is_by_bin_in_order_and_leaves_out_empty_bins() -> None:
    def row(number: int, predicted: list[float], happened: list[float]) -> dict[str, float]:
        m = moments(happened)
        return {"BIN": number, "P_S": sum(predicted), "Y_N": m.count, "Y_S": m.total, "Y_Q": m.squares}

    found = calibration([row(2, [0.9, 0.7], [1, 1]), row(1, [0.2, 0.4], [0, 1]), row(3, [], [])])
    assert [(one.entities, one.predicted, one.happened) for one in found] == [
        (2, pytest.approx(0.3), 0.5),
        (2, pytest.approx(0.8), 1),
    ]
    assert found[0].standard_error == pytest.approx(stats.sem([0, 1]))
