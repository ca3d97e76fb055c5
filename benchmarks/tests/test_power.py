"""The default gates over resampled releases, a tenth of what `make bench ARGS="run power"` does: rare false alarms, and
bad releases caught. The whole table is docs/gates_power.md."""

from __future__ import annotations

import os

import pytest

from benchmarks.parts.population import LIST, Population, make
from benchmarks.parts.power import FAULTS, tally
from benchmarks.suite.power import DETECTION, SIZES
from kumo_assets.gates import drift
from kumo_assets.gates.formulas import psi_floor

pytestmark = pytest.mark.slow

RESAMPLES = 1000 if os.environ.get("KUMO_SOAK") else 100


@pytest.fixture(scope="module")
def population() -> Population:
    return make(4_000)


@pytest.mark.parametrize("n", SIZES)
def test_chance_alone_stops_at_most_one_release_in_a_hundred(population: Population, n: int) -> None:
    found = tally(population, n, RESAMPLES)
    assert found.rate <= 0.01, found.by_gate


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("n", DETECTION)
def test_a_bad_release_is_stopped(population: Population, n: int, fault: str) -> None:
    found = tally(population, n, RESAMPLES, FAULTS[fault])
    assert found.rate >= 0.99, found.by_gate


def test_without_noise_floors_small_queries_are_stopped_by_chance(
    population: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulation is able to fail: at 40 entities chance alone exceeds the configured limits."""
    for name in ("psi_floor", "total_variation_floor"):
        monkeypatch.setattr(f"kumo_assets.gates.drift.{name}", lambda *arguments: 0.0)
    stopped = tally(population, 40, RESAMPLES).by_gate
    assert stopped["score_drift"] > 0.2 * RESAMPLES
    assert stopped["class_share"] > 0.2 * RESAMPLES


def test_floors_count_entities_because_their_rows_move_together(
    population: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A floor for five independent rows an entity promises too little noise."""
    assert tally(population, 40, RESAMPLES).by_gate["score_drift"] <= 0.02 * RESAMPLES
    monkeypatch.setattr(drift, "psi_floor", lambda bins, n, m: psi_floor(bins, LIST * n, LIST * m))
    assert tally(population, 40, RESAMPLES).by_gate["score_drift"] > 0.05 * RESAMPLES
