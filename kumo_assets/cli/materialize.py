"""`materialize`: the chain of one or more days, in this process, on the Dagster instance of DAGSTER_HOME.

The partition is checked before Dagster is imported. A day whose last run died is resumed: the same release, the same
Kumo job, the same import (rule 2).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli.loading import daily_job
from kumo_assets.cli.output import By, Json, Query, context_of, definitions, note, show
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import ReleaseId
from kumo_assets.config.partitions import demand_partition
from kumo_assets.documents import Opened
from kumo_assets.errors import ConfigError, GateBlocked, Refused
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.run import ROOT_RUN_TAG, person
from kumo_assets.resources.processes import PROCESS_TAG, process_tags

if TYPE_CHECKING:
    import dagster as dg

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

    with dg.DagsterInstance.get() as instance, heard(instance):
        mark_dead_runs(instance)
        resumed = None if fresh else _to_resume(ctx, instance, day)
        tags = {"kumo_assets/by": by, **process_tags()}
        if resumed is not None:
            tags[ROOT_RUN_TAG] = resumed.root_run_id
            note(f"Resuming release {resumed.release_id}, opened at {resumed.opened_at}")
        result = job.execute_in_process(
            instance=instance, partition_key=day, tags=tags, run_config=TERMINAL, raise_on_error=False
        )
        failed = next((event for event in result.all_events if event.is_step_failure), None)
        words = _root_cause(failed) if failed is not None else ""
    release = str(ReleaseId.of(day, resumed.root_run_id if resumed is not None else result.run_id))
    sealed = ctx.store.sealed(release)
    if not result.success or sealed is None:
        _raise(ctx, definition, day, release, words)
    assert sealed is not None
    document: dict[str, Any] = {
        "query": definition.name,
        "partition": day,
        "release_id": release,
        "run_id": result.run_id,
        "resumed": resumed is not None,
        "table": sealed.seal.table,
        "counts": sealed.seal.counts.model_dump(),
        "words": f"{release} is sealed: {sealed.seal.counts.imported:,} items in {sealed.seal.table}",
    }
    if promote:
        from kumo_assets.releases.operations.promote import promote as move

        moved = move(ctx, release, by=by)
        document |= {"promoted": moved.moved, "generation": moved.pointer.generation, "words": moved.message}
    return document


def _to_resume(ctx: ReleaseContext, instance: Any, day: str) -> Opened | None:
    """The newest unsealed release of the day that no gate stopped and no live run is building.

    Refused when a run of the day is under way.
    """
    import dagster as dg

    listed = [item for item in ctx.store.listings() if item.partition == day]
    opened = [
        found
        for item in listed
        if not item.sealed and not item.retired and (found := ctx.store.opened(item.release_id))
    ]
    for found in sorted(opened, key=lambda item: item.opened_at, reverse=True):
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
        if any(verdict.blocks for verdict in ctx.store.verdicts(found.release_id).values()):
            return None
        return found
    return None


def _root_cause(event: Any) -> str:
    """The words of the first error of ours in the chain of causes, else of the deepest; without its trace."""
    error = event.event_specific_data.error if event.event_specific_data is not None else None
    while error is not None and error.cause is not None and not str(error.message).startswith("kumo_"):
        error = error.cause
    if error is None:
        return ""
    text = str(error.message).strip()
    return text.partition(": ")[2] if text.startswith("kumo_") else text


def _raise(ctx: ReleaseContext, definition: QueryDefinition, day: str, release: str, words: str) -> None:
    """GateBlocked with the gate's words when a verdict of this release stopped it, else RunFailed with the root cause."""
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
    raise RunFailed(
        "build a release of",
        to=f"{definition.name}, {day}",
        found=words or "the run ended without a seal",
        next="mend that and run the same command again: what was started is adopted",
    )
