"""The Dagster shell of the gates: one partitioned multi-check per asset, each gate a blocking check of its own.

Every selected gate is judged, and its verdict stored before it is reported. A multi-check that yields nothing for a
blocking spec fails open, so nothing here can leave one out. Promotion reads the stored verdict, never the check's colour
(rule 3). The gates on raw logs run earlier, in `raw.checks`; the import's in the step that imports.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Artefact, NoticeDetails, Opened, Verdict, WarehouseDetails
from kumo_assets.errors import GateBlocked
from kumo_assets.gates.baseline import Baselines, baselines_of
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.counts import Counts
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.outcome import Release
from kumo_assets.gates.own import gates_of, judge_own, own_gates, schema_values
from kumo_assets.gates.registry import GATES
from kumo_assets.gates.reporting import check_result, notify_of
from kumo_assets.gates.settings import mode_for, settings_of
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
                verdict = _judged(ctx, definition, opened, gate, judgement, asset, modes[gate], run.run_id)
                verdicts.append(verdict)
                yield check_result(key, verdict, counts)
            # A gate that the definition no longer asks has no check; the release was opened with it all the same.
            for gate in _still_missing(ctx, opened, asset, modes):
                mode = opened.gates[gate].mode
                verdicts.append(_judged(ctx, definition, opened, gate, built_in[gate](), asset, mode, run.run_id))
            _stop_where_no_check_does(definition, verdicts, modes)
        finally:
            notify_of(definition.name, verdicts, ctx.store)
            ctx.close()

    return gates


def _judged(
    ctx: ReleaseContext,
    definition: QueryDefinition,
    opened: Opened,
    gate: str,
    judgement: Judgement,
    asset: str,
    mode: str,
    run_id: str,
) -> Verdict:
    """The verdict as it is stored then."""
    settings = settings_of(definition, gate)
    mode = mode_for(opened, gate, mode)
    return ctx.store.write_verdict(to_verdict(judgement, opened, gate, asset, mode, run_id, settings))


def _still_missing(ctx: ReleaseContext, opened: Opened, asset: str, modes: Mapping[str, str]) -> list[str]:
    """The built-in gates of an asset that the release was opened with, that the definition does not ask, and that have no
    verdict yet."""
    left = [
        gate
        for gate, record in opened.gates.items()
        if record.asset == asset and gate not in modes and gate in GATES and not GATES[gate].before_launch
    ]
    return [gate for gate in left if ctx.store.verdict(opened.release_id, gate) is None]


def _stop_where_no_check_does(
    definition: QueryDefinition, verdicts: Sequence[Verdict], modes: Mapping[str, str]
) -> None:
    """GateBlocked for a verdict that blocks because of how the release was opened, while its check, which goes by the
    definition of now, lets the run go on."""
    for verdict in verdicts:
        always = verdict.gate in GATES and GATES[verdict.gate].errors_always_block
        if verdict.blocks and not always and modes.get(verdict.gate) != "block":
            raise GateBlocked(
                "go on with release",
                to=verdict.release_id,
                found=f"gate {verdict.gate}, in mode block when the release was opened: {verdict.message}",
                next=f"kumo-assets gates {definition.name} --partition {verdict.partition}; a new release goes by the "
                f"definition of now: kumo-assets materialize {definition.name} --partition {verdict.partition} --fresh",
            )


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
    with connect(snowflake, show_values=definition.spec.show_entities) as warehouse:
        if counts is None:
            counts = take_counts(ctx, warehouse, definition, opened, artefact, baselines)
        release = _release(ctx, warehouse, opened, artefact, baselines)
        place = artefact.details_as(WarehouseDetails)
        values = schema_values(place.database, place.schema_name, opened.release_id, definition.spec.top_k)
        shown = definition.spec.show_entities
        return counts, {name: judge_own(path, release, values, shown) for name, path in own.items()}


def _release(
    ctx: ReleaseContext, warehouse: Warehouse, opened: Opened, artefact: Artefact, baselines: Baselines
) -> Release:
    """What an own gate is given."""
    place = artefact.details_as(WarehouseDetails)
    database, schema = place.database, place.schema_name
    source = ctx.store.artefact(ctx.store.home(opened, "predictions"), "predictions")
    active = baselines.active.artefacts if baselines.active is not None else {}

    def existing(name: str | None) -> str | None:
        where, columns = warehouse.readable(database, schema, name) if name else ("", {})
        return where if columns else None

    return Release(
        query=opened.query,
        partition=opened.partition,
        release_id=opened.release_id,
        predictions=warehouse.readable(database, schema, (source or artefact).name)[0],
        postprocessed=table(database, schema, artefact.name) if artefact.asset == "postprocessed" else None,
        active_predictions=existing(active.get("predictions")),
        active_postprocessed=existing(active.get("postprocessed")),
        rows=lambda sql: warehouse.rows(sql, doing="run a gate of the query's own"),
    )
