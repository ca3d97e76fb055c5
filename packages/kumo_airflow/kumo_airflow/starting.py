"""Begin a task: find the job and the day, then launch a run, adopt one or re-execute one.

What to do is decided in `following`; waiting for the run and its end are in `running`. No Airflow in this module: the
task instance is a `Request`, and log lines go to `say`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kumo_airflow import following, operations
from kumo_airflow.client import Dagster
from kumo_airflow.errors import DagsterFailed, LaunchUncertain, LocationNotLoaded, Refusal
from kumo_airflow.events import gates_that_blocked
from kumo_airflow.following import CLEAR_TAG, PARTITION_TAG, TRIGGER_TAG, Run, decide_start
from kumo_airflow.partitions import Occasion, check_partition, partition_of
from kumo_airflow.running import Say, all_events, terminate

# How many times, and how many seconds apart, a launch whose answer was lost is looked up before another is sent.
LOOKS, LOOK_PAUSE = 5, 3.0
LOCATION_PAUSE = 10.0
MOST_LAUNCHES = 3
# Seconds that a run being cancelled has to end before a new try gives up on it.
SETTLE_SECONDS = 600.0


@dataclass(frozen=True)
class Request:
    """What one task instance asks for. `key`, `clear`: see `following`. `time_zone`: None takes the Dagster schedule's.
    `run_config`: for a job without partitions (`partitioned` False), which has none of its own.
    """

    job: str
    occasion: Occasion
    key: str
    clear: int
    dag_id: str
    run_type: str
    time_zone: str | None = None
    repository: str | None = None
    location: str | None = None
    partitioned: bool = True
    run_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scheduled(self) -> bool:
        return self.run_type == "scheduled"


@dataclass(frozen=True)
class Started:
    """The run a task waits for, how it got it, and whether killing the task may terminate that run."""

    run: Run
    job: operations.Job
    partition: str
    how: str
    own: bool


def start(dagster: Dagster, request: Request, say: Say, sleep: Callable[[float], None] = time.sleep) -> Started:
    """Validate, then launch, adopt or re-execute; see `following.decide_start`. Raises Refusal before anything starts."""
    job = _job(dagster, request, say, sleep)
    partition = ""
    given: Mapping[str, str] = {}
    config: str | Mapping[str, Any] = request.run_config
    if request.partitioned:
        partition, given, config = _day(dagster, request, job)
    if job.schedule_running and request.scheduled:
        say(
            f"WARNING: Dagster's own schedule of {job.name} runs as well. One clock should own it: set schedule.owner "
            "to airflow in the query's defs.yaml and stop the schedule; `kumo-assets doctor` checks"
        )
    tags = following.launch_tags(
        partition, given, key=request.key, clear=request.clear, dag_id=request.dag_id, run_type=request.run_type
    )

    def blocked(run: Run) -> bool:
        return bool(gates_that_blocked(all_events(dagster, run.run_id)))

    looks, launches, settling = 0, 0, 0.0
    while True:
        mine = dagster.do(operations.runs(job.name, {TRIGGER_TAG: request.key}))
        day = dagster.do(operations.runs(job.name, {PARTITION_TAG: partition})) if partition else []
        others = [run for run in day if run.tags.get(TRIGGER_TAG) != request.key]
        choice = decide_start(mine, others, clear=request.clear, scheduled=request.scheduled, blocked=blocked)
        if choice.what in ("settle", "terminate"):
            if settling >= SETTLE_SECONDS:
                raise DagsterFailed(
                    f"start {job.name} for",
                    to=partition,
                    found=f"{choice.why}, and does not end",
                    next="end it in Dagster",
                )
            if not settling:
                say(f"Waiting: {choice.why}")
            if choice.what == "terminate" and choice.run is not None:
                terminate(dagster, choice.run.run_id, say)
            settling += LOOK_PAUSE
            sleep(LOOK_PAUSE)
            continue
        if choice.what == "adopt":
            assert choice.run is not None
            say(f"Adopting {choice.run.run_id}: {choice.why}")
            own = choice.run.tags.get(TRIGGER_TAG) == request.key
            return Started(choice.run, job, partition, "adopted", own)
        if looks:  # a launch was sent, and its answer was lost
            looks -= 1
            sleep(LOOK_PAUSE)
            if looks:
                continue
        try:
            if choice.what == "reexecute":
                assert choice.run is not None
                run = _reexecute(dagster, choice.run, tags, say)
                say(f"Run {run.run_id} re-executes {choice.run.run_id}: {choice.why}")
                return Started(run, job, partition, "re-executed", True)
            run = dagster.do(operations.launch(job, tags, config))
        except LaunchUncertain as error:
            launches += 1
            if launches >= MOST_LAUNCHES:
                raise
            say(f"{error} It may have arrived all the same: looking for it")
            looks = LOOKS
            continue
        say(f"Launched {run.run_id} of {job.name}{f' for {partition}' if partition else ''}: {choice.why}")
        return Started(_only(dagster, run, job, request.key, say), job, partition, "launched", True)


def _job(dagster: Dagster, request: Request, say: Say, sleep: Callable[[float], None]) -> operations.Job:
    """The job. A code location that is being deployed is waited for as long as an outage is."""
    left = dagster.settings.outage_seconds
    while True:
        try:
            return dagster.do(operations.find_job(request.job, request.repository, request.location))
        except LocationNotLoaded as error:
            if left <= 0:
                raise
            say(f"{error} Retrying in {LOCATION_PAUSE:.0f} s")
            sleep(LOCATION_PAUSE)
            left -= LOCATION_PAUSE


def _day(
    dagster: Dagster, request: Request, job: operations.Job
) -> tuple[str, Mapping[str, str], str | Mapping[str, Any]]:
    """The partition, and the tags and run config Dagster gives a run of it. Raises Refusal for a day it does not have."""
    partition = partition_of(request.occasion, _time_zone(request, job))
    facts = dagster.do(operations.partition_facts(job, partition))
    check_partition(partition, facts.keys, job.name)
    return partition, facts.tags, facts.run_config


def _time_zone(request: Request, job: operations.Job) -> str:
    """The query's time zone. Raises Refusal when the DAG and Dagster's schedule disagree: they would build different days."""
    if request.time_zone and job.time_zone and request.time_zone != job.time_zone:
        raise Refusal(
            f"start {job.name}",
            found=f"the DAG says time zone {request.time_zone}, the query's own is {job.time_zone}",
            next="give the operator the query's time zone, or none, and schedule the DAG in it",
        )
    found = request.time_zone or job.time_zone
    if not found:
        raise Refusal(
            f"start {job.name}",
            found="neither the operator nor a Dagster schedule of the job names a time zone",
            next="pass time_zone to the operator",
        )
    return found


def _reexecute(dagster: Dagster, failed: Run, tags: Mapping[str, str], say: Say) -> Run:
    extra = {name: tags[name] for name in tags if name.startswith("kumo_airflow/")}
    try:
        return dagster.do(operations.reexecute(failed, extra))
    except DagsterFailed as error:
        # A run that failed before its first step has no failed step to begin from. All steps under the same root run
        # are the same release, and adopt what it has.
        say(f"{error} Re-executing all steps instead")
        return dagster.do(operations.reexecute(failed, extra, "ALL_STEPS"))


def _only(dagster: Dagster, run: Run, job: operations.Job, key: str, say: Say) -> Run:
    """The run that stays when a launch turns out to have been sent twice; the other is terminated."""
    twins = dagster.do(operations.runs(job.name, {TRIGGER_TAG: key, CLEAR_TAG: run.tags[CLEAR_TAG]}))
    first = following.winner(run, twins)
    if first.run_id != run.run_id:
        refused = dagster.do(operations.terminate(run.run_id))
        say(f"Run {first.run_id} had been launched for this task before: adopting it; {run.run_id} ends. {refused}")
    return first
