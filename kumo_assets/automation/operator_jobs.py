"""What an operator does to a query's pointer and releases, as Dagster jobs, so that it can be done in the UI:
`<query>_rollback`, `<query>_hold`, `<query>_unhold`, `<query>_retire`. Each is one op around the operation that the command
line calls too; nothing is decided here. Retirement also runs each day.
"""

from contextlib import closing

import dagster as dg
from pydantic import Field

from kumo_assets.assets.active_pointer import FOLDER_KEY, folder_of, pointer_metadata
from kumo_assets.assets.keys import POINTER_POOL, key_of
from kumo_assets.automation.jobs import EXECUTOR, QUERY_TAG
from kumo_assets.automation.run_slots import OPERATOR
from kumo_assets.config.load import QueryDefinition, read_query
from kumo_assets.config.names import POINTER_ASSET
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.staging import with_staging
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import author_of

# Half a day after the build: old tables go while nothing is being built.
RETIRE_AFTER_HOURS = 12


class RollbackConfig(dg.Config):
    """What `kumo-assets rollback` takes."""

    reason: str = Field(description="Why, for whoever comes after you.")
    to: str | None = Field(
        default=None, description="Release to go back to; default the newest earlier known-good one."
    )


class HoldConfig(dg.Config):
    """What `kumo-assets hold` takes."""

    reason: str = Field(description="Why, for whoever comes after you.")


class UnholdConfig(dg.Config):
    """A run cannot ask its operator, so what goes active next must be told beforehand: a run that is told nothing says
    what it would be, and changes nothing."""

    next_release: str | None = Field(
        default=None,
        description="The release you expect to go live next, as `kumo-assets status` or a run without this field names "
        "it; 'none' when the active one stays.",
    )
    of: str | None = Field(default=None, description="Whose hold ends, when several people hold it; default your own.")


class RetireConfig(dg.Config):
    """What `kumo-assets retire` takes."""

    dry_run: bool = Field(default=False, description="Say what would go; change nothing.")


def rollback_job_name(query: str) -> str:
    return f"{query}_rollback"


def retire_job_name(query: str) -> str:
    return f"{query}_retire"


@dg.op(name="kumo_assets__rollback", pool=POINTER_POOL)
def rollback_op(context: dg.OpExecutionContext, config: RollbackConfig, kumo_assets_releases: ReleasesResource) -> None:
    definition = _definition_of(context)
    with closing(kumo_assets_releases.context(definition)) as ctx:
        done = rollback(ctx, by=author_of(context), reason=config.reason, to=config.to, run_id=context.run.run_id)
        context.log.info(done.message)
        metadata = {
            **pointer_metadata(done.pointer, done.where),
            "action": "rollback",
            "left": done.left or "unreadable",
        }
        context.log_event(dg.AssetMaterialization(_pointer(definition), description=done.message, metadata=metadata))


@dg.op(name="kumo_assets__hold", pool=POINTER_POOL)
def hold_op(context: dg.OpExecutionContext, config: HoldConfig, kumo_assets_releases: ReleasesResource) -> None:
    definition = _definition_of(context)
    with closing(kumo_assets_releases.context(definition)) as ctx:
        held = hold(ctx, by=author_of(context), reason=config.reason, run_id=context.run.run_id)
        metadata = {**pointer_metadata(held, ctx.pointers.uri), "action": "hold"}
        context.log_event(dg.AssetObservation(_pointer(definition), metadata=metadata))


@dg.op(name="kumo_assets__unhold", pool=POINTER_POOL)
def unhold_op(context: dg.OpExecutionContext, config: UnholdConfig, kumo_assets_releases: ReleasesResource) -> None:
    definition = _definition_of(context)
    with closing(kumo_assets_releases.context(definition)) as ctx:
        preview = preview_unhold(ctx, by=author_of(context), of=config.of)
        context.log.info(f"After this, {preview.message}. The hold: {preview.hold}")
        expected = preview.next_release or "none"
        if config.next_release != expected:
            raise dg.Failure(
                f"Nothing was changed. After this, {preview.message}. To lift the hold, run again with "
                f"next_release: {expected}",
                metadata={"hold": preview.hold, "next release": expected},
                allow_retries=False,
            )
        lifted = unhold(ctx, preview, by=author_of(context), run_id=context.run.run_id)
        metadata = {**pointer_metadata(lifted, ctx.pointers.uri), "action": "unhold", "next release": expected}
        context.log_event(dg.AssetObservation(_pointer(definition), metadata=metadata))


