"""Gates on distributions: `score_drift`, `class_share`, `class_balance`, `top_item`, `coverage`. Pure judgements.

Each compares with counts that a promoted release stored, so that its table need not exist any more. The gates that
compare row by row are in `continuity`, those on raw columns in `raw.judgements`, the formulas in `formulas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from kumo_assets.config.registration import Limits
from kumo_assets.gates.against_baseline import BOOTSTRAP, bootstrap, judge_figure, limits_of, nothing_compared
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.counts import ListCounts, PredictionCounts
from kumo_assets.gates.formulas import (
    distinct_floor,
    psi_floor,
    psi_pieces,
    share_floor,
    shares,
    total_variation,
    total_variation_floor,
)
from kumo_assets.gates.judgement import ABSOLUTE, Judgement
from kumo_assets.gates.outcome import Bars

# Absolute limit of a first release: an item that is first for more than half of all entities is no personal ranking.
BOOTSTRAP_TOP_ITEM = 0.5
MOST_BARS = 12
# Smallest baseline share used for the noise floor. A share of zero would give zero variance, so any gain would look
# significant.
LEAST_SHARE = 1e-3


def judge_score_drift(counts: PredictionCounts, baseline: Baseline | None, limits: Limits) -> Judgement:
    """PSI of the predicted scores or numbers, over the baseline's bins. None is a first release: finite scores only."""
    if not counts.get("finite", True):
        return Judgement("error", "some scores are not finite numbers", None, limits_of(limits), ABSOLUTE)
    if baseline is None:
        return bootstrap("scores are finite numbers; there is no earlier release to compare them with", limits)
    before = baseline.predictions
    current = counts["against_reference"] if baseline.kind == "fixed" else counts["against"]
    if not before.get("edges") or len(current) != len(before["histogram"]):
        return nothing_compared(f"{baseline.release_id} stored no histogram of scores", baseline, limits)
    sizes = (counts["entities"], before["entities"])
    return judge_histograms(before["histogram"], current, before["edges"], sizes, baseline, limits, "scores")


def judge_histograms(
    reference: list[int],
    current: list[int],
    edges: list[float],
    sizes: tuple[int, int],
    baseline: Baseline,
    limits: Limits,
    what: str,
) -> Judgement:
    """PSI of two histograms over the bins of `edges`; one bin more than those is for nulls. `sizes` are independent
    units, now and before."""
    if not sum(reference) or not sum(current) or not all(sizes):
        return nothing_compared(f"no {what} to compare, here or in {baseline.release_id}", baseline, limits)
    pieces = psi_pieces(reference, current)
    value = sum(pieces)
    labels = bin_labels(edges) + (["null"] if len(reference) == len(edges) + 2 else [])
    before, now = shares(reference), shares(current)
    moved = max(range(len(pieces)), key=lambda index: abs(now[index] - before[index]))
    segment = f"{what} {labels[moved]}"
    message = (
        f"PSI {value:.4f} of {what} against {baseline.release_id}; {segment} moved most, "
        f"from {before[moved]:.1%} to {now[moved]:.1%}"
    )
    return judge_figure(
        value,
        psi_floor(len(reference), *sizes),
        limits,
        message,
        baseline.recorded(),
        evidence={"edges": edges, "reference": reference, "current": current},
        segment=segment,
        bars={label: (before[index], now[index]) for index, label in enumerate(labels)},
    )


def bin_labels(edges: list[float]) -> list[str]:
    """The bins as text: up to the first edge, between edges, above the last."""
    between = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:.4g}", *between, f"above {edges[-1]:.4g}"]


def judge_class_share(
    counts: ListCounts, baseline: Baseline | None, limits: Limits, *, firsts: bool = False
) -> Judgement:
    """Total variation of the classes recommended, or (`firsts`) of the class predicted for each entity.

    Only the most frequent are stored by name; the rest is "(others)".
    """
    what = "predicted classes" if firsts else "recommended classes"
    part: Literal["firsts", "classes"] = "firsts" if firsts else "classes"
    whole: Literal["lists", "served"] = "lists" if firsts else "served"
    if baseline is None:
        return bootstrap(f"{counts['coverage']:,} {what}; there is no earlier release to compare with", limits)
    before = baseline.lists
    if not before.get(part) or not before.get(whole) or not counts[whole] or not before.get("lists"):
        return nothing_compared(f"no {what} to compare, here or in {baseline.release_id}", baseline, limits)
    reference, current = _folded(before, counts, part, whole), _folded(counts, before, part, whole)
    value = total_variation(reference, current)
    left, right = sum(reference.values()), sum(current.values())
    pairs = {
        name: (reference.get(name, 0) / left, current.get(name, 0) / right)
        for name in reference.keys() | current.keys()
    }
    moved = max(sorted(pairs), key=lambda name: abs(pairs[name][0] - pairs[name][1]))
    message = (
        f"total variation {value:.3f} of {what} against {baseline.release_id}; {moved} moved most, "
        f"from {pairs[moved][0]:.2%} to {pairs[moved][1]:.2%}"
    )
    shown = sorted(pairs, key=lambda name: -max(pairs[name]))[:MOST_BARS]
    return judge_figure(
        value,
        total_variation_floor(reference, counts["lists"], before["lists"]),
        limits,
        message,
        baseline.recorded(),
        segment=f"class {moved}",
        bars={name: pairs[name] for name in dict.fromkeys([*shown, moved])},
    )


