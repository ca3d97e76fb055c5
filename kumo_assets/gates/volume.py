"""Gate `volume`: how many entities and rows are predicted, against a least number and against the active release."""

from __future__ import annotations

from kumo_assets.gates.judgement import Judgement
from kumo_assets.spec.gates import Volume


def judge_volume(
    entities: int, rows: int, active: tuple[int, int] | None, limits: Volume, active_release: str = ""
) -> Judgement:
    """`active` are the active release's (entities, rows), None for a first release (bootstrap: the least number only)."""
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
    if active is None or not all(active):
        return Judgement(
            "ok",
            f"{entities:,} entities; no active release to compare with (bootstrap)",
            None,
            bounds,
            {"kind": "bootstrap"},
        )
    changes = {"entities": (entities, active[0]), "rows": (rows, active[1])}
    moved = {name: (now - before) / before for name, (now, before) in changes.items()}
    worst = max(moved, key=lambda name: abs(moved[name]))
    change = moved[worst]
    baseline = {"kind": "active", "release_id": active_release, "entities": active[0], "rows": active[1]}
    words = f"{changes[worst][0]:,} {worst}, {change:+.1%} against the active release's {changes[worst][1]:,}"
    if abs(change) > limits.block_change:
        return Judgement("error", f"{words}; the limit is {limits.block_change:.0%}", change, bounds, baseline)
    if abs(change) > limits.warn_change:
        return Judgement("warn", f"{words}; a warning from {limits.warn_change:.0%} on", change, bounds, baseline)
    return Judgement("ok", words, change, bounds, baseline)
