"""The Dagster shell of the gates: one partitioned multi-check per asset, each gate a blocking check of its own.

Every selected gate is judged, and its verdict stored before it is reported. A multi-check that yields nothing for a
blocking spec fails open, so nothing here can leave one out. Promotion reads the stored verdict, never the check's colour
(rule 3). The gates on raw logs run earlier, in `raw.checks`; the import's in the step that imports.
"""

from collections.abc import Iterator, Mapping

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Artefact, NoticeDetails, Opened, WarehouseDetails
from kumo_assets.gates.baseline import Baselines, baselines_of
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.counts import Counts
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.outcome import Release
from kumo_assets.gates.own import gates_of, judge_own, own_gates, schema_values
from kumo_assets.gates.registry import GATES
from kumo_assets.gates.reporting import check_result, notify_of
from kumo_assets.gates.take_counts import stored_counts, take_counts
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import release_under_check, run_of
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.sql import table


def build_gate_checks(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition
) -> list[dg.AssetChecksDefinition]:
    """A multi-check for each asset that has gates. Those judged before the launch are left out: they are part of the
    step of `predictions`. Raises ConfigError for an own gate with a bad name."""
    early = {name for name, gate in GATES.items() if gate.before_launch}
    modes: dict[str, dict[str, str]] = {}
    for name, gate in gates_of(definition).items():
        if name not in early:
            modes.setdefault(gate["asset"], {})[name] = gate["mode"]
    return [_build(definition, partitions, asset, modes[asset]) for asset in sorted(modes)]


def check_spec(key: dg.AssetKey, gate: str, mode: str, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """The check of one gate, from its registration; of a query's own gate when it has none."""
    registered = GATES.get(gate)
    return dg.AssetCheckSpec(
        gate,
        asset=key,
        blocking=mode == "block" or (registered is not None and registered.errors_always_block),
        partitions_def=partitions,
        description=registered.about if registered is not None else f"This query's own gate, gates/{gate}.*",
    )


def _build(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition, asset: str, modes: Mapping[str, str]
) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([definition.name, asset])

    @dg.multi_asset_check(
        name=f"{definition.name}_{asset}_gates",
        specs=[check_spec(key, gate, mode, partitions) for gate, mode in modes.items()],
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
            counts, own = _query_snowflake(
                ctx, kumo_assets_snowflake, definition, opened, artefact, baselines, selected
            )
            built_in = bind(definition.spec, artefact.details_as(NoticeDetails), counts, baselines)
            for gate in selected:
                judgement = own[gate] if gate in own else built_in[gate]()
                verdict = ctx.store.write_verdict(to_verdict(judgement, opened, gate, asset, modes[gate], run.run_id))
                verdicts.append(verdict)
                yield check_result(key, verdict, counts)
        finally:
            notify_of(definition.name, verdicts, ctx.store)
            ctx.close()

    return gates


def _selected(context: dg.AssetCheckExecutionContext) -> set[tuple[dg.AssetKey, str]]:
    return {(item.asset_key, item.name) for item in context.selected_asset_check_keys}


def _query_snowflake(
    ctx: ReleaseContext,
    snowflake: SnowflakeResource,
    definition: QueryDefinition,
    opened: Opened,
    artefact: Artefact,
    baselines: Baselines,
    selected: list[str],
) -> tuple[Counts, dict[str, Judgement]]:
    """The counts, and the judgements of the query's own gates. Without own gates, and with counts that the asset's own
    step took against the same baselines, no session is opened."""
    own = {name: path for name, (path, _) in own_gates(definition).items() if name in selected}
    counts = stored_counts(ctx, definition, opened, artefact.asset, baselines)
    if counts is not None and not own:
        return counts, {}
    with connect(snowflake) as warehouse:
        if counts is None:
            counts = take_counts(ctx, warehouse, definition, opened, artefact, baselines)
        release = _release(ctx, warehouse, opened, artefact, baselines)
        place = artefact.details_as(WarehouseDetails)
        values = schema_values(place.database, place.schema_name, opened.release_id, definition.spec.top_k)
        return counts, {name: judge_own(path, release, values) for name, path in own.items()}


def _release(
    ctx: ReleaseContext, warehouse: Warehouse, opened: Opened, artefact: Artefact, baselines: Baselines
) -> Release:
    """What an own gate is given."""
    place = artefact.details_as(WarehouseDetails)
    database, schema = place.database, place.schema_name
    source = ctx.store.artefact(ctx.store.home(opened, "predictions"), "predictions")
    active = baselines.active.artefacts if baselines.active is not None else {}

    def existing(name: str | None) -> str | None:
        return table(database, schema, name) if name and warehouse.columns(database, schema, name) else None

    return Release(
        query=opened.query,
        partition=opened.partition,
        release_id=opened.release_id,
        predictions=table(database, schema, (source or artefact).name),
        postprocessed=table(database, schema, artefact.name) if artefact.asset == "postprocessed" else None,
        active_predictions=existing(active.get("predictions")),
        active_postprocessed=existing(active.get("postprocessed")),
        rows=lambda sql: warehouse.rows(sql, doing="run a gate of the query's own"),
    )
