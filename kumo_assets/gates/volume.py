"""Gate `volume`: how many entities are predicted for, against a least number and against the active release."""

from __future__ import annotations

from kumo_assets.gates.judgement import Judgement
from kumo_assets.spec.gates import Volume


def judge_volume(entities: int, active: int | None, limits: Volume, active_release: str = "") -> Judgement:
    """`active` is the active release's number of entities, None for a first release (bootstrap: the least number only)."""
    bounds = {
        "min_entities": limits.min_entities,
        "warn_change": limits.warn_change,
        "block_change": limits.block_change,
    }
    if entities < limits.min_entities:
        return Judgement(
            "error",
            f"{entities:,} entities; at least {limits.min_entities:,} wanted",
            float(entities),
            bounds,
            {"kind": "absolute"},
        )
    if not active:
        return Judgement(
            "ok",
            f"{entities:,} entities; no active release to compare with (bootstrap)",
            None,
            bounds,
            {"kind": "bootstrap"},
        )
    change = (entities - active) / active
    baseline = {"kind": "active", "release_id": active_release, "entities": active}
    words = f"{entities:,} entities, {change:+.1%} against the active release's {active:,}"
    if abs(change) > limits.block_change:
        return Judgement("error", f"{words}; the limit is {limits.block_change:.0%}", change, bounds, baseline)
    if abs(change) > limits.warn_change:
        return Judgement("warn", f"{words}; a warning from {limits.warn_change:.0%} on", change, bounds, baseline)
    return Judgement("ok", words, change, bounds, baseline)
