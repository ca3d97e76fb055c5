"""Is a new model as good as the one in use? One pure function over two sets of evaluation metrics.

The metrics are Kumo's own, each model's on its own test split (the newest data it had), so small differences say little:
hence a tolerance. Where the decision is stored is in `registry`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

# Stems of metric names whose better end is known (kumo.ai "evaluation metrics"; @k is cut off).
HIGHER = frozenset(
    [
        "auroc",
        "auprc",
        "acc",
        "accuracy",
        "precision",
        "recall",
        "f1",
        "ndcg",
        "map",
        "mrr",
        "hit_ratio",
        "hr",
        "hits",
        "coverage",
        "r2",
        "ap",
        "average_precision",
    ]
)
LOWER = frozenset(
    ["mae", "rmse", "mse", "mape", "smape", "wape", "loss", "log_loss", "cross_entropy", "error", "crps", "brier"]
)


@dataclass(frozen=True)
class Compared:
    """One metric of both models; `change` is relative to the old value and positive when the new one is better."""

    name: str
    old: float
    new: float
    change: float
    worse: bool


@dataclass(frozen=True)
class Comparison:
    """Whether the new model may be used, in words, and what was compared."""

    as_good: bool
    words: str
    metrics: tuple[Compared, ...] = ()


def better_end(name: str, lower_is_better: Collection[str] = ()) -> int | None:
    """+1 when large values are good, -1 when small ones are, None when this project does not know."""
    if name in lower_is_better:
        return -1
    stem = re.sub(r"[@_]\d+$", "", name.lower().removeprefix("test_").removeprefix("val_"))
    return 1 if stem in HIGHER else -1 if stem in LOWER else None


def compare(
    old: Mapping[str, float],
    new: Mapping[str, float],
    *,
    metrics: Collection[str] = (),
    lower_is_better: Collection[str] = (),
    tolerance: float = 0.05,
    setting: str = "source.kumo.training.metrics",
) -> Comparison:
    """The new model is as good when no compared metric is worse by more than `tolerance` of its old value.

    `metrics` names those compared; by default every one that both have and whose better end is known. A named metric
    whose better end is unknown counts as higher-is-better. `setting` is the field in which a person names some. Nothing to compare is not good: it fails closed.
    """
    wanted = list(metrics) or [
        name for name in sorted(old.keys() & new.keys()) if better_end(name, lower_is_better) is not None
    ]
    missing = [name for name in wanted if name not in old or name not in new]
    if missing:
        return Comparison(False, f"{', '.join(missing)} cannot be compared: not both models have it")
    if not wanted:
        return Comparison(
            False,
            f"no metric can be compared: the model in use has {_names(old)}, the new one {_names(new)}; name some in "
            f"{setting}",
        )
    compared = tuple(
        _one(name, old[name], new[name], better_end(name, lower_is_better) or 1, tolerance) for name in wanted
    )
    worse = [item for item in compared if item.worse]
    if worse:
        told = "; ".join(f"{item.name} {item.old:.4g} -> {item.new:.4g} ({item.change:+.1%})" for item in worse)
        return Comparison(False, f"worse by more than {tolerance:.1%}: {told}", compared)
    least = min(compared, key=lambda item: item.change)
    return Comparison(
        True, f"no metric is worse by more than {tolerance:.1%}; {least.name} {least.change:+.1%}", compared
    )


def _one(name: str, old: float, new: float, end: int, tolerance: float) -> Compared:
    gain = (new - old) * end
    change = gain / abs(old) if old else (0.0 if gain == 0 else float("inf") if gain > 0 else float("-inf"))
    # A metric's value is a rounded float: a hair beyond the tolerance is within it.
    return Compared(name, old, new, change, change < -tolerance - 1e-9)


def _names(metrics: Mapping[str, float]) -> str:
    return ", ".join(sorted(metrics)) or "none"
