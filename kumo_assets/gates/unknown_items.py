"""Gate `unknown_items`: what is recommended is in the catalogue. Asked only when a query names a catalogue table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.config.gates import UnknownItems
from kumo_assets.gates.judgement import Judgement, level, tail


def judge_unknown_items(counts: Mapping[str, Any], limits: UnknownItems) -> Judgement:
    """`counts` has `served` list entries, `unknown` ones of them, of `unknown_classes` classes, some of them named."""
    bounds = {"warn": limits.warn, "block": limits.block}
    told = {"kind": "absolute"}
    if not counts.get("served") or counts.get("unknown") is None:
        return Judgement("error", "there are no list entries to look up in the catalogue", None, bounds, told)
    value = counts["unknown"] / counts["served"]
    severity = level(value, limits.warn, limits.block)
    named = counts["unknown_named"]
    words = (
        f"{counts['unknown']:,} of {counts['served']:,} list entries ({value:.2%}) are of items not in the catalogue"
    )
    words += f": {counts['unknown_classes']:,} items, {', '.join(named)} among them" if named else ""
    return Judgement(
        severity,
        words + tail(severity, limits.warn, limits.block),
        value,
        bounds,
        told,
        {"unknown": counts["unknown"], "items": counts["unknown_classes"], "named": named},
        f"item {named[0]}" if named else "",
        {"share of unknown items": (None, value)},
    )
