"""The formulas against scipy, and the noise floors against resampling without drift."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import rel_entr

from kumo_assets.gates.formulas import (
    FILL,
    chi_square_quantile,
    count_floor,
    distinct_edges,
    psi,
    psi_floor,
    psi_pieces,
    shares,
    total_variation,
    total_variation_floor,
)

histograms = st.lists(st.integers(min_value=0, max_value=10**6), min_size=2, max_size=20).filter(any)


@given(
    st.integers(min_value=2, max_value=20).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(1, 10**6), min_size=n, max_size=n)] * 2)
    )
)
def test_psi_is_the_symmetric_kullback_leibler_divergence(pair: tuple[list[int], list[int]]) -> None:
    left, right = (shares(counts) for counts in pair)
    if min(*left, *right) < FILL:
        return  # the fill is ours; scipy has none
    expected = float(sum(rel_entr(left, right)) + sum(rel_entr(right, left)))
    assert psi(*pair) == pytest.approx(expected, abs=1e-9)


@given(histograms)
def test_nothing_moved_means_zero_and_every_piece_counts_up(counts: list[int]) -> None:
    assert psi(counts, counts) == 0
    assert all(piece >= 0 for piece in psi_pieces(counts, list(reversed(counts))))


def test_an_empty_bin_counts_as_the_stated_fill() -> None:
    assert psi([99, 1], [100, 0]) == pytest.approx(
        (1 - 0.99) * math.log(1 / 0.99) + (FILL - 0.01) * math.log(FILL / 0.01)
    )


@given(
    st.dictionaries(st.text(max_size=3), st.integers(1, 1000), min_size=1, max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(1, 1000), min_size=1, max_size=8),
)
def test_total_variation_is_a_distance_between_zero_and_one(left: dict[str, int], right: dict[str, int]) -> None:
    assert 0 <= total_variation(left, right) <= 1 + 1e-12
    assert total_variation(left, right) == pytest.approx(total_variation(right, left))
    assert total_variation(left, left) == pytest.approx(0)


@pytest.mark.parametrize("degrees", [3, 5, 9, 19, 99])
def test_the_chi_square_quantile_is_scipys_within_two_percent_and_never_under_it(degrees: int) -> None:
    exact = stats.chi2.ppf(0.999, degrees)
    assert exact <= chi_square_quantile(0.999, degrees) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("n", [200, 10_000])
def test_chance_alone_stays_under_the_psi_floor(n: int) -> None:
    rng = random.Random(7)
    floor = psi_floor(10, n, n)
    over = 0
    for _ in range(300):
        pair = [[0] * 10 for _ in range(2)]
        for counts in pair:
            for value in rng.choices(range(10), k=n):
                counts[value] += 1
        over += psi(*pair) > floor
    assert over <= 4  # 300 draws at one in a thousand; more than 4 has a chance of 1 in 10,000


def test_the_textbook_limits_fire_by_chance_on_few_entities_and_the_floor_does_not() -> None:
    assert psi_floor(10, 200, 200) > 0.2
    assert psi_floor(10, 10**6, 10**6) < 1e-3


@pytest.mark.parametrize("n", [200, 5_000])
def test_chance_alone_stays_under_the_total_variation_floor(n: int) -> None:
    rng = random.Random(11)
    names = [f"class {index}" for index in range(30)]
    weights = [1 / (1 + index) for index in range(30)]
    over = 0
    for _ in range(300):
        pair = []
        for _ in range(2):
            counts = dict.fromkeys(names, 0)
            for name in rng.choices(names, weights, k=n):
                counts[name] += 1
            pair.append(counts)
        over += total_variation(*pair) > total_variation_floor(pair[0], n, n)
    assert over <= 4


@pytest.mark.parametrize("n", [20, 200, 1_000_000])
def test_the_count_floor_is_the_exact_tests_within_its_approximation(n: int) -> None:
    """The first loss, and the first rise, over the floor has a chance near one in a thousand by the binomial."""
    for direction in (-1, 1):
        m = next(m for m in range(n, 0 if direction < 0 else 9 * n, direction) if abs(m - n) / n > count_floor(n, m))
        rarity = stats.binom.cdf(min(n, m), n + m, 0.5)
        assert 0.0005 < rarity < 0.0015


def test_poisson_counts_without_drift_seldom_pass_the_count_floor() -> None:
    pairs = stats.poisson.rvs(60, size=(20_000, 2), random_state=3).tolist()
    over = sum(abs(m - n) / n > count_floor(n, m) for n, m in pairs)
    assert over <= 70  # two sides of one in a thousand: 40 expected


def test_without_entities_every_limit_is_out_of_reach() -> None:
    assert psi_floor(10, 0, 100) == math.inf
    assert total_variation_floor({"a": 1}, 0, 0) == math.inf


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_edges_rise_without_repeats(values: list[float]) -> None:
    edges = distinct_edges(values)
    assert all(low < high for low, high in pairwise(edges))
    assert all(math.isfinite(edge) for edge in edges)
