"""Where each gate's judgement is bound to what it judges: one line a gate. Pure.

A line takes from `Judged` the counts, limits and baselines that the judgement needs. Judgements are in modules of their
own; which gates judge a release is said by `GatesSpec.gates_of`. A gate without a line here is a KeyError, which blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from kumo_assets.config.gates import GatesSpec
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.registration import Limits
from kumo_assets.documents import NoticeDetails
from kumo_assets.gates.against_baseline import against_each, unless_fault
from kumo_assets.gates.baseline import Baselines
from kumo_assets.gates.continuity import judge_entities_lost, judge_overlap
from kumo_assets.gates.counts import Continuity, Counts, ListCounts, PredictionCounts, RawCounts
from kumo_assets.gates.drift import (
    judge_class_balance,
    judge_class_share,
    judge_coverage,
    judge_score_drift,
    judge_top_item,
)
from kumo_assets.gates.judgement import Judgement
from kumo_assets.gates.keys import judge_keys
from kumo_assets.gates.kumo_warnings import judge_warnings
from kumo_assets.gates.list_shape import judge_list_shape
from kumo_assets.gates.raw.judgements import judge_raw_drift, judge_raw_freshness, judge_raw_volume
from kumo_assets.gates.score_range import judge_score_range
from kumo_assets.gates.unknown_items import judge_unknown_items
from kumo_assets.gates.volume import judge_volume


@dataclass(frozen=True)
class Judged:
    """One asset of a release as its gates see it: the query, Kumo's messages about its job, the asset's counts, and
    what they are compared with."""

    spec: PredictiveQuerySpec
    kumo: NoticeDetails
    counts: Counts
    baselines: Baselines

    @property
    def limits(self) -> GatesSpec:
        return self.spec.gates

    @property
    def predictions(self) -> PredictionCounts:
        """The counts, for gates that are registered on `predictions`."""
        return cast(PredictionCounts, self.counts)

    @property
    def lists(self) -> ListCounts:
        """The counts, for gates that are registered on `postprocessed`."""
        return cast(ListCounts, self.counts)

    @property
    def raw(self) -> Mapping[str, RawCounts]:
        return self.predictions.get("raw") or {}

    @property
    def continuity(self) -> Continuity | None:
        return self.lists.get("continuity")

    @property
    def active(self) -> str:
        """The id of the active release; empty when there is none."""
        return self.baselines.active.release_id if self.baselines.active is not None else ""

    def row_by_row(self, judge: Callable[[Continuity | None, str, Limits], Judgement], limits: Limits) -> Judgement:
        """The active release's table needs no stored counts, so it is compared with when there are none as well."""
        bound = partial(judge, self.continuity, self.active, limits)
        return bound() if self.continuity is not None else unless_fault(bound, limits, self.baselines)


BINDINGS: dict[str, Callable[[Judged], Judgement]] = {
    "raw_freshness": lambda it: judge_raw_freshness(
        it.raw, it.limits.raw_freshness, it.spec.schedule.late_logs_tolerance_minutes
    ),
    "raw_volume": lambda it: unless_fault(
        partial(judge_raw_volume, it.raw, it.baselines.main, it.limits.raw_volume), it.limits.raw_volume, it.baselines
    ),
    "raw_drift": lambda it: unless_fault(
        partial(judge_raw_drift, it.raw, it.baselines.main, it.baselines.reference, it.limits.raw_drift),
        it.limits.raw_drift,
        it.baselines,
    ),
    "kumo_warnings": lambda it: judge_warnings(it.kumo.warnings, it.kumo.errors, it.limits.kumo_warnings),
    "volume": lambda it: against_each(judge_volume, it.predictions, it.limits.volume, it.baselines, reference=False),
    "keys": lambda it: judge_keys(it.predictions["rows"], it.predictions["nulls"], it.predictions["keys"]),
    "score_range": lambda it: judge_score_range(
        it.predictions,
        it.baselines.main,
        it.limits.score_range,
        it.spec.task,
        it.spec.source.binary_threshold,
    ),
    "score_drift": lambda it: against_each(judge_score_drift, it.predictions, it.limits.score_drift, it.baselines),
    "list_shape": lambda it: judge_list_shape(
        it.lists, it.spec.top_k, it.limits.list_shape, ordered=it.spec.task == "ranking"
    ),
    "class_share": lambda it: against_each(judge_class_share, it.lists, it.limits.class_share, it.baselines),
    "class_balance": lambda it: against_each(judge_class_balance, it.lists, it.limits.class_balance, it.baselines),
    "top_item": lambda it: against_each(judge_top_item, it.lists, it.limits.top_item, it.baselines),
    "coverage": lambda it: against_each(
        partial(judge_coverage, top_k=it.spec.top_k), it.lists, it.limits.coverage, it.baselines
    ),
    "unknown_items": lambda it: judge_unknown_items(it.lists, it.limits.unknown_items),
    "entities_lost": lambda it: it.row_by_row(judge_entities_lost, it.limits.entities_lost),
    "overlap": lambda it: it.row_by_row(judge_overlap, it.limits.overlap),
}


def bind(
    spec: PredictiveQuerySpec,
    kumo: NoticeDetails,
    counts: Counts,
    baselines: Baselines,
) -> dict[str, Callable[[], Judgement]]:
    """Gate -> its judgement of these counts, those of one asset. Only the gates of that asset can be called."""
    judged = Judged(spec, kumo, counts, baselines)
    return {gate: partial(judge, judged) for gate, judge in BINDINGS.items()}
