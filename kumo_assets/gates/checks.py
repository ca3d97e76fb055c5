"""The Dagster shell of the gates: one partitioned multi-check per asset, each gate a blocking check of its own.

Every selected gate is judged, its verdict stored first and told after (a multi-check that yields nothing for a blocking
spec fails open, so nothing here can leave one out). What promotion reads is the stored verdict, never the check's
colour (rule 3).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.config.gates import RAW_GATES
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Artefact, Opened
from kumo_assets.gates.baseline import Baselines, baselines_of
from kumo_assets.gates.counting import stored_counts, take_counts
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.judges import Judge, judges
from kumo_assets.gates.own import Release, gates_of, judge_own, own_gates, schema_values
from kumo_assets.gates.show import DESCRIPTIONS, check_result, tell
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import release_under_check, run_of
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.sql import table


def build_gate_checks(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition
) -> list[dg.AssetChecksDefinition]:
    """A multi-check for each asset that has gates. Those on raw logs belong to `predictions`, which asks them itself
    before it launches anything. Raises ConfigError for an own gate with a bad name."""
    gates = {gate: record for gate, record in gates_of(definition).items() if gate not in RAW_GATES}
    assets = sorted({record["asset"] for record in gates.values()})
    return [
        _build(definition, partitions, asset, {gate: r["mode"] for gate, r in gates.items() if r["asset"] == asset})
        for asset in assets
    ]


def check_spec(
    key: dg.AssetKey, gate: str, mode: str, partitions: dg.PartitionsDefinition, about: str = ""
) -> dg.AssetCheckSpec:
    """The check of one gate. Kumo's errors block in every mode."""
    return dg.AssetCheckSpec(
        gate,
        asset=key,
        blocking=mode == "block" or gate == "kumo_warnings",
        partitions_def=partitions,
        description=DESCRIPTIONS.get(gate, about),
    )


def _build(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition, asset: str, modes: Mapping[str, str]
) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([definition.name, asset])

    @dg.multi_asset_check(
        name=f"{definition.name}_{asset}_gates",
        specs=[
            check_spec(key, gate, mode, partitions, f"This query's own gate, gates/{gate}.*")
            for gate, mode in modes.items()
        ],
        can_subset=True,
    )
    def gates(
        context: dg.AssetCheckExecutionContext,
        kumo_assets_snowflake: SnowflakeResource,
        kumo_assets_releases: ReleasesResource,
    ) -> Iterator[dg.AssetCheckResult]:
        ctx = kumo_assets_releases.context(definition)
        verdicts = []
        try:
            run = run_of(context)
            opened, artefact = release_under_check(ctx.store, run, asset)
            selected = [gate for gate in modes if (key, gate) in _selected(context)]
            baselines = baselines_of(ctx, definition.spec.gates, opened)
            counts, own = _ask_snowflake(ctx, kumo_assets_snowflake, definition, opened, artefact, baselines, selected)
            found: dict[str, Judge] = judges(definition.spec, artefact.details, counts, baselines) | own
            for gate in selected:
                verdict = ctx.store.write_verdict(
                    to_verdict(found[gate](), opened, gate, asset, modes[gate], run.run_id)
                )
                verdicts.append(verdict)
                yield check_result(key, verdict, counts)
        finally:
            tell(definition.name, verdicts)
            ctx.close()

    return gates


def _selected(context: dg.AssetCheckExecutionContext) -> set[tuple[dg.AssetKey, str]]:
    return {(item.asset_key, item.name) for item in context.selected_asset_check_keys}


def _ask_snowflake(
    ctx: ReleaseContext,
    snowflake: SnowflakeResource,
    definition: QueryDefinition,
    opened: Opened,
    artefact: Artefact,
    baselines: Baselines,
    selected: list[str],
) -> tuple[Mapping[str, Any], dict[str, Callable[[], Judgement]]]:
    """The counts, and the judgements of the query's own gates. Without own gates, and with counts that the asset's own
    step took against the same baselines, no session is opened."""
    asked = {name: path for name, (path, _) in own_gates(definition).items() if name in selected}
    counts = stored_counts(ctx, definition, opened, artefact.asset, baselines)
    if counts is not None and not asked:
        return counts, {}
    with connect(snowflake) as warehouse:
        if counts is None:
            counts = take_counts(ctx, warehouse, definition, opened, artefact, baselines)
        release = _release(ctx, warehouse, opened, artefact, baselines)
        values = schema_values(
            artefact.details["database"], artefact.details["schema"], opened.release_id, definition.spec.top_k
        )
        judgements = {name: judge_own(path, release, values) for name, path in asked.items()}
    return counts, {name: lambda name=name: judgements[name] for name in asked}  # type: ignore[misc]


def _release(
    ctx: ReleaseContext, warehouse: Warehouse, opened: Opened, artefact: Artefact, baselines: Baselines
) -> Release:
    """What an own gate is given."""
    database, schema = artefact.details["database"], artefact.details["schema"]
    source = ctx.store.artefact(ctx.store.home(opened, "predictions"), "predictions")
    active = baselines.active.artefacts if baselines.active is not None else {}

    def standing(name: str | None) -> str | None:
        return table(database, schema, name) if name and warehouse.columns(database, schema, name) else None

    return Release(
        query=opened.query,
        partition=opened.partition,
        release_id=opened.release_id,
        predictions=table(database, schema, (source or artefact).name),
        postprocessed=table(database, schema, artefact.name) if artefact.asset == "postprocessed" else None,
        active_predictions=standing(active.get("predictions")),
        active_postprocessed=standing(active.get("postprocessed")),
        rows=lambda sql: warehouse.rows(sql, doing="ask a gate of the query's own"),
    )
