"""`outcomes`: how good the releases turned out to be, from the stored documents; and on request what is due is judged first.

Looking needs neither Dagster nor Snowflake. `--judge` runs the job `<query>_outcomes` in this process, as `materialize`
runs the chain.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kumo_assets.cli.output import By, Json, Query, context_of, definitions, note, show, table
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.partitions import demand_partition
from kumo_assets.documents import Outcome
from kumo_assets.errors import ConfigError, PipelineError
from kumo_assets.releases.run import person

if TYPE_CHECKING:
    from kumo_assets.config.load import QueryDefinition
    from kumo_assets.releases.context import ReleaseContext

# Short names of the figures, for a table.
SHOWN = {"fallback": "fallback", "before": "release before"}


class JudgingFailed(PipelineError):
    """The run that judges ended in an error."""


def outcomes(
    query: Query,
    age: Annotated[int | None, typer.Option(help="Only this age, in days.")] = None,
    limit: Annotated[int, typer.Option(help="Newest releases to show.", min=1)] = 14,
    judge: Annotated[bool, typer.Option("--judge", help="Judge what is due first, in a run of this process.")] = False,
    partition: Annotated[
        list[str] | None, typer.Option(help="With --judge: this partition, due or not; may be given several times.")
    ] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """How good each release turned out to be, beside its rivals on the same entities and days. Newest first."""
    from kumo_assets.releases.outcomes import MAIN, outcomes_of

    index = definitions()
    ctx = context_of(query, index=index)
    if judge:
        _judge(ctx, index, partition or [], by or person())
        ctx = context_of(query, index=index)
    elif partition:
        raise ConfigError("judge a partition", found="--partition without --judge", next="give both")
    listed = [item for item in sorted(ctx.store.listings(), key=lambda item: item.order) if item.ages_judged]
    found = list(outcomes_of(ctx, listed[-limit:], age))

    def row(one: Outcome) -> list[str]:
        name, _ = MAIN[one.task]
        after = f"{one.age_days} d"
        if not one.judged:
            return [one.release_id, after, f"{one.hours_live:.1f}", "-", "not judged", one.reason, "", ""]
        rivals = [_rival(one, kind, name) for kind in SHOWN]
        more = ", ".join(f"{key} {figure.value:.4g}" for key, figure in one.figures.items() if key != name)
        return [
            one.release_id,
            after,
            f"{one.hours_live:.1f}",
            f"{one.entities:,}",
            f"{name} {_figure(one, name)}",
            *rivals,
            more,
        ]

    columns = ["release", "after", "hours live", "entities", "figure", *SHOWN.values(), "also"]
    show(
        as_json,
        [one.model_dump(mode="json") for one in found],
        lambda: table(columns, [row(one) for one in found]) if found else print(_nothing(ctx)),
    )


def _figure(one: Outcome, name: str) -> str:
    figure = one.figures.get(name)
    if figure is None:
        return "-"
    return f"{figure.value:.4g}" + (f" \u00b1 {figure.standard_error:.2g}" if figure.standard_error is not None else "")


def _rival(one: Outcome, kind: str, name: str) -> str:
    """The rival's figure, and by how much the release differs from it on the entities that both have."""
    rival = one.rivals.get(kind)
    if rival is None or name not in rival.figures:
        return f"not compared: {rival.reason}" if rival is not None and rival.reason else "-"
    difference = rival.differences.get(name)
    differs = ""
    if difference is not None:
        error = f" \u00b1 {difference.standard_error:.2g}" if difference.standard_error is not None else ""
        differs = f" ({difference.value:+.2g}{error})"
    return f"{rival.figures[name].value:.4g}{differs}"


def _nothing(ctx: ReleaseContext) -> str:
    asked = ctx.definition is not None and ctx.definition.spec.outcomes is not None
    if not asked:
        return f"{ctx.query} asks for no outcomes: add `outcomes:` to its defs.yaml (docs/outcomes.md)"
    return f"No release of {ctx.query} has an outcome yet: they are judged once their days have passed"


def _judge(ctx: ReleaseContext, index: DefinitionsIndex, asked: list[str], by: str) -> None:
    """Run the job for the partitions asked for, else for those that are due."""
    from kumo_assets.outcomes.due import partitions_due, read_history, settings_of

    definition = index.query(ctx.query)
    settings_of(definition)
    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigError(
            "find the Dagster instance",
            found="DAGSTER_HOME is not set",
            next="export DAGSTER_HOME=<the folder of dagster.yaml, absolute>",
        )
    days = [demand_partition(definition, day) for day in asked]
    now = ctx.now()
    due = [] if days else partitions_due(definition, read_history(ctx, definition, now, whole=False), now)
    for day in days or due:
        note(f"judging the releases of {day}")
        _run(index, definition, day, by)


def _run(index: DefinitionsIndex, definition: QueryDefinition, day: str, by: str) -> None:
    import dagster as dg

    from kumo_assets.automation.outcomes import outcomes_job_name
    from kumo_assets.cli.loading import job_of, sentence
    from kumo_assets.cli.materialize import TERMINAL
    from kumo_assets.resources.processes import process_tags

    job = job_of(index, definition, outcomes_job_name(definition.name))
    tags: dict[str, Any] = {"kumo_assets/by": by, **process_tags()}
    with dg.DagsterInstance.get() as instance:
        try:
            job.execute_in_process(instance=instance, partition_key=day, tags=tags, run_config=TERMINAL)
        except Exception as error:
            raise JudgingFailed(
                "judge the releases of", to=f"{definition.name}, {day}", found=sentence(error), next="run it again"
            ) from error
