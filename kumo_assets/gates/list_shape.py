"""Gate `list_shape`: the lists to be served are ranked 1, 2, 3, ..., fall in score, and are mostly full. A pure
judgement."""

from __future__ import annotations

from kumo_assets.config.gates import ListShape
from kumo_assets.gates.counts import ListCounts
from kumo_assets.gates.judgement import ABSOLUTE, Judgement, Severity, level, limit_passed


def judge_list_shape(counts: ListCounts, top_k: int, limits: ListShape, *, ordered: bool = True) -> Judgement:
    """Of all `lists`: `short` ones have fewer entries than a `full` one, `misranked` ones a gap or repeat in their ranks
    or no score at one, `disordered` ones a score that rises with the rank.

    `ordered` is False where the first of a list is the predicted class, not the highest score (multiclass).
    """
    bounds = {"top_k": top_k, "warn": limits.warn, "block": limits.block}
    lists = counts["lists"]
    full, classes = counts.get("full", top_k), counts.get("coverage", top_k)
    evidence = {
        "full": full,
        "lists": lists,
        "short": counts["short"],
        "misranked": counts["misranked"],
        "disordered": counts["disordered"],
        "longest": counts["longest"],
    }
    if not lists:
        return Judgement("error", "there are no lists", 0.0, bounds, ABSOLUTE, evidence)
    faults = []
    if not counts.get("finite", True):
        faults.append("some scores are not finite numbers")
    if counts["longest"] > top_k:
        faults.append(f"a list of {counts['longest']}, longer than {top_k}")
    if counts["misranked"]:
        faults.append(f"{counts['misranked']:,} lists whose ranks are not 1, 2, 3, ..., each with a score")
    if ordered and counts["disordered"]:
        faults.append(f"{counts['disordered']:,} lists whose scores rise")
    shares = {name: evidence[name] / lists for name in ("short", "misranked", "disordered")}
    severity: Severity = "error" if faults else level(shares["short"], limits.warn, limits.block)
    message = "; ".join([*faults, f"{lists:,} lists, {shares['short']:.2%} shorter than {full}"])
    message += f", as many as the baseline has classes; here are {classes}" if classes < full < top_k else ""
    message += "" if faults else limit_passed(severity, limits.warn, limits.block)
    bars = {f"share {name}": (None, share) for name, share in shares.items()}
    return Judgement(severity, message, shares["short"], bounds, ABSOLUTE, evidence, bars=bars)
