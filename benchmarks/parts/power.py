"""How often the default gates stop a good release by chance, and how often they stop a bad one. Simulation only.

The counts are made from a resampled population (`population`), the judgements are the product's own: the same functions
with the same defaults as in production.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.parts.population import ITEMS, LIST, Population, count_lists, count_predictions
from kumo_assets.config.gates import GatesSpec
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.documents import NoticeDetails
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.bindings import bind

# Without any drift some entities of yesterday have no list today, and as many are new.
CHURN = 0.005
# Of a list's five entries, how many change overnight without drift.
CHANGED = 0.3
Random = np.random.Generator


@dataclass(frozen=True)
class Fault:
    """One way for a release to be bad; the defaults are a good one. `shift` in standard deviations of the score."""

    shift: float = 0.0
    lost: float = 0.0
    first: float = 0.0
    duplicated: float = 0.0
    flat: bool = False
    collapsed: bool = False


FAULTS = {
    "scores shifted by 0.5 sigma": Fault(shift=0.5),
    "5% of users lost": Fault(lost=0.05),
    "one item takes 20% of first places": Fault(first=0.2),
    "1 in 1,000 rows twice": Fault(duplicated=0.001),
    "an upstream column gone constant: the users' own level is gone from the scores": Fault(flat=True),
    "an upstream column gone constant: everybody is given the same list": Fault(collapsed=True),
}


@dataclass
class Tally:
    """Outcomes of many releases: how many were stopped, how many warned of, and by which gates."""

    releases: int = 0
    stopped: int = 0
    warned: int = 0
    by_gate: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return self.stopped / self.releases


def tally(population: Population, n: int, resamples: int, fault: Fault = Fault(), seed: int = 1) -> Tally:
    """`resamples` pairs of an active release and a new one of about n entities each, judged by the default gates."""
    random = np.random.default_rng([seed, n])
    found = Tally()
    for _ in range(resamples):
        errors, warnings = judge(*release_pair(population, n, fault, random))
        found.releases += 1
        found.stopped += bool(errors)
        found.warned += bool(warnings) and not errors
        found.by_gate.update(errors)
    return found


def release_pair(
    population: Population, n: int, fault: Fault, random: Random
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """(active release's counts by asset, new release's counts by asset)."""
    before = population.resample(n, random)
    lost = int(random.binomial(n, min(CHURN + fault.lost, 1.0)))
    now = population.resample(n - lost + int(random.binomial(n, CHURN)), random)
    active = {
        "predictions": count_predictions(population.scores, before, None),
        "postprocessed": count_lists(population.items, before, None, random),
    }
    active["predictions"] |= {"raw": _raw(n, random)}
    edges = active["predictions"]["edges"]
    scores = population.flat if fault.flat else population.scores
    predictions = count_predictions(scores, now, edges, fault.shift * population.deviation)
    repeated = int(random.binomial(predictions["rows"], fault.duplicated))
    predictions |= {"rows": predictions["rows"] + repeated, "raw": _raw(n, random)}
    first = (ITEMS // 4, fault.first) if fault.first else None
    items = np.broadcast_to(population.items[:1], population.items.shape) if fault.collapsed else population.items
    lists = count_lists(items, now, first, random)
    lists["continuity"] = _continuity(n, lost, random)
    return active, {"predictions": predictions, "postprocessed": lists}


def _raw(n: int, random: Random) -> dict[str, dict[str, Any]]:
    """A day of raw logs: two events an entity, give or take."""
    return {"events": {"rows": int(random.poisson(2 * n)), "lag_minutes": float(random.uniform(0, 30))}}


def _continuity(n: int, lost: int, random: Random) -> dict[str, int]:
    entries = LIST * (n - lost)
    return {"old": n, "lost": lost, "entries": entries, "changed": int(random.binomial(entries, CHANGED))}


def judge(
    active: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]], gates: GatesSpec | None = None
) -> tuple[list[str], list[str]]:
    """(gates that stop the release, gates that warn), with the default limits of a ranking query."""
    spec = SPEC if gates is None else SPEC.model_copy(update={"gates": gates})
    promoted = Baseline("active", "the active release", active)
    served: Any = SimpleNamespace(release_id="the active release")
    baselines = Baselines(active=served, main=promoted)
    errors, warnings = [], []
    for asset, counts in new.items():
        found = bind(spec, NoticeDetails(), counts, baselines)
        for gate, record in spec.gates.gates_of("ranking").items():
            if record["asset"] != asset:
                continue
            severity = found[gate]().severity
            if severity == "error" and record["mode"] == "block":
                errors.append(gate)
            elif severity != "ok":
                warnings.append(gate)
    return errors, warnings


SPEC = PredictiveQuerySpec.model_validate(
    {
        "owners": ["team:power"],
        "raw_logs": ["events"],
        "source": {"kumo": {"predictive_query_id": "power", "connector": "power"}},
        "top_k": LIST,
        "schedule": {"start": "2017-11-01"},
    }
)
