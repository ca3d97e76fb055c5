"""Gate `volume`: how many entities and rows are predicted, against a least number and against the baseline. A pure
judgement."""

from __future__ import annotations

from dataclasses import replace

from kumo_assets.config.gates import Volume
from kumo_assets.gates.against_baseline import bootstrap, judge_figure, limits_of, nothing_compared
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.counts import PredictionCounts
from kumo_assets.gates.formulas import count_floor
from kumo_assets.gates.judgement import ABSOLUTE, Judgement


def judge_volume(counts: PredictionCounts, baseline: Baseline | None, limits: Volume) -> Judgement:
    """Judges `entities` and `rows`. A first release only needs the least number of entities."""
    entities, rows = counts["entities"], counts["rows"]
    if entities < limits.min_entities:
        message = f"{entities:,} entities; at least {limits.min_entities:,} wanted"
        bounds = {"min_entities": limits.min_entities, **limits_of(limits)}
        return Judgement("error", message, float(entities), bounds, ABSOLUTE)
    if baseline is None:
        return bootstrap(f"{entities:,} entities, {rows:,} rows; there is no earlier release to compare with", limits)
    before = baseline.predictions
    if not before.get("entities") or not before.get("rows"):
        return nothing_compared(f"{baseline.release_id} stored no counts of its predictions", baseline, limits)
    pairs = {"entities": (before["entities"], entities), "rows": (before["rows"], rows)}
    change = {name: (now - was) / was for name, (was, now) in pairs.items()}
    largest = max(change, key=lambda name: abs(change[name]))
    was, now = pairs[largest]
    judgement = judge_figure(
        abs(change[largest]),
        count_floor(before["entities"], entities),
        limits,
        f"{now:,} {largest}, {change[largest]:+.1%} against the {was:,} of {baseline.release_id}",
        baseline.recorded(entities=before["entities"], rows=before["rows"]),
        segment=largest,
        bars={name: (float(pair[0]), float(pair[1])) for name, pair in pairs.items()},
    )
    # The sign is for people: the limits are on the size of the change.
    return replace(judgement, value=change[largest], limits={**judgement.limits, "min_entities": limits.min_entities})
