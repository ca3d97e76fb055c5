"""The Dagster shell of the gates: one partitioned multi-check per asset, each gate a blocking check of its own.

Counts are taken once per release and stored; every selected gate is judged, its verdict stored first and told after
(a multi-check that yields nothing for a blocking spec fails open, so nothing here can leave one out). What promotion
reads is the stored verdict, never the check's colour (rule 3).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.gates.counts import count_lists, count_predictions
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.keys import judge_keys
from kumo_assets.gates.kumo_warnings import judge_warnings
from kumo_assets.gates.list_shape import ListCounts, judge_list_shape
from kumo_assets.gates.volume import judge_volume
from kumo_assets.releases.documents import Artefact, Seal, Verdict
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import release_under_check, run_of
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.sql import table
from kumo_assets.spec.load import QueryDefinition

DESCRIPTIONS = {
    "kumo_warnings": "Kumo's own warnings and errors, verbatim: none beyond the allow-list.",
    "volume": "Entities predicted for: a least number, and the change against the active release.",
    "keys": "No null key and no key twice in Kumo's table.",
    "list_shape": "The lists to be served: ranked, falling in score, none too long, few short.",
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
        with connect(snowflake) as warehouse:
            counts = store.statistics(opened.release_id).get(asset)
            if counts is None:
                counts = _count(warehouse, definition, artefact)
                store.write_statistics(opened.release_id, asset, counts)
        for selected in context.selected_asset_check_keys:
            judgement = _judges(definition, artefact, counts, active)[selected.name]()
            verdict = store.write_verdict(
                to_verdict(judgement, opened, selected.name, asset, modes[selected.name], run.run_id)
            )
            yield _result(key, verdict)

    return gates


def _count(warehouse: Warehouse, definition: QueryDefinition, artefact: Artefact) -> dict[str, Any]:
    details = artefact.details
    where = table(details["database"], details["schema"], artefact.name)

    def row(sql: str) -> Mapping[str, Any]:
        return warehouse.row(sql, doing=f"count {artefact.name} for its gates")

    if artefact.asset == "predictions":
        columns = warehouse.columns(details["database"], details["schema"], artefact.name)
        return count_predictions(row, where, definition.spec.kumo.task, columns)
    return count_lists(row, where, definition.spec.top_k)


def _judges(
    definition: QueryDefinition, artefact: Artefact, counts: Mapping[str, Any], active: Seal | None
) -> dict[str, Callable[[], Judgement]]:
    """Gate -> its judgement on these counts."""
    spec = definition.spec
    limits = spec.gates
    return {
        "kumo_warnings": lambda: judge_warnings(
            artefact.details.get("warnings", []), artefact.details.get("errors", []), limits.kumo_warnings
        ),
        "volume": lambda: judge_volume(
            counts["entities"],
            active.counts.get("entities") if active is not None else None,
            limits.volume,
            active.release_id if active is not None else "",
        ),
        "keys": lambda: judge_keys(counts["rows"], counts["nulls"], counts["keys"]),
        "list_shape": lambda: judge_list_shape(
            ListCounts(**{name: counts[name] for name in ("lists", "short", "misranked", "disordered", "longest")}),
            spec.top_k,
            limits.list_shape,
            ordered=spec.kumo.task == "ranking",
        ),
    }


def _result(key: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckResult:
    """The verdict as the UI shows it. A warning is not passed, but is no error: Dagster lets it through."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=verdict.gate,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN if verdict.severity == "warn" else dg.AssetCheckSeverity.ERROR,
        description=verdict.message,
        metadata={
            "release": verdict.release_id,
            **({"value": verdict.value} if verdict.value is not None else {}),
            "limits": dg.MetadataValue.json(verdict.limits),
            "baseline": dg.MetadataValue.json(verdict.baseline),
            "evidence": dg.MetadataValue.json(verdict.evidence),
            "explain": f"kumo-assets gates {verdict.query} --partition {verdict.partition}",
        },
    )
