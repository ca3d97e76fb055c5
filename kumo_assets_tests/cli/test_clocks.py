"""`doctor` tells when both clocks drive a query, or neither, or not the one that owns it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.test_utils import create_run_for_test

from kumo_assets.cli.clocks import AIRFLOW_TAG, Clock, clocks, judge
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.query import PredictiveQuerySpec

SHIPPED = Path(__file__).parents[2] / "kumo_assets" / "defs"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATELY, LONG_AGO = NOW - timedelta(hours=10), NOW - timedelta(days=3)


@pytest.mark.parametrize(
    ("owner", "schedule_runs", "airflow_ran", "words"),
    [
        ("dagster", True, None, ""),
        ("dagster", True, LONG_AGO, ""),
        ("airflow", False, LATELY, ""),
        ("dagster", True, LATELY, "both clocks run; dagster owns it: pause Airflow's DAG"),
        ("airflow", True, LATELY, "both clocks run; airflow owns it: stop"),
        ("airflow", True, None, "Airflow owns that clock: stop it"),
        ("dagster", False, LATELY, "schedule.owner says dagster"),
        ("dagster", False, None, "neither clock runs; q_daily_schedule is stopped"),
        ("airflow", False, None, "started no scheduled run yet: unpause"),
        ("airflow", False, LONG_AGO, "since 2026-11-22 12:00 UTC: unpause"),
    ],
)
def test_each_case_has_its_words(owner: str, schedule_runs: bool, airflow_ran: datetime | None, words: str) -> None:
    found = judge(Clock("q", owner, schedule_runs, airflow_ran), NOW)  # type: ignore[arg-type]
    assert (found == "") == (words == "")
    assert words in found


def test_query_whose_last_partition_is_past_needs_no_clock_but_may_not_have_two() -> None:
    past = date(2026, 11, 1)
    assert judge(Clock("q", "airflow", False, None, past), NOW) == ""
    assert judge(Clock("q", "airflow", False, None, date(2026, 11, 24)), NOW)
    assert "both" in judge(Clock("q", "airflow", True, LATELY, past), NOW)


def with_owner(owner: str) -> PredictiveQuerySpec:
    spec = DefinitionsIndex(SHIPPED).query("next_best_product").spec
    return spec.model_copy(update={"schedule": spec.schedule.model_copy(update={"owner": owner})})


def test_clocks_are_read_from_the_instance() -> None:
    with dg.instance_for_test() as instance:

        def seen(owner: str) -> Clock:
            (found,) = clocks(instance, [("q", with_owner(owner))])
            return found

        assert seen("dagster").schedule_runs
        assert not seen("airflow").schedule_runs
        assert seen("airflow").airflow_ran is None
        create_run_for_test(instance, job_name="q_daily", tags={"kumo_airflow/run_type": "manual"})
        assert seen("airflow").airflow_ran is None
        create_run_for_test(instance, job_name="q_daily", tags=AIRFLOW_TAG)
        ran = seen("airflow").airflow_ran
        assert ran is not None
        assert abs((datetime.now(UTC) - ran).total_seconds()) < 60
        _tell(instance, InstigatorStatus.RUNNING)
        assert seen("airflow").schedule_runs
        _tell(instance, InstigatorStatus.STOPPED)
        assert not seen("dagster").schedule_runs


def _tell(instance: dg.DagsterInstance, status: InstigatorStatus) -> None:
    """As the UI's switch does."""

    @dg.job
    def q_daily() -> None: ...

    schedule = dg.ScheduleDefinition(name="q_daily_schedule", job=q_daily, cron_schedule="0 2 * * *")
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteInstigatorOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="m"), "l")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), schedule.name)
    state = InstigatorState(
        origin, dg._core.definitions.run_request.InstigatorType.SCHEDULE, status, ScheduleInstigatorData("0 2 * * *")
    )
    if instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
        instance.update_instigator_state(state)
    else:
        instance.add_instigator_state(state)
