"""Gate `volume`: how many entities and rows are predicted, against a least number and against the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kumo_assets.config.gates import Volume
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.drift import bootstrap, judged, nothing
from kumo_assets.gates.judgement import Judgement
from kumo_assets.gates.statistics import count_floor


def judge_volume(counts: Mapping[str, Any], baseline: Baseline | None, limits: Volume) -> Judgement:
    """`counts` has this release's `entities` and `rows`. A first release is held to the least number only."""
    entities, rows = counts["entities"], counts["rows"]
    bounds = {"min_entities": limits.min_entities, "warn": limits.warn, "block": limits.block}
    if entities < limits.min_entities:
        words = f"{entities:,} entities; at least {limits.min_entities:,} wanted"
        return Judgement("error", words, float(entities), bounds, {"kind": "absolute"})
    if baseline is None:
        return bootstrap(f"{entities:,} entities, {rows:,} rows; there is no earlier release to compare with", limits)
    before = baseline.counts("predictions")
    if not before.get("entities") or not before.get("rows"):
        return nothing(f"{baseline.release_id} stored no counts of its predictions", baseline, limits)
    pairs = {"entities": (before["entities"], entities), "rows": (before["rows"], rows)}
    moved = {name: (now - was) / was for name, (was, now) in pairs.items()}
    worst = max(moved, key=lambda name: abs(moved[name]))
    was, now = pairs[worst]
    words = f"{now:,} {worst}, {moved[worst]:+.1%} against the {was:,} of {baseline.release_id}"
    bars = {name: (float(pair[0]), float(pair[1])) for name, pair in pairs.items()}
    told = baseline.told(entities=before["entities"], rows=before["rows"])
    floor = count_floor(before["entities"], entities)
    judgement = judged(abs(moved[worst]), floor, limits, words, told, {}, worst, bars)
    return replace(judgement, value=moved[worst], limits={**judgement.limits, "min_entities": limits.min_entities})
