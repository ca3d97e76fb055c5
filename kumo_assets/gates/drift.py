"""Gates on distributions: `score_drift`, `class_share`, `class_balance`, `top_item`, `coverage`. Pure: counts in,
judgement out.

Each compares with counts that a promoted release stored, so that its table need not exist any more. The effective limit
is the larger of the configured one and what chance alone would show for so many entities; a comparison with nothing on
either side is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from kumo_assets.config.gates import Limits
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.judgement import Bars, Judgement, level, tail
from kumo_assets.gates.statistics import (
    distinct_floor,
    psi_floor,
    psi_pieces,
    share_floor,
    shares,
    total_variation,
    total_variation_floor,
)

BOOTSTRAP = {"kind": "bootstrap"}
# Absolute limit of a first release: an item first for more than half of all entities is no ranking by person.
BOOTSTRAP_TOP_ITEM = 0.5
MOST_BARS = 12
# A share this small in the baseline counts as this large for the noise floor: nothing has no variance.
LEAST_SHARE = 1e-3


def judge_score_drift(
    counts: Mapping[str, Any], baseline: Baseline | None, limits: Limits, asset: str = "predictions"
) -> Judgement:
    """PSI of the predicted scores or numbers, over the baseline's bins. None is a first release: finite scores only."""
    if not counts.get("finite", True):
        return Judgement("error", "some scores are not finite numbers", None, _configured(limits), {"kind": "absolute"})
    if baseline is None:
        return bootstrap("scores are finite numbers; there is no earlier release to compare them with", limits)
    before = baseline.counts(asset)
    current = counts["against_reference" if baseline.kind == "fixed" else "against"]
    if not before.get("edges") or len(current) != len(before["histogram"]):
        return nothing(f"{baseline.release_id} stored no histogram of scores", baseline, limits)
    return judge_histograms(
        before["histogram"],
        current,
        before["edges"],
        (counts["entities"], before["entities"]),
        baseline,
        limits,
        "scores",
    )


def judge_histograms(
    reference: list[int],
    current: list[int],
    edges: list[float],
    sizes: tuple[int, int],
    baseline: Baseline,
    limits: Limits,
    what: str,
) -> Judgement:
    """PSI of two histograms over the bins of `edges`; one more bin than edges and one is for nulls. `sizes` are
    independent units now and before."""
    if not sum(reference) or not sum(current) or not all(sizes):
        return nothing(f"no {what} to compare, here or in {baseline.release_id}", baseline, limits)
    pieces = psi_pieces(reference, current)
    value = sum(pieces)
    labels = bin_labels(edges) + (["null"] if len(reference) == len(edges) + 2 else [])
    before, now = shares(reference), shares(current)
    moved = max(range(len(pieces)), key=lambda index: abs(now[index] - before[index]))
    segment = f"{what} {labels[moved]}"
    words = (
        f"PSI {value:.4f} of {what} against {baseline.release_id}; {segment} moved most, "
        f"from {before[moved]:.1%} to {now[moved]:.1%}"
    )
    bars = {label: (before[index], now[index]) for index, label in enumerate(labels)}
    evidence = {"edges": edges, "reference": reference, "current": current}
    floor = psi_floor(len(reference), *sizes)
    return judged(value, floor, limits, words, baseline.told(), evidence, segment, bars)


def bin_labels(edges: list[float]) -> list[str]:
    """The bins in words: up to the first edge, between, above the last."""
    between = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:.4g}", *between, f"above {edges[-1]:.4g}"]


def judge_class_share(
    counts: Mapping[str, Any], baseline: Baseline | None, limits: Limits, *, firsts: bool = False
) -> Judgement:
    """Total variation of the classes recommended, or (`firsts`) of the class predicted for each entity.

    Only the most frequent are stored by name; the rest is "(others)".
    """
    names = ("firsts", "lists", "predicted classes") if firsts else ("classes", "served", "recommended classes")
    part, whole, what = names
    if baseline is None:
        return bootstrap(f"{counts['coverage']:,} {what}; there is no earlier release to compare with", limits)
    before = baseline.counts("postprocessed")
    if not before.get(part) or not before.get(whole) or not counts[whole] or not before.get("lists"):
        return nothing(f"no {what} to compare, here or in {baseline.release_id}", baseline, limits)
    reference, current = _folded(before, counts, part, whole), _folded(counts, before, part, whole)
    value = total_variation(reference, current)
    floor = total_variation_floor(reference, counts["lists"], before["lists"])
    left, right = sum(reference.values()), sum(current.values())
    pairs = {
        name: (reference.get(name, 0) / left, current.get(name, 0) / right)
        for name in reference.keys() | current.keys()
    }
    moved = max(sorted(pairs), key=lambda name: abs(pairs[name][0] - pairs[name][1]))
    words = (
        f"total variation {value:.3f} of {what} against {baseline.release_id}; {moved} moved most, "
        f"from {pairs[moved][0]:.2%} to {pairs[moved][1]:.2%}"
    )
    shown = sorted(pairs, key=lambda name: -max(pairs[name]))[:MOST_BARS]
    bars = {name: pairs[name] for name in dict.fromkeys([*shown, moved])}
    return judged(value, floor, limits, words, baseline.told(), {}, f"class {moved}", bars)


