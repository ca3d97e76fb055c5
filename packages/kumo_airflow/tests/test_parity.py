"""Whichever clock drives, the same job, partition and tags run, once: Dagster's schedule beside Airflow's timetable, over
three years of days in four time zones with daylight saving, one to one.

Dagster's side is the project's own schedule, asked tick by tick. Airflow's side is the DAG `kumo_airflow.dags` makes of
what `kumo-assets queries --json` says of the same query, in Airflow's own environment: the job its task asks for, and its
real timetable, iterated, the data interval put through `partition_of`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml
from dagster._utils.schedules import schedule_execution_time_iterator
from kumo_airflow.following import launch_tags
from kumo_airflow.partitions import Occasion, partition_of

from kumo_assets.components.predictive_query import build_query
from kumo_assets.components.raw_logs import build_raw_logs
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.definitions import shared_definitions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "kumo_assets" / "defs"
FIRST, LAST = "2024-01-01", "2026-12-31"  # partitions
# Query -> its clock. Daylight saving at 02:00, at 01:00 UTC, by half an hour in the south, and at midnight; and times of
# day that are skipped or repeated on such days.
CLOCKS = {
    "in_new_york": ("America/New_York", "02:30"),
    "in_london": ("Europe/London", "01:30"),
    "on_lord_howe": ("Australia/Lord_Howe", "02:00"),
    "in_havana": ("America/Havana", "00:30"),
}
AIRFLOW = """
import json, sys
from types import SimpleNamespace
from kumo_airflow.dags import daily_dags
from airflow.timetables.base import TimeRestriction
import pendulum
try:
    from airflow.serialization.serialized_objects import DagSerialization as Serialized
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as Serialized
queries = json.loads(sys.argv[1])
found = {}
for query, made in zip(queries, daily_dags(queries, catchup=True).values(), strict=True):
    build = made.get_task("build")
    ti = SimpleNamespace(dag_id=made.dag_id, run_id="r", task_id="build", map_index=-1, max_tries=0)
    run = SimpleNamespace(conf={}, data_interval_start=None, data_interval_end=None, run_type="scheduled")
    asked = build.request({"ti": ti, "dag_run": run, "task": build})
    dag = Serialized.from_dict(Serialized.to_dict(made))
    restriction = TimeRestriction(earliest=pendulum.instance(dag.start_date), latest=pendulum.instance(dag.end_date), catchup=True)
    interval, runs = None, []
    while (info := dag.timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)):
        interval = info.data_interval
        runs.append([interval.start.isoformat(), interval.end.isoformat(), info.run_after.isoformat()])
    found[query["name"]] = {"job": asked.job, "watched": made.get_task("live").job, "runs": runs}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Definitions of a query for each clock."""
    made = tmp_path_factory.mktemp("defs")
    for query, (time_zone, at) in CLOCKS.items():
        define(made, query, time_zone, at, "airflow")
    return made


@pytest.fixture(scope="module", params=["airflow", "airflow211"])
def airflow(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Query -> the job its DAG's `build` asks for, the one its `live` looks at, and its `runs` in the three years: [start
    and end of the data interval, when it is due]."""
    python = ROOT / f".venv-{request.param}" / "bin" / "python"
    assert python.exists(), "no environment: make .airflow.stamp"
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON"))}
    variables["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))
    told = subprocess.run(
        [str(Path(sys.executable).with_name("kumo-assets")), "queries", "--json"],
        env={**os.environ, "KUMO_ASSETS_DEFS": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", AIRFLOW, told.stdout],
        env=variables,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def define(folder: Path, query: str, time_zone: str, at: str, owner: str) -> None:
    """The shipped query under another name, in that time zone, under that owner of the clock; and the raw logs."""
    for shipped, name in (("raw_logs", "raw_logs"), ("next_best_product", query)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        document = yaml.safe_load((SHIPPED / shipped / "defs.yaml").read_text())
        if name == query:
            document["attributes"]["schedule"] |= {
                "at": at,
                "time_zone": time_zone,
                "start": FIRST,
                "end": LAST,
                "owner": owner,
            }
        (folder / name / "defs.yaml").write_text(yaml.safe_dump(document))


def repository_of(folder: Path, query: str) -> dg.RepositoryDefinition:
    """The project's own definitions of the query."""
    index = DefinitionsIndex(folder)
    definition = index.query(query)
    return dg.Definitions.merge(
        build_query(definition, index.raw_sources(definition)),
        build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
        shared_definitions(),
    ).get_repository_def()


def ticks(schedule: Any) -> Iterator[datetime]:
    """The schedule's ticks over the three years and a week more, in which nothing new may come."""
    end = datetime.fromisoformat("2027-01-08T00:00+00:00")
    begin = datetime.fromisoformat(FIRST + "T12:00+00:00").timestamp()
    for moment in schedule_execution_time_iterator(begin, schedule.cron_schedule, schedule.execution_timezone):
        if moment >= end:
            return
        yield moment


@pytest.fixture(scope="module")
def by_dagster(folder: Path) -> dict[str, dict[str, tuple[datetime, dict[str, str], Any]]]:
    """Query -> partition -> when the schedule asks for it, the tags it asks with, the job it asks for."""
    found: dict[str, dict[str, tuple[datetime, dict[str, str], Any]]] = {}
    for query in CLOCKS:
        repository = repository_of(folder, query)
        schedule = repository.get_schedule_def(f"{query}_daily_schedule")
        days = found[query] = {}
        with dg.DagsterInstance.ephemeral() as instance:
            for moment in ticks(schedule):
                context = dg.build_schedule_context(
                    instance=instance, scheduled_execution_time=moment, repository_def=repository
                )
                for request in schedule.evaluate_tick(context).run_requests or []:
                    # Past the last partition the schedule asks for it again, under the run key it has used up: Dagster
                    # starts nothing for that.
                    assert request.run_key == request.partition_key
                    assert request.partition_key not in days or request.partition_key == LAST
                    job = repository.get_job(request.job_name or schedule.job_name)
                    days.setdefault(request.partition_key, (moment, dict(request.tags), job))
    return found


@pytest.mark.parametrize("query", CLOCKS)
def test_both_clocks_start_the_same_runs(
    airflow: dict[str, dict[str, Any]], by_dagster: dict[str, Any], query: str
) -> None:
    time_zone, at = CLOCKS[query]
    by_airflow: dict[str, datetime] = {}
    for start, end, due in airflow[query]["runs"]:
        day = partition_of(Occasion(datetime.fromisoformat(start), datetime.fromisoformat(end)), time_zone)
        assert day not in by_airflow, f"{day} twice"
        by_airflow[day] = datetime.fromisoformat(due)
    assert list(by_airflow) == list(by_dagster[query])
    assert len(by_airflow) == 366 + 365 + 365
    for day, (moment, tags, job) in by_dagster[query].items():
        assert (airflow[query]["job"], airflow[query]["watched"]) == (job.name, job.name)
        ours = launch_tags(day, partition_tags(job, day), key="k", clear=0, dag_id="d", run_type="scheduled")
        shared = {key: value for key, value in ours.items() if not key.startswith(("kumo_airflow/", "kumo_assets/by"))}
        assert shared == {key: value for key, value in tags.items() if key != "dagster/schedule_name"}
        # A local time that is skipped or comes twice: Airflow fires as long after the gap as the time was into it, Dagster
        # at its end; one at the first, one at the second. The day is the same. Timestamps, because Python calls no time
        # in a gap equal to another.
        apart = abs(by_airflow[day].timestamp() - moment.timestamp())
        assert apart <= (0 if ordinary(day, at, time_zone) else 3600), f"{day}: {apart} s apart"


def ordinary(day: str, at: str, time_zone: str) -> bool:
    """Is there that local time on the day after `day`, and once?"""
    wall = (datetime.fromisoformat(f"{day}T{at}") + timedelta(days=1)).replace(tzinfo=ZoneInfo(time_zone))
    return wall.utcoffset() == wall.replace(fold=1).utcoffset()


def partition_tags(job: dg.JobDefinition, day: str) -> dict[str, str]:
    """What Dagster's GraphQL answers for the partition (`PartitionTagsAndConfig`), from its own source."""
    return dict(job.get_tags_for_partition_key(day, selected_asset_keys=None))


def test_the_clock_has_one_owner(tmp_path: Path) -> None:
    for owner, status in (("dagster", "RUNNING"), ("airflow", "STOPPED")):
        define(tmp_path, "q", "UTC", "02:00", owner)
        schedule = repository_of(tmp_path, "q").get_schedule_def("q_daily_schedule")
        assert schedule.default_status.value == status
