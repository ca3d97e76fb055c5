"""Who drives each query's day: one clock, both, or none? Told from Dagster's own storage, without asking Airflow.

Dagster's clock is its schedule. Airflow's is seen by what it did: a run it starts on schedule carries
`kumo_airflow/run_type: scheduled` (packages/kumo_airflow). `judge` is pure; `clocks` reads the instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

# A clock that ran is seen within a day; half a day more for a late start and for the hour of daylight saving.
SEEN_WITHIN = timedelta(hours=36)
AIRFLOW_TAG = {"kumo_airflow/run_type": "scheduled"}


@dataclass(frozen=True)
class Clock:
    """One query's clocks. `airflow_ran`: when Airflow last started a scheduled run, UTC; None for never."""

    query: str
    owner: Literal["dagster", "airflow"]
    schedule_runs: bool
    airflow_ran: datetime | None
    end: date | None = None


def judge(clock: Clock, now: datetime) -> str:
    """ "" when the owner drives, alone; else what is wrong and what to do. `now` is aware.

    A query whose last partition is past needs no clock, but may not have two either.
    """
    seen = clock.airflow_ran is not None and now - clock.airflow_ran < SEEN_WITHIN
    name = f"{clock.query}_daily_schedule"
    ended = clock.end is not None and now.date() > clock.end + timedelta(days=2)
    if clock.schedule_runs and seen:
        loser = (
            f"stop {name} in the Dagster UI" if clock.owner == "airflow" else f"pause Airflow's DAG of {clock.query}"
        )
        return f"{clock.query}: both clocks run; {clock.owner} owns it: {loser}"
    if clock.owner == "airflow" and clock.schedule_runs:
        return f"{clock.query}: {name} runs in Dagster, and Airflow owns that clock: stop it, or change schedule.owner"
    if clock.owner == "dagster" and seen:
        return f"{clock.query}: Airflow drives it, and schedule.owner says dagster: change it, or pause Airflow's DAG"
    if ended or clock.schedule_runs or seen:
        return ""
    if clock.owner == "dagster":
        return f"{clock.query}: neither clock runs; {name} is stopped, and Dagster owns it: start it in the Dagster UI"
    when = f"since {clock.airflow_ran:%Y-%m-%d %H:%M} UTC" if clock.airflow_ran else "yet"
    return f"{clock.query}: neither clock runs; Airflow owns it and started no scheduled run {when}: unpause its DAG"


def clocks(instance: Any, specs: Iterable[tuple[str, Any]]) -> list[Clock]:
    """The clocks of (query, its definition's spec) on a Dagster instance."""
    from dagster import RunsFilter

    told = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
    found = []
    for query, spec in specs:
        owner = spec.schedule.owner
        # Without a word in the instance, or "declared in code", what the definition ships holds.
        status = told.get(f"{query}_daily_schedule")
        runs = status == "RUNNING" or (status != "STOPPED" and owner == "dagster")
        records = instance.get_run_records(RunsFilter(job_name=f"{query}_daily", tags=AIRFLOW_TAG), limit=1)
        ran = records[0].create_timestamp if records else None
        if ran is not None and ran.tzinfo is None:
            ran = ran.replace(tzinfo=UTC)
        found.append(Clock(query, owner, runs, ran, spec.schedule.end))
    return found