@dg.op(name="kumo_assets__retire")
def retire_op(context: dg.OpExecutionContext, config: RetireConfig, kumo_assets_releases: ReleasesResource) -> None:
    from kumo_assets.resources.drop import drop_tables, tables_beginning

    with closing(kumo_assets_releases.context(_definition_of(context))) as ctx:
        planned = with_staging(plan(ctx), ctx, tables_beginning, context.log.warning)
        for words, listed in (("goes", planned.going), ("stays", planned.kept)):
            for release, why in listed.items():
                context.log.info(f"{release} {words}: {why}")
        for name in planned.orphans:
            context.log.warning(f"orphan {name}: it has our name and no release")
        for name in planned.foreign:
            context.log.warning(f"foreign {name}: it lies under our names and is not ours; it is left")
        done: list[str] = []
        if not config.dry_run:
            done = retire(ctx, drop_tables, by=author_of(context), run_id=context.run.run_id, planned=planned)
        context.add_output_metadata(
            {
                "retired": done,
                "would go": sorted(planned.going),
                "kept": len(planned.kept),
                "orphans": planned.orphans,
                "foreign": planned.foreign,
                "samples kept for outcomes": list(planned.samples.values()),
            }
        )


def build_operator_jobs(definition: QueryDefinition) -> list[dg.JobDefinition]:
    """The four jobs of one query. Their ops are the same for all queries: 100 queries load a good part faster so."""
    query = definition.name
    described: list[tuple[str, dg.OpDefinition, str]] = [
        ("rollback", rollback_op, f"Back to a known-good release of {query}; rejects what it leaves, and holds."),
        ("hold", hold_op, f"Stop automatic promotion of {query}; releases go on being built and gated."),
        ("unhold", unhold_op, f"Lift the hold on {query}; says first what will go active."),
        ("retire", retire_op, f"Delete old releases of {query}; never one that anybody may still read."),
    ]
    return [_job(definition, name, op, words) for name, op, words in described]


def _job(definition: QueryDefinition, name: str, op: dg.OpDefinition, words: str) -> dg.JobDefinition:
    """A job of one op, which has a short name in it and so in run configuration. The query's folder goes with the job."""

    @dg.job(
        name=f"{definition.name}_{name}",
        description=words,
        tags={QUERY_TAG: definition.name, **OPERATOR},
        metadata={FOLDER_KEY: str(definition.folder)},
        executor_def=EXECUTOR,
    )
    def job() -> None:
        op.alias(name)()

    return job


def _definition_of(context: dg.OpExecutionContext) -> QueryDefinition:
    """The query whose job this op is run by."""
    return read_query(folder_of(context.job_def.metadata))


def _pointer(definition: QueryDefinition) -> dg.AssetKey:
    return key_of(definition.name, POINTER_ASSET)


def build_retirement_schedule(definition: QueryDefinition, jobs: list[dg.JobDefinition]) -> dg.ScheduleDefinition:
    """Each day, half a day after the build. It runs whoever owns the build's clock: nobody else would retire, and AWS
    allows 2,500 tables an account."""
    name = retire_job_name(definition.name)
    hour, minute = map(int, definition.spec.schedule.at.split(":"))
    return dg.ScheduleDefinition(
        name=f"{name}_schedule",
        job=next(job for job in jobs if job.name == name),
        cron_schedule=f"{minute} {(hour + RETIRE_AFTER_HOURS) % 24} * * *",
        execution_timezone=definition.spec.schedule.time_zone,
        description="Deletes what retention lets go of.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
