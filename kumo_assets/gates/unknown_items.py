"""Gate `unknown_items`: what is recommended is in the catalogue. A pure judgement, made only for a query that names a
catalogue table."""

from __future__ import annotations

from kumo_assets.config.gates import UnknownItems
from kumo_assets.gates.counts import ListCounts
from kumo_assets.gates.judgement import ABSOLUTE, Judgement, level, limit_passed


def judge_unknown_items(counts: ListCounts, limits: UnknownItems) -> Judgement:
    """Of the `served` list entries, `unknown` ones are of `unknown_classes` items that the catalogue does not have."""
    bounds = {"warn": limits.warn, "block": limits.block}
    if not counts.get("served") or counts.get("unknown") is None:
        return Judgement("error", "there are no list entries to look up in the catalogue", None, bounds, ABSOLUTE)
    value = counts["unknown"] / counts["served"]
    severity = level(value, limits.warn, limits.block)
    named = counts["unknown_named"]
    message = (
        f"{counts['unknown']:,} of {counts['served']:,} list entries ({value:.2%}) are of items not in the catalogue"
    )
    message += f": {counts['unknown_classes']:,} items, {', '.join(named)} among them" if named else ""
    return Judgement(
        severity,
        message + limit_passed(severity, limits.warn, limits.block),
        value,
        bounds,
        ABSOLUTE,
        {"unknown": counts["unknown"], "items": counts["unknown_classes"], "named": named},
        f"item {named[0]}" if named else "",
        {"share of unknown items": (None, value)},
    )
