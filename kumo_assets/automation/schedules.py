"""The daily schedule of one query and that of its training, in its own time zone; stopped where Airflow owns the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from kumo_assets.automation.jobs import daily_job_name, train_job_name
from kumo_assets.config.load import QueryDefinition

if TYPE_CHECKING:
    # What Dagster's builders return; dagster 1.13 gives the types no public names.
    from dagster._core.definitions.partitions.partitioned_schedule import UnresolvedPartitionedAssetScheduleDefinition
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def daily_schedule_name(query: str) -> str:
    return f"{daily_job_name(query)}_schedule"


def build_schedule(
    definition: QueryDefinition, daily: UnresolvedAssetJobDefinition
) -> dg.ScheduleDefinition | UnresolvedPartitionedAssetScheduleDefinition:
    """Each day at `schedule.at`, the partition of the day before. Source of the arithmetic: Dagster's
    `build_schedule_from_partitioned_job`, which follows the partitions' time zone over DST."""
    schedule = definition.spec.schedule
    hour, minute = map(int, schedule.at.split(":"))
    return dg.build_schedule_from_partitioned_job(
        daily,
        name=daily_schedule_name(definition.name),
        hour_of_day=hour,
        minute_of_hour=minute,
        description=f"Builds yesterday's release at {schedule.at} {schedule.time_zone}. Clock: {schedule.owner}.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if schedule.owner == "dagster" else dg.DefaultScheduleStatus.STOPPED
        ),
    )


def build_training_schedule(definition: QueryDefinition, train: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """When the query is trained again: `training.schedule` of its source, in the query's time zone."""
    training = definition.spec.source.training
    assert training is not None
    return dg.ScheduleDefinition(
        name=f"{train_job_name(definition.name)}_schedule",
        job=train,
        cron_schedule=training.schedule,
        execution_timezone=definition.spec.schedule.time_zone,
        description=f"Trains the query's model again ({training.schedule}, {definition.spec.schedule.time_zone}).",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING
            if definition.spec.schedule.owner == "dagster"
            else dg.DefaultScheduleStatus.STOPPED
        ),
    )
