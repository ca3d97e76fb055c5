"""`materialize`: the chain of one or more days, in this process, on the Dagster instance of DAGSTER_HOME.

The partition is checked before Dagster is imported. A day whose last run died is resumed: the same release, the same
Kumo job, the same import (rule 2). What is done where the definition was edited meanwhile is decided in `continuing`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli.loading import daily_job
from kumo_assets.cli.output import By, Json, Query, context_of, definitions, note, show
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN, ReleaseId
from kumo_assets.config.partitions import demand_partition
from kumo_assets.errors import ConfigError, GateBlocked, Refused
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.run import ADOPTS_TAG, ROOT_RUN_TAG, person
from kumo_assets.resources.processes import PROCESS_TAG, process_tags

if TYPE_CHECKING:
    import dagster as dg

    from kumo_assets.cli.continuing import Continuation  # it loads Dagster

# Dagster's debug lines are for its UI; a terminal gets what is INFO and above, on stderr.
TERMINAL = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


class RunFailed(KumoAssetsError):
    """The run ended without a release, and no gate stopped it."""


def materialize(
    query: Query,
    partition: Annotated[list[str], typer.Option(help="Day, YYYY-MM-DD; may be given several times.")],
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Open a new release even where an earlier run of the day died.")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Promote each release that is sealed.")] = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Build a day's release: the chain up to dynamodb_table, with its gates."""
    index = definitions()
    definition = index.query(query)
    days = [demand_partition(definition, day) for day in partition]
    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigError(
            "find the Dagster instance",
            found="DAGSTER_HOME is not set",
            next="export DAGSTER_HOME=<the folder of dagster.yaml, absolute>",
        )
    ctx = context_of(query, index=index)
    job = daily_job(index, definition)
    definition = replace(definition, sources=index.raw_sources(definition))
    done = [_one_day(ctx, definition, job, day, fresh=fresh, promote=promote, by=by or person()) for day in days]
    show(as_json, done[0] if len(done) == 1 else done, lambda: print("\n".join(item["words"] for item in done)))


def _one_day(
    ctx: ReleaseContext,
    definition: QueryDefinition,
    job: dg.JobDefinition,
    day: str,
    *,
    fresh: bool,
    promote: bool,
    by: str,
) -> dict[str, Any]:
    import dagster as dg

    from kumo_assets.automation.dead_runs import heard, mark_dead_runs
    from kumo_assets.automation.run_slots import crowded

    with dg.DagsterInstance.get() as instance, heard(instance):
        mark_dead_runs(instance)
        if words := crowded(instance):
            note(words)
        found = None if fresh else _to_resume(ctx, definition, instance, day)
        root = ""
        tags = {"kumo_assets/by": by, **process_tags()}
        if found is not None:
            note(found.message)
            if found.difference is not None:
                tags[ADOPTS_TAG] = found.release.release_id
            else:
                root = tags[ROOT_RUN_TAG] = found.release.root_run_id
        if found is not None and found.adopted:
            job = _from_there_on(job, definition.name, found.adopted)
        result = job.execute_in_process(
            instance=instance, partition_key=day, tags=tags, run_config=TERMINAL, raise_on_error=False
        )
        failed = next((event for event in result.all_events if event.is_step_failure), None)
        error = _root_cause(failed) if failed is not None else None
    release = str(ReleaseId.of(day, root or result.run_id))
    sealed = ctx.store.sealed(release)
    if not result.success or sealed is None:
        _raise(ctx, definition, day, release, error)
    assert sealed is not None
    document: dict[str, Any] = {
        "query": definition.name,
        "partition": day,
        "release_id": release,
        "run_id": result.run_id,
        "resumed": bool(root),
        "adopted": opened.adopted if (opened := ctx.store.opened(release)) is not None else {},
        "table": sealed.seal.table,
        "counts": sealed.seal.counts.model_dump(),
        "words": f"{release} is sealed: {sealed.seal.counts.imported:,} items in {sealed.seal.table}",
    }
    if promote:
        from kumo_assets.releases.operations.promote import promote as move

        moved = move(ctx, release, by=by)
        document |= {"promoted": moved.moved, "generation": moved.pointer.generation, "words": moved.message}
    return document


def _from_there_on(job: Any, query: str, adopted: Sequence[str]) -> Any:
    """The job without the assets that are adopted. Their gates are judged again with it: some may not have been reached,
    and limits may have changed."""
    from kumo_assets.assets.keys import key_of

    layer = job.asset_layer.asset_graph
    ours = {key_of(query, asset) for asset in CHAIN if asset not in adopted}
    above = {key_of(query, asset) for asset in adopted}
    # The gates on raw logs are part of the step of `predictions`: they cannot be judged without it.
    checks = {
        key
        for key in layer.asset_check_keys
        if key.asset_key in ours or (key.asset_key in above and not layer.assets_def_for_key(key).keys)
    }
    return job.get_subset(asset_selection=ours, asset_check_selection=checks)


def _to_resume(ctx: ReleaseContext, definition: QueryDefinition, instance: Any, day: str) -> Continuation | None:
    """How the newest unsealed release of the day is gone on with; None to build the day anew.

    Refused when a run of the day is under way, and where `continuation` refuses.
    """
    import dagster as dg

    from kumo_assets.cli.continuing import continuation, unsealed

    for found in unsealed(ctx.store, day):
        runs = instance.get_run_records(dg.RunsFilter(run_ids=[found.run_id]))
        runs += instance.get_run_records(dg.RunsFilter(tags={ROOT_RUN_TAG: found.root_run_id}))
        alive = [record.dagster_run for record in runs if not record.dagster_run.is_finished]
        if alive:
            raise Refused(
                "materialise",
                to=f"{ctx.query}, {day}",
                found=f"run {alive[0].run_id} ({alive[0].tags.get(PROCESS_TAG, 'of Dagster')}) is building {found.release_id} now",
                next="wait for it, or end it in the Dagster UI; --fresh builds another release beside it",
            )
        return continuation(ctx.store, definition, found)
    return None


def _root_cause(event: Any) -> Any:
    """Dagster's record of the first error of ours in the chain of causes, else of the deepest."""
    error = event.event_specific_data.error if event.event_specific_data is not None else None
    while error is not None and error.cause is not None and not str(error.message).startswith("kumo_"):
        error = error.cause
    return error


def _raise(ctx: ReleaseContext, definition: QueryDefinition, day: str, release: str, error: Any) -> None:
    """GateBlocked with the gate's message when a verdict of this release stopped it, Refused where a step was refused,
    else RunFailed with the root cause."""
    opened = ctx.store.opened(release)
    verdicts = ctx.store.required_verdicts(opened) if opened is not None else {}
    for gate, verdict in sorted(verdicts.items()):
        if verdict is not None and verdict.blocks:
            raise GateBlocked(
                "build a release of",
                to=f"{definition.name}, {day}",
                found=f"gate {gate}: {verdict.message}",
                next=f"kumo-assets gates {definition.name} --partition {day}; the active release was not touched",
            )
    text = str(error.message).strip() if error is not None else ""
    words = " ".join((text.partition(": ")[2] if text.startswith("kumo_") else text).split())
    found, _, following = words.partition(" Next: ")
    if text.startswith("kumo_assets.errors.Refused: "):
        raise Refused("build a release of", to=f"{definition.name}, {day}", found=found, next=following)
    raise RunFailed(
        "build a release of",
        to=f"{definition.name}, {day}",
        found=found or "the run ended without a seal",
        next=f"{following.rstrip('.') or 'fix that'}; then run the same command again: what was started is adopted",
    )
