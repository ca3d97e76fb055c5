"""The gates on raw logs as `predictions` runs them: before anything is launched, for exactly the partition's day.

They are checks of `predictions` and verdicts of the release, so promotion depends on them as on all others (rule 3), and
a bad day costs no Kumo job. A check on the shared, unpartitioned raw asset could do neither. The checks of assets that
exist already are in `gates.checks`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import dagster as dg

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.documents import NoticeDetails, Opened, Verdict
from kumo_assets.errors import ConfigError, GateBlocked
from kumo_assets.gates.baseline import baselines_of
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.checks import check_spec
from kumo_assets.gates.counts import counts_in
from kumo_assets.gates.judgement import to_verdict
from kumo_assets.gates.raw.take_counts import count_raw
from kumo_assets.gates.registry import GATES
from kumo_assets.gates.reporting import check_result, notify_of
from kumo_assets.gates.settings import judged_by_others, mode_for, settings_of
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse

ASSET = "predictions"


def raw_gates(definition: QueryDefinition) -> dict[str, str]:
    """Gate -> mode of the gates on raw logs that judge this query."""
    gates = definition.spec.asked_gates
    return {name: gate["mode"] for name, gate in gates.items() if GATES[name].before_launch}


def raw_check_specs(definition: QueryDefinition, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """Their checks, on `predictions`. ConfigError when the drift of a log is watched that the query does not name."""
    watched = definition.spec.gates.raw_drift
    unknown = sorted((watched.columns.keys() | watched.per.keys()) - set(definition.spec.raw_logs))
    if unknown:
        raise ConfigError(
            "read the definition",
            to=str(definition.folder / "defs.yaml"),
            found=f"attributes.gates.raw_drift names {', '.join(unknown)}, which is not under raw_logs",
            next=f"use some of: {', '.join(definition.spec.raw_logs)}",
        )
    key = dg.AssetKey([definition.name, ASSET])
    return [check_spec(key, gate, mode, partitions) for gate, mode in raw_gates(definition).items()]


def run_raw_gates(
    ctx: ReleaseContext,
    warehouse: Warehouse,
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    opened: Opened,
    day: tuple[datetime, datetime],
    run_id: str,
    *,
    launched: bool,
) -> Iterator[dg.AssetCheckResult]:
    """A check result for each gate, its verdict stored first; `day` is the partition's start and end.

    Once `launched`, verdicts that exist are reported again; those whose gate has other settings now are judged again.
    A gate that the definition no longer asks has no check, but the release was opened with it: its verdict counts, too.
    Raises GateBlocked after the last one when one blocks.
    """
    asked = raw_gates(definition)
    recorded = {
        gate: record.mode for gate, record in opened.gates.items() if gate in GATES and GATES[gate].before_launch
    }
    modes = {gate: mode_for(opened, gate, mode) for gate, mode in (recorded | asked).items()}
    stored = {gate: ctx.store.verdict(opened.release_id, gate) for gate in modes}
    kept = {
        gate: verdict
        for gate, verdict in stored.items()
        if verdict is not None and (gate not in asked or (launched and not judged_by_others(definition, verdict)))
    }
    verdicts: list[Verdict] = [*kept.values()]
    missing = [gate for gate in modes if gate not in kept]
    if missing:
        baselines = baselines_of(ctx, definition.spec.gates, opened)
        raw = count_raw(warehouse, definition, sources, day, baselines, lambda: ctx.store.objects.client)
        others = ctx.store.statistics(opened.release_id, ASSET) or {}
        ctx.store.write_statistics(opened.release_id, ASSET, {**others, "raw": raw})
        judges = bind(definition.spec, NoticeDetails(), counts_in({"raw": raw}), baselines)
        new = [
            to_verdict(judges[gate](), opened, gate, ASSET, modes[gate], run_id, settings_of(definition, gate))
            for gate in missing
        ]
        verdicts += [ctx.store.write_verdict(verdict) for verdict in new]
        notify_of(definition.name, new, ctx.store)
    key = dg.AssetKey([definition.name, ASSET])
    for verdict in verdicts:
        if verdict.gate in asked:
            yield check_result(key, verdict)
    blocking = next((verdict for verdict in verdicts if verdict.blocks), None)
    if blocking is not None:
        raise GateBlocked(
            "launch the predictions of",
            to=f"{opened.query}, {opened.partition}",
            found=f"gate {blocking.gate}: {blocking.message}",
            next=f"kumo-assets gates {opened.query} --partition {opened.partition}; nothing was launched",
        )
