"""Gate `list_shape`: the lists to be served are ranked 1, 2, 3, ..., fall in score, and are mostly full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.config.gates import ListShape
from kumo_assets.gates.judgement import Judgement, level, tail


def judge_list_shape(counts: Mapping[str, Any], top_k: int, limits: ListShape, *, ordered: bool = True) -> Judgement:
    """Counts over entities: `lists` in all, `short`er than a `full` one, `misranked` with a gap or repeat in their ranks
    or no score at one, `disordered` with a score that rises with the rank, the `longest`, and whether all scores are
    `finite`.

    `ordered` is False where the first of a list is the predicted class, not the highest score (multiclass).
    """
    bounds = {"top_k": top_k, "warn": limits.warn, "block": limits.block}
    told = {"kind": "absolute"}
    lists = counts["lists"]
    full, classes = counts.get("full", top_k), counts.get("coverage", top_k)
    named = ("lists", "short", "misranked", "disordered", "longest")
    evidence = {"full": full} | {name: counts[name] for name in named}
    if not lists:
        return Judgement("error", "there are no lists", 0.0, bounds, told, evidence)
    share = counts["short"] / lists
    faults = []
    if not counts.get("finite", True):
        faults.append("some scores are not finite numbers")
    if counts["longest"] > top_k:
        faults.append(f"a list of {counts['longest']}, longer than {top_k}")
    if counts["misranked"]:
        faults.append(f"{counts['misranked']:,} lists whose ranks are not 1, 2, 3, ..., each with a score")
    if ordered and counts["disordered"]:
        faults.append(f"{counts['disordered']:,} lists whose scores rise")
    severity = "error" if faults else level(share, limits.warn, limits.block)
    words = "; ".join([*faults, f"{lists:,} lists, {share:.2%} shorter than {full}"])
    words += f", as many as the baseline has classes; here are {classes}" if classes < full < top_k else ""
    words += "" if faults else tail(severity, limits.warn, limits.block)
    names = ("short", "misranked", "disordered")
    bars = {f"share {name}": (None, counts[name] / lists) for name in names}
    return Judgement(severity, words, share, bounds, told, evidence, bars=bars)
