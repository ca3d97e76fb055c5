"""Gate `list_shape`: the lists to be served are ranked 1, 2, 3, ..., fall in score, and are mostly full."""

from __future__ import annotations

from dataclasses import dataclass

from kumo_assets.gates.judgement import Judgement
from kumo_assets.spec.gates import ListShape


@dataclass(frozen=True)
class ListCounts:
    """Counts over entities: lists in all, shorter than top_k, with a gap or repeat in their ranks, with a score that
    rises with the rank, and the longest list."""

    lists: int
    short: int
    misranked: int
    disordered: int
    longest: int


def judge_list_shape(counts: ListCounts, top_k: int, limits: ListShape, *, ordered: bool = True) -> Judgement:
    """`ordered` is False where the first of a list is the predicted class, not the highest score (multiclass)."""
    bounds = {"top_k": top_k, "warn_short": limits.warn_short, "block_short": limits.block_short}
    evidence = vars(counts)
    if counts.lists == 0:
        return Judgement("error", "there are no lists", 0.0, bounds, {"kind": "absolute"}, evidence)
    faults = []
    if counts.longest > top_k:
        faults.append(f"a list of {counts.longest}, longer than {top_k}")
    if counts.misranked:
        faults.append(f"{counts.misranked:,} lists whose ranks are not 1, 2, 3, ...")
    if ordered and counts.disordered:
        faults.append(f"{counts.disordered:,} lists whose scores rise")
    share = counts.short / counts.lists
    if share > limits.block_short:
        faults.append(f"{share:.1%} of lists shorter than {top_k} (limit {limits.block_short:.0%})")
    if faults:
        return Judgement("error", "; ".join(faults), share, bounds, {"kind": "absolute"}, evidence)
    words = f"{counts.lists:,} lists, {share:.2%} shorter than {top_k}"
    if share > limits.warn_short:
        return Judgement(
            "warn", f"{words}; a warning from {limits.warn_short:.0%} on", share, bounds, {"kind": "absolute"}, evidence
        )
    return Judgement("ok", words, share, bounds, {"kind": "absolute"}, evidence)
