"""`<query>_outcomes`: the job that judges the releases of one partition, and the schedule that asks for what is due.

Four times a day, first with the build: what yesterday's logs say of the release that is live is then known before the next
one goes live. A partition whose logs have not arrived is asked for again until its patience is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import dagster as dg

from kumo_assets.assets.keys import key_of
from kumo_assets.automation.jobs import EXECUTOR, QUERY_TAG
from kumo_assets.automation.run_slots import OUTCOMES
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import OUTCOMES_ASSET
from kumo_assets.outcomes.due import partitions_due, read_history
from kumo_assets.releases.resource import ReleasesResource

if TYPE_CHECKING:
    # What `define_asset_job` returns; dagster 1.13 gives the type no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

EVERY_HOURS = 6
# Runs that one tick asks for: after a long outage the others come with the next ticks.
MOST_AT_ONCE = 10


def outcomes_job_name(query: str) -> str:
    return f"{query}_outcomes"


def build_outcomes_job(
    definition: QueryDefinition, partitions: dg.PartitionsDefinition
) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        outcomes_job_name(definition.name),
        selection=dg.AssetSelection.assets(key_of(definition.name, OUTCOMES_ASSET)),
        partitions_def=partitions,
        description=f"Judge what the releases of {definition.name} of one partition turned out to be worth.",
        tags={QUERY_TAG: definition.name, **OUTCOMES},
        executor_def=EXECUTOR,
    )


def build_outcomes_schedule(definition: QueryDefinition, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """It runs whoever owns the build's clock: nobody else would ask."""
    hour, minute = map(int, definition.spec.schedule.at.split(":"))
    hours = sorted((hour + late) % 24 for late in range(0, 24, EVERY_HOURS))

    @dg.schedule(
        name=f"{outcomes_job_name(definition.name)}_schedule",
        job=job,
        cron_schedule=f"{minute} {','.join(map(str, hours))} * * *",
        execution_timezone=definition.spec.schedule.time_zone,
        description="Asks for the partitions whose days have passed and whose releases have no outcome yet.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def due(
        context: dg.ScheduleEvaluationContext, kumo_assets_releases: ReleasesResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        at = context.scheduled_execution_time
        with closing(kumo_assets_releases.context(definition)) as ctx:
            now = ctx.now()
            partitions = partitions_due(definition, read_history(ctx, definition, now, whole=False), now)
        if not partitions:
            yield dg.SkipReason("No release is to be looked at now")
        # The newest first: they say whether what is live is good.
        for partition in partitions[::-1][:MOST_AT_ONCE]:
            yield dg.RunRequest(run_key=f"{partition} {at:%Y-%m-%dT%H:%M}", partition_key=partition)

    return due