def judge_class_balance(counts: ListCounts, baseline: Baseline | None, limits: Limits) -> Judgement:
    """Total variation of the class predicted for each entity."""
    return judge_class_share(counts, baseline, limits, firsts=True)


def judge_top_item(counts: ListCounts, baseline: Baseline | None, limits: Limits) -> Judgement:
    """The largest gain of any one item in its share of first places."""
    lists = counts["lists"]
    now = {name: first / lists for name, first in counts["firsts"].items()} if lists else {}
    top = max(sorted(now), key=lambda name: now[name], default="")
    if not top:
        return Judgement("error", "no list has a first place", None, limits_of(limits), ABSOLUTE)
    if baseline is None:
        bad = now[top] > BOOTSTRAP_TOP_ITEM and counts["coverage"] > 1
        message = f"{top} has {now[top]:.1%} of first places; the limit of a first release is {BOOTSTRAP_TOP_ITEM:.0%}"
        alone: Bars = {f"first: {top}": (None, now[top])}
        bounds = limits_of(limits) | {"bootstrap": BOOTSTRAP_TOP_ITEM}
        return Judgement("error" if bad else "ok", message, now[top], bounds, BOOTSTRAP, {"item": top}, top, alone)
    stored = baseline.lists
    if not stored.get("lists") or not stored.get("firsts"):
        return nothing_compared(f"{baseline.release_id} stored no first places", baseline, limits)
    before = {name: first / stored["lists"] for name, first in stored["firsts"].items()}
    # An item that the baseline does not name was first at most as often as the last one it names.
    unnamed = min(before.values()) if stored["coverage"] > len(before) else 0.0
    gains = {name: share - before.get(name, unnamed) for name, share in now.items()}
    moved = max(sorted(gains), key=lambda name: gains[name])
    was = before.get(moved, 0.0)
    message = (
        f"{moved} gained most: {now[moved]:.1%} of first places, {was:.1%} in {baseline.release_id}; "
        f"{top} has most, {now[top]:.1%}"
    )
    return judge_figure(
        max(gains[moved], 0.0),
        share_floor(max(was, LEAST_SHARE), lists, stored["lists"], of=len(gains)),
        limits,
        message,
        baseline.recorded(share=was),
        evidence={"item": moved, "share": now[moved]},
        segment=f"item {moved}",
        bars={f"gained most: {moved}": (was, now[moved]), f"has most: {top}": (before.get(top, 0.0), now[top])},
    )


def judge_coverage(counts: ListCounts, baseline: Baseline | None, limits: Limits, top_k: int) -> Judgement:
    """How many distinct classes are recommended, against the baseline. A first release must fill one list."""
    now = counts["coverage"]
    if baseline is None:
        if now < min(top_k, counts["longest"]) or not now:
            message = f"{now:,} distinct classes, fewer than one list holds"
            return Judgement("error", message, float(now), limits_of(limits), BOOTSTRAP)
        return bootstrap(f"{now:,} distinct classes; there is no earlier release to compare with", limits)
    stored = baseline.lists
    before = stored.get("coverage") or 0
    if not before or not counts["lists"] or not stored.get("lists"):
        return nothing_compared(f"no classes to compare, here or in {baseline.release_id}", baseline, limits)
    return judge_figure(
        max(1 - now / before, 0.0),
        distinct_floor(before, stored["served"] / stored["lists"], counts["lists"], stored["lists"]),
        limits,
        f"{now:,} distinct classes, {before:,} in {baseline.release_id}",
        baseline.recorded(classes=before),
        evidence={"classes": now},
        bars={"distinct classes": (float(before), float(now))},
    )


def _folded(
    counts: ListCounts, other: ListCounts, part: Literal["firsts", "classes"], whole: Literal["lists", "served"]
) -> Mapping[str, float]:
    """Counts of the classes that either side names, and of all others.

    A class that only the other side names is absent here, unless this side's list was cut. Then it may have had up to
    the smallest stored count, and is given its share on the other side as far as that allows.
    """
    stored, theirs = counts[part], other[part]
    cut = min(stored.values(), default=0) if counts["coverage"] > len(stored) else 0
    scale = counts[whole] / other[whole] if other[whole] else 0.0
    named = {
        name: float(stored[name]) if name in stored else min(theirs[name] * scale, float(cut))
        for name in stored.keys() | theirs.keys()
    }
    return named | {"(others)": max(float(counts[whole]) - sum(named.values()), 0.0)}
