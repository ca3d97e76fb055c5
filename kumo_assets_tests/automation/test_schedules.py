"""Each query's clock: yesterday's partition, at a local time of day, over daylight saving; one owner, Dagster or Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from kumo_assets.components.predictive_query import build_query
from kumo_assets.components.raw_logs import build_raw_logs
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.definitions import shared_definitions

RAW = """
type: kumo_assets.components.RawLogs
attributes:
  schema: RAW
  tables: {events: {table: EVENTS, event_time: AT}}
"""
QUERY = """
type: kumo_assets.components.PredictiveQuery
attributes:
  owners: ["team:growth"]
  raw_logs: [events]
  source: {kumo: {predictive_query_id: q, connector: c}}
  schedule: {start: 2026-01-01, at: "03:30", time_zone: ZONE, owner: OWNER}
"""


def definitions_of(folder: Path, zone: str, owner: str = "dagster", more: str = "") -> dg.Definitions:
    query = QUERY.replace("ZONE", zone).replace("OWNER", owner).replace("{start:", "{" + more + "start:")
    for name, text in {"logs": RAW, "offers": query}.items():
        (folder / name).mkdir()
        (folder / name / "defs.yaml").write_text(text)
    index = DefinitionsIndex(folder)
    offers = index.query("offers")
    return dg.Definitions.merge(
        build_query(offers, index.raw_sources(offers)),
        build_raw_logs("logs", index.raw_logs()["logs"]),
        shared_definitions(),
    )


def schedule_of(definitions: dg.Definitions) -> dg.ScheduleDefinition:
    return definitions.get_repository_def().get_schedule_def("offers_daily_schedule")


@pytest.mark.parametrize(
    ("zone", "fires", "partition"),
    [
        ("UTC", datetime(2026, 3, 9, 3, 30, tzinfo=UTC), "2026-03-08"),
        ("Asia/Tokyo", datetime(2026, 3, 8, 18, 30, tzinfo=UTC), "2026-03-08"),
        # Clocks went forward on 8 March 2026 and back on 1 November: 03:30 there is 07:30, then 08:30 UTC.
        ("America/New_York", datetime(2026, 3, 8, 7, 30, tzinfo=UTC), "2026-03-07"),
        ("America/New_York", datetime(2026, 11, 1, 8, 30, tzinfo=UTC), "2026-10-31"),
    ],
    ids=["utc", "tokyo", "new-york-spring", "new-york-autumn"],
)
def test_the_day_before_is_built_at_the_local_time(tmp_path: Path, zone: str, fires: datetime, partition: str) -> None:
    definitions = definitions_of(tmp_path, zone)
    schedule = schedule_of(definitions)
    assert schedule.execution_timezone == zone
    assert isinstance(schedule.cron_schedule, str)
    ticks = schedule_execution_time_iterator(fires.timestamp() - 3600, schedule.cron_schedule, zone)
    assert next(iter(ticks)).astimezone(UTC) == fires
    context = dg.build_schedule_context(scheduled_execution_time=fires, repository_def=definitions.get_repository_def())
    [request] = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == partition
    assert request.run_key == partition


@pytest.mark.parametrize("owner", ["dagster", "airflow"])
def test_the_clock_has_one_owner(tmp_path: Path, owner: str) -> None:
    status = schedule_of(definitions_of(tmp_path, "UTC", owner)).default_status
    assert status == (dg.DefaultScheduleStatus.RUNNING if owner == "dagster" else dg.DefaultScheduleStatus.STOPPED)


def test_the_daily_job_takes_the_raw_logs_and_their_checks_and_never_the_pointer(tmp_path: Path) -> None:
    job = definitions_of(tmp_path, "UTC").resolve_job_def("offers_daily")
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert "raw/events" in keys
    assert "offers/dynamodb_table" in keys
    assert "offers/active_pointer" not in keys
    checks = {key.name for key in job.asset_layer.asset_graph.asset_check_keys}
    assert {"has_rows", "volume", "import_complete"} <= checks


def test_our_jobs_take_one_process_and_what_is_clicked_goes_by_the_projects_executor(tmp_path: Path) -> None:
    """A step of ours is a few calls to the outside; the default executor would start a Python of 3 s for each."""
    owned = dg.Definitions(executor=dg.multiprocess_executor)
    repository = dg.Definitions.merge(definitions_of(tmp_path, "UTC"), owned).get_repository_def()
    executors = {job.name: job.executor_def.name for job in repository.get_all_jobs()}
    assert executors.pop("__ASSET_JOB") == "multiprocess"
    assert len(executors) == 5
    assert set(executors.values()) == {"in_process"}


def test_query_whose_logs_have_ended_has_no_later_day_and_builds_its_last_one_once(tmp_path: Path) -> None:
    ended = definitions_of(tmp_path, "UTC", "dagster", "end: 2026-03-08, ")
    days = ended.resolve_job_def("offers_daily").partitions_def
    assert days is not None
    assert days.get_last_partition_key() == "2026-03-08"
    schedule = schedule_of(ended)
    keys = []
    for fires in (datetime(2026, 3, 9, 3, 30, tzinfo=UTC), datetime(2026, 5, 1, 3, 30, tzinfo=UTC)):
        context = dg.build_schedule_context(scheduled_execution_time=fires, repository_def=ended.get_repository_def())
        keys += [request.run_key for request in schedule.evaluate_tick(context).run_requests or []]
    # A run key is used up by the first run of it.
    assert set(keys) == {"2026-03-08"}
