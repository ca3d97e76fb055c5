"""Which gate judges what: from the counts of one asset and its baselines to a judgement of each gate. Pure.

Every gate that `GatesSpec.gates_of` can name has its judge here; a gate without one is a KeyError, which blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kumo_assets.config.gates import Limits
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.documents import NoticeDetails
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.continuity import judge_entities_lost, judge_overlap
from kumo_assets.gates.drift import judge_class_share, judge_coverage, judge_score_drift, judge_top_item, nothing
from kumo_assets.gates.judgement import Judgement, worst
from kumo_assets.gates.keys import judge_keys
from kumo_assets.gates.kumo_warnings import judge_warnings
from kumo_assets.gates.list_shape import judge_list_shape
from kumo_assets.gates.raw_logs import judge_raw_drift, judge_raw_freshness, judge_raw_volume
from kumo_assets.gates.score_range import judge_score_range
from kumo_assets.gates.unknown_items import judge_unknown_items
from kumo_assets.gates.volume import judge_volume

Judge = Callable[[], Judgement]


def judges(
    spec: PredictiveQuerySpec, kumo: NoticeDetails, counts: Mapping[str, Any], baselines: Baselines
) -> dict[str, Judge]:
    """Gate -> its judgement on `counts`, those of one asset; `kumo` is what Kumo said of its job."""
    limits, main = spec.gates, baselines.main
    active = baselines.active.release_id if baselines.active is not None else ""
    continuity = counts.get("continuity")
    raw: Mapping[str, Any] = counts.get("raw") or {}

    def drift(judge: Callable[[Baseline | None], Judgement], gate: Limits) -> Judge:
        return lambda: _against_each(judge, gate, baselines)

    def unless_fault(judge: Judge, gate: Limits) -> Judge:
        """Where there should be a baseline and is none, its absence is no bootstrap."""
        return lambda: nothing(baselines.fault, None, gate) if baselines.fault else judge()

    def by_row(judge: Judge, gate: Limits) -> Judge:
        """The active release's table needs no stored counts: a release without them is compared with all the same."""
        return judge if continuity is not None else unless_fault(judge, gate)

    return {
        "raw_freshness": lambda: judge_raw_freshness(
            raw, limits.raw_freshness, spec.schedule.late_logs_tolerance_minutes
        ),
        "raw_volume": unless_fault(lambda: judge_raw_volume(raw, main, limits.raw_volume), limits.raw_volume),
        "raw_drift": unless_fault(
            lambda: judge_raw_drift(raw, main, baselines.reference, limits.raw_drift), limits.raw_drift
        ),
        "kumo_warnings": lambda: judge_warnings(
            [item.model_dump() for item in kumo.warnings],
            [item.model_dump() for item in kumo.errors],
            limits.kumo_warnings,
        ),
        "volume": lambda: _against_each(
            lambda item: judge_volume(counts, item, limits.volume), limits.volume, baselines, reference=False
        ),
        "keys": lambda: judge_keys(counts["rows"], counts["nulls"], counts["keys"]),
        "score_range": lambda: judge_score_range(counts, main, limits.score_range, spec.task),
        "score_drift": drift(lambda item: judge_score_drift(counts, item, limits.score_drift), limits.score_drift),
        "list_shape": lambda: judge_list_shape(counts, spec.top_k, limits.list_shape, ordered=spec.task == "ranking"),
        "class_share": drift(lambda item: judge_class_share(counts, item, limits.class_share), limits.class_share),
        "class_balance": drift(
            lambda item: judge_class_share(counts, item, limits.class_balance, firsts=True), limits.class_balance
        ),
        "top_item": drift(lambda item: judge_top_item(counts, item, limits.top_item), limits.top_item),
        "coverage": drift(lambda item: judge_coverage(counts, item, limits.coverage, spec.top_k), limits.coverage),
        "unknown_items": lambda: judge_unknown_items(counts, limits.unknown_items),
        "entities_lost": by_row(
            lambda: judge_entities_lost(continuity, active, limits.entities_lost), limits.entities_lost
        ),
        "overlap": by_row(lambda: judge_overlap(continuity, active, limits.overlap), limits.overlap),
    }


def _against_each(
    judge: Callable[[Baseline | None], Judgement], limits: Limits, baselines: Baselines, *, reference: bool = True
) -> Judgement:
    """The gravest judgement over all baselines. Where there should be one and is none, nothing passes."""
    compared = [item for item in baselines.drift() if reference or item.kind != "fixed"]
    judgements = [judge(item) for item in compared] or ([] if baselines.fault else [judge(None)])
    if baselines.fault:
        judgements.append(nothing(baselines.fault, None, limits))
    return worst(judgements)
