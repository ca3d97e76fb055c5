"""Gates on distributions: `score_drift`, `class_share`, `top_item`, `coverage`. Pure: counts in, judgement out.

Each compares with the counts stored by the active release, so that its table need not exist any more. The effective
limit is the larger of the configured one and what chance alone would show for so many entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.gates.judgement import Judgement, Severity
from kumo_assets.gates.statistics import psi_floor, psi_pieces, share_floor, total_variation, total_variation_floor
from kumo_assets.spec.gates import Limits

BOOTSTRAP = {"kind": "bootstrap"}


def judge_score_drift(
    counts: Mapping[str, Any], baseline: Mapping[str, Any] | None, limits: Limits, release: str
) -> Judgement:
    """PSI of the scores. `counts["against"]` are this release's counts over the baseline's `edges`."""
    if not counts.get("finite", True):
        return Judgement("error", "some scores are not finite numbers", None, _configured(limits), {"kind": "absolute"})
    if baseline is None or not baseline.get("edges"):
        return Judgement(
            "ok",
            "no baseline to compare scores with (bootstrap); finite numbers all",
            None,
            _configured(limits),
            BOOTSTRAP,
        )
    reference, current = baseline["histogram"], counts["against"]
    pieces = psi_pieces(reference, current)
    value = sum(pieces)
    floor = psi_floor(len(reference), counts["entities"], baseline["entities"])
    worst = max(range(len(pieces)), key=lambda index: pieces[index])
    edges = baseline["edges"]
    low = f"above {edges[worst - 1]:.4g}" if worst > 0 else ""
    high = f"up to {edges[worst]:.4g}" if worst < len(edges) else ""
    segment = f"scores {' '.join(filter(None, (low, high)))}"
    words = (
        f"PSI {value:.4f} against {release}; {segment} moved most, from {_share(reference, worst):.1%} "
        f"to {_share(current, worst):.1%}"
    )
    evidence = {"edges": edges, "reference": reference, "current": current, "segment": segment}
    return _judged(value, floor, limits, words, {"kind": "active", "release_id": release}, evidence)


def judge_class_share(
    counts: Mapping[str, Any], baseline: Mapping[str, Any] | None, limits: Limits, release: str
) -> Judgement:
    """Total variation of the classes recommended. Only the most frequent are stored by name; the rest is "(others)"."""
    if baseline is None or not baseline.get("classes"):
        return Judgement("ok", "no baseline to compare classes with (bootstrap)", None, _configured(limits), BOOTSTRAP)
    reference, current = _folded(baseline, counts), _folded(counts, baseline)
    value = total_variation(reference, current)
    floor = total_variation_floor(reference, counts["lists"], baseline["lists"])
    left, right = sum(reference.values()), sum(current.values())
    worst = max(
        reference.keys() | current.keys(),
        key=lambda name: abs(reference.get(name, 0) / left - current.get(name, 0) / right),
    )
    words = (
        f"total variation {value:.3f} of classes against {release}; {worst} moved most, from "
        f"{reference.get(worst, 0) / left:.2%} to {current.get(worst, 0) / right:.2%}"
    )
    return _judged(value, floor, limits, words, {"kind": "active", "release_id": release}, {"segment": worst})


def judge_top_item(
    counts: Mapping[str, Any], baseline: Mapping[str, Any] | None, limits: Limits, release: str
) -> Judgement:
    """The share of first places of the item that has most of them, beyond the most in the active release."""
    share = counts["most_first"] / counts["lists"] if counts["lists"] else 0.0
    before = baseline["most_first"] / baseline["lists"] if baseline and baseline.get("lists") else None
    if before is None:
        return Judgement(
            "error" if share > 0.5 and counts["coverage"] > 1 else "ok",
            f"the item first most often has {share:.1%} of first places; no baseline (bootstrap: at most 50%)",
            share,
            _configured(limits),
            BOOTSTRAP,
        )
    value = max(share - before, 0.0)
    floor = share_floor(max(before, 1e-3), counts["lists"], baseline["lists"] if baseline else 0)
    words = f"the item first most often has {share:.1%} of first places, {before:.1%} in {release}"
    return _judged(
        value, floor, limits, words, {"kind": "active", "release_id": release, "share": before}, {"share": share}
    )


def judge_coverage(
    counts: Mapping[str, Any], baseline: Mapping[str, Any] | None, limits: Limits, release: str
) -> Judgement:
    """How many distinct classes are recommended, against the active release."""
    now = counts["coverage"]
    if baseline is None or not baseline.get("coverage"):
        return Judgement(
            "ok", f"{now:,} distinct classes; no baseline (bootstrap)", None, _configured(limits), BOOTSTRAP
        )
    before = baseline["coverage"]
    value = max(1 - now / before, 0.0)
    words = f"{now:,} distinct classes, {before:,} in {release}"
    return _judged(
        value, 0.0, limits, words, {"kind": "active", "release_id": release, "classes": before}, {"classes": now}
    )


def _judged(
    value: float, floor: float, limits: Limits, words: str, baseline: dict[str, Any], evidence: dict[str, Any]
) -> Judgement:
    warn, block = max(limits.warn, floor), max(limits.block, floor)
    bounds = {
        **_configured(limits),
        "noise_floor": round(floor, 6),
        "effective_warn": round(warn, 6),
        "effective_block": round(block, 6),
    }
    severity: Severity = "error" if value > block else "warn" if value > warn else "ok"
    tail = {"error": f"; the limit is {block:.3g}", "warn": f"; a warning from {warn:.3g} on", "ok": ""}[severity]
    return Judgement(severity, words + tail, value, bounds, baseline, evidence)


def _configured(limits: Limits) -> dict[str, Any]:
    return {"warn": limits.warn, "block": limits.block}


def _share(histogram: list[float], index: int) -> float:
    total = sum(histogram)
    return histogram[index] / total if total else 0.0


def _folded(counts: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """Counts of the classes that either side names, and of all others.

    A class that only the other side names is absent here, unless this side's list was cut: then it may have had up to
    the least stored count, and is taken to have had its share of the other side as far as that allows.
    """
    stored = counts["classes"]
    cut = min(stored.values(), default=0) if counts["coverage"] > len(stored) else 0
    scale = counts["served"] / other["served"] if other["served"] else 0.0
    named = {
        name: float(stored[name]) if name in stored else min(other["classes"][name] * scale, float(cut))
        for name in stored.keys() | other["classes"].keys()
    }
    return named | {"(others)": max(float(counts["served"]) - sum(named.values()), 0.0)}