def judge_top_item(counts: Mapping[str, Any], baseline: Baseline | None, limits: Limits) -> Judgement:
    """The largest gain of any one item in its share of first places."""
    lists = counts["lists"]
    now = {name: first / lists for name, first in counts["firsts"].items()} if lists else {}
    top = max(sorted(now), key=lambda name: now[name], default="")
    if not top:
        return Judgement("error", "no list has a first place", None, _configured(limits), {"kind": "absolute"})
    if baseline is None:
        bad = now[top] > BOOTSTRAP_TOP_ITEM and counts["coverage"] > 1
        words = f"{top} has {now[top]:.1%} of first places; the limit of a first release is {BOOTSTRAP_TOP_ITEM:.0%}"
        bars: Bars = {f"first: {top}": (None, now[top])}
        bounds = _configured(limits) | {"bootstrap": BOOTSTRAP_TOP_ITEM}
        return Judgement("error" if bad else "ok", words, now[top], bounds, BOOTSTRAP, {"item": top}, top, bars)
    stored = baseline.counts("postprocessed")
    if not stored.get("lists") or not stored.get("firsts"):
        return nothing(f"{baseline.release_id} stored no first places", baseline, limits)
    before = {name: first / stored["lists"] for name, first in stored["firsts"].items()}
    # An item that the baseline does not name was first at most as often as the least it names.
    unnamed = min(before.values()) if stored["coverage"] > len(before) else 0.0
    gains = {name: share - before.get(name, unnamed) for name, share in now.items()}
    moved = max(sorted(gains), key=lambda name: gains[name])
    was = before.get(moved, 0.0)
    value = max(gains[moved], 0.0)
    floor = share_floor(max(was, LEAST_SHARE), lists, stored["lists"], of=len(gains))
    words = (
        f"{moved} gained most: {now[moved]:.1%} of first places, {was:.1%} in {baseline.release_id}; "
        f"{top} has most, {now[top]:.1%}"
    )
    bars = {f"gained most: {moved}": (was, now[moved]), f"has most: {top}": (before.get(top, 0.0), now[top])}
    told = baseline.told(share=was)
    return judged(value, floor, limits, words, told, {"item": moved, "share": now[moved]}, f"item {moved}", bars)


def judge_coverage(counts: Mapping[str, Any], baseline: Baseline | None, limits: Limits, top_k: int) -> Judgement:
    """How many distinct classes are recommended, against the baseline. A first release must fill one list."""
    now = counts["coverage"]
    if baseline is None:
        if now < min(top_k, counts["longest"]) or not now:
            words = f"{now:,} distinct classes, fewer than one list holds"
            return Judgement("error", words, float(now), _configured(limits), BOOTSTRAP)
        return bootstrap(f"{now:,} distinct classes; there is no earlier release to compare with", limits)
    stored = baseline.counts("postprocessed")
    before = stored.get("coverage") or 0
    if not before or not counts["lists"] or not stored.get("lists"):
        return nothing(f"no classes to compare, here or in {baseline.release_id}", baseline, limits)
    floor = distinct_floor(before, stored["served"] / stored["lists"], counts["lists"], stored["lists"])
    words = f"{now:,} distinct classes, {before:,} in {baseline.release_id}"
    bars = {"distinct classes": (float(before), float(now))}
    lost = max(1 - now / before, 0.0)
    return judged(lost, floor, limits, words, baseline.told(classes=before), {"classes": now}, "", bars)


def judged(
    value: float,
    floor: float,
    limits: Limits,
    words: str,
    baseline: Mapping[str, Any],
    evidence: Mapping[str, Any],
    segment: str,
    bars: Bars,
) -> Judgement:
    """The judgement of a figure: its limits are never under the noise floor."""
    warn, block = max(limits.warn, floor), max(limits.block, floor)
    bounds = {
        **_configured(limits),
        "noise_floor": round(floor, 6),
        "effective_warn": round(warn, 6),
        "effective_block": round(block, 6),
    }
    severity = level(value, warn, block)
    return Judgement(severity, words + tail(severity, warn, block), value, bounds, baseline, evidence, segment, bars)


def bootstrap(words: str, limits: Limits) -> Judgement:
    """The verdict of a first release, which has nothing to be compared with."""
    return Judgement("ok", f"{words} (bootstrap)", None, _configured(limits), BOOTSTRAP)


def nothing(words: str, baseline: Baseline | None, limits: Limits) -> Judgement:
    """What could not be compared did not pass."""
    told = baseline.told() if baseline is not None else {"kind": "absolute"}
    return Judgement("error", f"could not be compared: {words}", None, _configured(limits), told)


def _configured(limits: Limits) -> dict[str, Any]:
    return {"warn": limits.warn, "block": limits.block}


def _folded(counts: Mapping[str, Any], other: Mapping[str, Any], part: str, whole: str) -> dict[str, float]:
    """Counts of the classes that either side names, and of all others.

    A class that only the other side names is absent here, unless this side's list was cut: then it may have had up to
    the least stored count, and is taken to have had its share of the other side as far as that allows.
    """
    stored = counts[part]
    cut = min(stored.values(), default=0) if counts["coverage"] > len(stored) else 0
    scale = counts[whole] / other[whole] if other[whole] else 0.0
    named = {
        name: float(stored[name]) if name in stored else min(other[part][name] * scale, float(cut))
        for name in stored.keys() | other[part].keys()
    }
    return named | {"(others)": max(float(counts[whole]) - sum(named.values()), 0.0)}
