"""The Dagster shell of the gates: one partitioned multi-check per asset, each gate a blocking check of its own.

Counts are taken once per release and stored; every selected gate is judged, its verdict stored first and told after
(a multi-check that yields nothing for a blocking spec fails open, so nothing here can leave one out). What promotion
reads is the stored verdict, never the check's colour (rule 3).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.gates.continuity import judge_entities_lost, judge_overlap
from kumo_assets.gates.counts import count_continuity, count_lists, count_predictions
from kumo_assets.gates.drift import judge_class_share, judge_coverage, judge_score_drift, judge_top_item
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.keys import judge_keys
from kumo_assets.gates.kumo_warnings import judge_warnings
from kumo_assets.gates.list_shape import ListCounts, judge_list_shape
from kumo_assets.gates.plots import classes_plot, histogram_plot
from kumo_assets.gates.volume import judge_volume
from kumo_assets.releases.documents import Artefact, Seal, Verdict
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import release_under_check, run_of
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.sql import table
from kumo_assets.spec.load import QueryDefinition

DESCRIPTIONS = {
    "kumo_warnings": "Kumo's own warnings and errors, verbatim: none beyond the allow-list.",
    "volume": "Entities and rows predicted: a least number, and the change against the active release.",
    "keys": "No null key and no key twice in Kumo's table.",
    "score_drift": "PSI of the scores against the active release, over its own quantile bins.",
    "list_shape": "The lists to be served: ranked, falling in score, none too long, few short.",
    "class_share": "Total variation of what is recommended, against the active release.",
    "top_item": "No item takes over the first places.",
    "coverage": "The catalogue that is recommended does not shrink.",
    "entities_lost": "Entities of the active release keep a prediction.",
    "overlap": "Lists do not change altogether from one release to the next.",
}


def build_gate_checks(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition
) -> list[dg.AssetChecksDefinition]:
    """A multi-check for each asset that has gates."""
    gates = definition.spec.gates.gates_of(definition.spec.kumo.task)
    assets = sorted({record["asset"] for record in gates.values()})
    return [
        _build(definition, partitions, asset, {gate: r["mode"] for gate, r in gates.items() if r["asset"] == asset})
        for asset in assets
    ]


def _build(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition, asset: str, modes: Mapping[str, str]
) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([definition.name, asset])

    @dg.multi_asset_check(
        name=f"{definition.name}_{asset}_gates",
        specs=[
            dg.AssetCheckSpec(
                gate, asset=key, blocking=mode == "block", partitions_def=partitions, description=DESCRIPTIONS[gate]
            )
            for gate, mode in modes.items()
        ],
        can_subset=True,
    )
    def gates(
        context: dg.AssetCheckExecutionContext, snowflake: SnowflakeResource, releases: ReleasesResource
    ) -> Iterator[dg.AssetCheckResult]:
        store = releases.store(definition.name)
        run = run_of(context)
        opened, artefact = release_under_check(store, run, asset)
        active = releases.active_seal(definition)
        if active is not None and active.release_id == opened.release_id:
            active = None  # checks asked again of what is live: it is no baseline of itself
        counts = store.statistics(opened.release_id).get(asset)
        against = active.release_id if active is not None else ""
        if counts is None or counts["baseline"] != against:
            with connect(snowflake) as warehouse:
                counts = _count(warehouse, definition, artefact, active) | {"baseline": against}
            store.write_statistics(opened.release_id, asset, counts)
        judges = _judges(definition, artefact, counts, active)
        for selected in context.selected_asset_check_keys:
            verdict = store.write_verdict(
                to_verdict(judges[selected.name](), opened, selected.name, asset, modes[selected.name], run.run_id)
            )
            yield _result(key, verdict, counts, _baseline(active, asset))

    return gates


def _baseline(active: Seal | None, asset: str) -> Mapping[str, Any] | None:
    """The counts the active release stored for this asset; None for a first release, or one that has none."""
    return active.statistics.get(asset) if active is not None else None


def _count(
    warehouse: Warehouse, definition: QueryDefinition, artefact: Artefact, active: Seal | None
) -> dict[str, Any]:
    """Every count the gates of this asset need."""
    details = artefact.details
    database, schema = details["database"], details["schema"]
    where = table(database, schema, artefact.name)
    sent = warehouse.statements

    def rows(sql: str) -> list[dict[str, Any]]:
        return warehouse.rows(sql, doing=f"count {artefact.name} for its gates")

    if artefact.asset == "predictions":
        columns = warehouse.columns(database, schema, artefact.name)
        counts = count_predictions(rows, where, columns, _baseline(active, artefact.asset))
        counts["statements"] = warehouse.statements - sent - 1
        return counts
    lists = definition.spec.kumo.task != "regression"
    counts = count_lists(rows, where, definition.spec.top_k) if lists else {"lists": artefact.entities}
    if active is not None:
        old = active.artefacts.get("postprocessed", "")
        if old and warehouse.columns(database, schema, old):
            counts["continuity"] = count_continuity(rows, where, table(database, schema, old), lists=lists)
        else:
            counts["continuity"] = {"missing": f"no table {old or '(not recorded)'}"}
    counts["statements"] = warehouse.statements - sent - (1 if active is not None else 0)
    return counts


def _judges(
    definition: QueryDefinition, artefact: Artefact, counts: Mapping[str, Any], active: Seal | None
) -> dict[str, Callable[[], Judgement]]:
    """Gate -> its judgement on these counts."""
    spec = definition.spec
    limits = spec.gates
    before = _baseline(active, artefact.asset)
    name = active.release_id if active is not None else ""
    continuity = counts.get("continuity")
    return {
        "kumo_warnings": lambda: judge_warnings(
            artefact.details.get("warnings", []), artefact.details.get("errors", []), limits.kumo_warnings
        ),
        "volume": lambda: judge_volume(
            counts["entities"],
            counts["rows"],
            (before["entities"], before["rows"]) if before else None,
            limits.volume,
            name,
        ),
        "keys": lambda: judge_keys(counts["rows"], counts["nulls"], counts["keys"]),
        "score_drift": lambda: judge_score_drift(
            counts, before if before and before.get("edges") and counts["against"] else None, limits.score_drift, name
        ),
        "list_shape": lambda: judge_list_shape(
            ListCounts(**{key: counts[key] for key in ("lists", "short", "misranked", "disordered", "longest")}),
            spec.top_k,
            limits.list_shape,
            ordered=spec.kumo.task == "ranking",
        ),
        "class_share": lambda: judge_class_share(counts, before, limits.class_share, name),
        "top_item": lambda: judge_top_item(counts, before, limits.top_item, name),
        "coverage": lambda: judge_coverage(counts, before, limits.coverage, name),
        "entities_lost": lambda: judge_entities_lost(continuity, name, limits.entities_lost),
        "overlap": lambda: judge_overlap(continuity, name, limits.overlap),
    }


def _result(
    key: dg.AssetKey, verdict: Verdict, counts: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> dg.AssetCheckResult:
    """The verdict as the UI shows it. A warning is not passed, but is no error: Dagster lets it through."""
    metadata: dict[str, Any] = {
        "release": verdict.release_id,
        "limits": dg.MetadataValue.json(verdict.limits),
        "baseline": dg.MetadataValue.json(verdict.baseline),
        "evidence": dg.MetadataValue.json(verdict.evidence),
        "statements sent to Snowflake for this asset's gates": int(counts.get("statements", 0)),
        "explain": f"kumo-assets gates {verdict.query} --partition {verdict.partition}",
    }
    if verdict.value is not None:
        metadata["value"] = float(verdict.value)
    if verdict.gate == "score_drift" and verdict.evidence.get("edges"):
        found = verdict.evidence
        metadata["plot"] = dg.MetadataValue.md(histogram_plot(found["edges"], found["reference"], found["current"]))
    if verdict.gate == "class_share" and baseline is not None and baseline.get("classes"):
        metadata["plot"] = dg.MetadataValue.md(classes_plot(baseline["classes"], counts["classes"]))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=verdict.gate,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN if verdict.severity == "warn" else dg.AssetCheckSeverity.ERROR,
        description=verdict.message,
        metadata=metadata,
    )
