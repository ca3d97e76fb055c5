"""The operators and triggers on this Airflow, over HTTP against a stand-in of Dagster's webserver."""

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any

import pytest
from kumo_airflow.compat import AirflowException, AirflowFailException, AirflowSkipException
from kumo_airflow.dags import live_asset
from kumo_airflow.operators import KumoDailyOperator, KumoLiveOperator, KumoRollbackOperator, KumoStepOperator
from kumo_airflow.triggers import LiveTrigger, RunTrigger, StepTrigger
from stand_in import ANSWERS, StandIn, check_event, move, move_outside

from conftest import TOKEN, Context, when


def operator(**options: Any) -> KumoDailyOperator:
    return KumoDailyOperator(
        **{
            "task_id": "build",
            "query": "q",
            "poll_seconds": 0.01,
            "retries": 2,
            "deadline": timedelta(seconds=30),
            **options,
        }
    )


def execute(task: Any, context: Any) -> Any:
    """As a worker would: Airflow 3 lets `execute` be called only from there."""
    call = type(task).execute
    return getattr(call, "__wrapped__", call)(task, context)


def test_run_is_started_for_the_partition_with_dagsters_tags_and_ends_as_it_ended(dagster: StandIn) -> None:
    dagster.script = ["STARTED", "SUCCESS"]
    task = operator()
    context = Context(task)
    release = execute(task, context)
    (run,) = dagster.runs
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert (tags["dagster/partition"], tags["dagster/partition_set"]) == ("2017-11-28", "s")
    assert tags["kumo_airflow/trigger"] == "d/scheduled__1/build"
    assert release == f"20171128-{run['runId'][:8]}"
    assert context.told["dagster_run_url"] == f"{dagster.url}/runs/{run['runId']}"
    assert (context.told["outcome"], context.told["release_id"]) == ("success", release)


def test_gate_that_blocks_fails_without_a_retry_and_its_reason_is_told(dagster: StandIn) -> None:
    dagster.script = ["FAILURE"]
    task = operator()
    context = Context(task)
    with pytest.raises(AirflowFailException, match="gate volume on q/predictions: volume says so"):
        _execute_with_events(dagster, task, context, [check_event("volume", False), check_event("keys", True)])
    assert context.told["outcome"] == "blocked"
    assert [gate["gate"] for gate in context.told["gates"]] == ["volume"]
    assert "volume says so" in context.told["reason"]


def _execute_with_events(dagster: StandIn, task: Any, context: Any, events: list[dict[str, Any]]) -> Any:
    before = dagster.add_run

    def add_run(*args: Any, **kwargs: Any) -> dict[str, Any]:
        run = before(*args, **kwargs)
        dagster.events[run["runId"]] = events
        return run

    dagster.add_run = add_run  # type: ignore[method-assign]
    return execute(task, context)


def test_failed_run_may_be_retried_and_the_retry_is_the_same_release(dagster: StandIn) -> None:
    failure = {
        "__typename": "ExecutionStepFailureEvent",
        "stepKey": "q__predictions",
        "error": {"message": "outer", "causes": [{"message": "Kumo said no"}]},
    }
    dagster.script = ["FAILURE"]
    task = operator()
    with pytest.raises(AirflowException, match="q__predictions: Kumo said no") as failed:
        _execute_with_events(dagster, task, Context(task), [failure])
    assert not isinstance(failed.value, AirflowFailException)
    dagster.script = ["SUCCESS"]
    release = execute(task, Context(task))
    assert [run["rootRunId"] for run in dagster.runs] == [dagster.runs[0]["runId"]] * 2
    assert release.endswith(dagster.runs[0]["runId"][:8])
    assert dagster.statuses() == ["FAILURE", "SUCCESS"]


def test_worker_that_died_is_followed_by_a_try_that_adopts(dagster: StandIn) -> None:
    task = operator(wait=False)
    first = execute(task, Context(task))
    assert execute(task, Context(task)) == first
    assert len(dagster.runs) == 1


def test_clear_after_success_runs_anew(dagster: StandIn) -> None:
    dagster.script = ["SUCCESS"]
    task = operator()
    first = execute(task, Context(task))
    assert execute(task, Context(task)) == first
    dagster.script = ["SUCCESS"]
    second = execute(task, Context(task, max_tries=1 + 2))
    assert second != first
    assert len(dagster.runs) == 2


def test_clear_while_the_run_lives_ends_it_and_continues_its_release(
    dagster: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_airflow.starting.LOOK_PAUSE", 0.01)
    task = operator(wait=False)
    first = execute(task, Context(task))
    assert execute(task, Context(task, max_tries=1 + 2)) == first
    assert dagster.statuses() == ["CANCELED", "QUEUED"]


@pytest.mark.parametrize("lost", ["late", "drop"])
def test_launch_whose_answer_was_lost_starts_one_run(
    dagster: StandIn, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr("kumo_airflow.starting.LOOK_PAUSE", 0.01)
    dagster.strike["launchRun"] = [lost]
    task = operator(wait=False)
    execute(task, Context(task))
    assert len(dagster.runs) == 1


def test_dagsters_own_retry_is_followed(dagster: StandIn) -> None:
    task = operator(wait=False)
    execute(task, Context(task))
    (run,) = dagster.runs
    ours = {tag["key"]: tag["value"] for tag in run["tags"]}
    run["status"] = "FAILURE"
    retry = dagster.add_run("SUCCESS", "q_daily", run["runId"], **ours)
    run["tags"].append({"key": "dagster/auto_retry_run_id", "value": retry["runId"]})
    event = asyncio.run(_event(_run_trigger(run["runId"])))
    assert event == {"run_id": retry["runId"], "what": "ended", "outcome": "success"}


def test_deadline_terminates_the_run_and_fails(dagster: StandIn) -> None:
    task = operator(deadline=timedelta(seconds=0.2))
    context = Context(task)
    with pytest.raises(AirflowException, match="at its deadline"):
        execute(task, context)
    assert dagster.statuses() == ["CANCELED"]
    assert context.told["outcome"] == "overdue"


def test_kill_in_the_worker_terminates_the_run(dagster: StandIn) -> None:
    task = operator()
    killer = when(lambda: dagster.runs, task.on_kill)  # Airflow's signal handler does, in the task's own thread
    with pytest.raises(AirflowException, match="the task was killed"):
        execute(task, Context(task))
    killer.join()
    assert dagster.statuses() == ["CANCELED"]


def test_kill_while_the_launch_is_on_its_way_terminates_what_it_starts(
    dagster: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, add_run = operator(), dagster.add_run

    def kill_first(*values: Any, **tags: Any) -> dict[str, Any]:
        task.on_kill()  # finds no run yet
        return add_run(*values, **tags)

    monkeypatch.setattr(dagster, "add_run", kill_first)
    with pytest.raises(AirflowException, match="the task was killed"):
        execute(task, Context(task))
    assert dagster.statuses() == ["CANCELED"]


def test_kill_during_a_look_is_told_as_the_kill_it_is(dagster: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    task, look = operator(), ANSWERS["runOrError"]

    def kill_first(*asked: Any) -> Any:
        task.on_kill()
        return look(*asked)

    monkeypatch.setitem(ANSWERS, "runOrError", kill_first)
    with pytest.raises(AirflowException, match="the task was killed"):
        execute(task, Context(task))
    assert dagster.statuses() == ["CANCELED"]


def test_kill_leaves_a_run_that_somebody_else_started(dagster: StandIn) -> None:
    dagster.add_run("STARTED", **{"dagster/partition": "2017-11-28"})
    task = operator()
    killer = when(lambda: task._daily and not task._daily._own, task.on_kill)
    with pytest.raises(AirflowException, match="the task was killed"):
        execute(task, Context(task))
    killer.join()
    assert dagster.statuses() == ["STARTED"]


def test_outage_is_ridden_out_and_a_long_one_is_one_clear_error(dagster: StandIn) -> None:
    dagster.script = ["SUCCESS"]
    dagster.strike["any"] = [503, "drop"]
    execute(operator(), Context(operator()))
    dagster.strike["any"] = [503] * 100
    with pytest.raises(AirflowException, match=r"no usable answer for .*HTTP 503.*Next: see whether"):
        execute(operator(outage_seconds=0.3), Context(operator()))


def test_deploy_of_dagsters_code_is_ridden_out(dagster: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_airflow.starting.LOCATION_PAUSE", 0.1)
    dagster.loading = 2
    task = operator(wait=False, outage_seconds=5)
    execute(task, Context(task))
    assert dagster.statuses() == ["QUEUED"]
    dagster.loading = 100
    with pytest.raises(AirflowException, match="kumo_assets is still loading"):
        execute(operator(wait=False, outage_seconds=0.3), Context(task))


@pytest.mark.parametrize(("status", "words"), [(401, "the token is missing, wrong"), (302, "no login page's")])
def test_what_will_not_mend_itself_is_refused_and_no_secret_is_told(
    dagster: StandIn, caplog: pytest.LogCaptureFixture, status: int, words: str
) -> None:
    caplog.set_level(logging.DEBUG)
    dagster.strike["any"] = [status]
    with pytest.raises(AirflowFailException, match=words) as refused:
        execute(operator(), Context(operator()))
    assert TOKEN not in str(refused.value) + caplog.text
    assert dagster.seen[0][1]["Authorization"] == f"Bearer {TOKEN}"
    assert len(dagster.seen) == 1


@pytest.mark.parametrize(
    ("options", "run", "words"),
    [
        ({"query": "p"}, {}, "no such job"),
        ({"partition": "2017-11-26"}, {}, "before the query's first partition"),
        ({"time_zone": "Europe/Berlin"}, {}, "the query's own is UTC"),
        ({}, {"conf": {"partition": "soon"}}, "YYYY-MM-DD"),
        ({}, {"data_interval_start": None, "data_interval_end": None, "run_after": None}, "no run_after"),
    ],
)
def test_refusals_start_nothing(dagster: StandIn, options: Any, run: Any, words: str) -> None:
    task = operator(**options)
    with pytest.raises(AirflowFailException, match=words):
        execute(task, Context(task, **run))
    assert dagster.runs == []


def test_second_clock_is_told_and_builds_no_second_release(dagster: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    dagster.schedule = "RUNNING"
    built = dagster.add_run(
        "SUCCESS", **{"dagster/partition": "2017-11-28", "dagster/schedule_name": "q_daily_schedule"}
    )
    task = operator()
    assert execute(task, Context(task)).endswith(built["runId"][:8])
    assert len(dagster.runs) == 1


def _run_trigger(run_id: str, own: bool = True) -> RunTrigger:
    return RunTrigger(
        conn_id="kumo_dagster_default",
        run_id=run_id,
        deadline_at=time.time() + 60,
        poll_seconds=0.01,
        outage_seconds=0.3,
        own=own,
    )


async def _event(trigger: Any) -> Any:
    path, arguments = trigger.serialize()
    assert TOKEN not in str(arguments)
    assert path == f"kumo_airflow.triggers.{type(trigger).__name__}"
    async for event in type(trigger)(**arguments).run():
        return event.payload


def test_deferred_wait_ends_in_the_worker_as_the_run_ended(dagster: StandIn) -> None:
    task = operator(deferrable=True)
    context = Context(task)
    with pytest.raises(BaseException) as deferred:
        execute(task, context)
    assert deferred.value.method_name == "resume"
    dagster.script = ["STARTED", "SUCCESS"]
    event = asyncio.run(_event(deferred.value.trigger))
    assert task.resume(context, event) == context.told["release_id"]


def test_trigger_tells_an_outage_as_an_event(dagster: StandIn) -> None:
    run = dagster.add_run()
    dagster.strike["any"] = [503] * 100
    event = asyncio.run(_event(_run_trigger(run["runId"])))
    assert "no usable answer" in event["error"]
    task = operator()
    dagster.strike.clear()
    with pytest.raises(AirflowException, match="no usable answer"):
        task.resume(Context(task), event)


def test_trigger_killed_terminates_its_own_run_and_no_other(dagster: StandIn) -> None:
    mine, theirs = dagster.add_run(), dagster.add_run()
    asyncio.run(_run_trigger(mine["runId"]).on_kill())
    asyncio.run(_run_trigger(theirs["runId"], own=False).on_kill())
    assert dagster.statuses() == ["CANCELED", "STARTED"]


def test_cancelled_trigger_terminates_only_when_a_person_did_it(
    dagster: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Airflow 3.3 a trigger is told of neither; a triggerer's restart must not end the run."""
    monkeypatch.setattr("kumo_airflow.triggers.TRIGGERS_ARE_KILLED", False)
    for still, status in ((True, "STARTED"), (False, "CANCELED")):
        run = dagster.add_run()

        async def deferred(_: Any, still: bool = still) -> bool:
            return still

        monkeypatch.setattr("kumo_airflow.triggers.still_deferred", deferred)
        asyncio.run(_cancel(_run_trigger(run["runId"])))
        assert run["status"] == status


async def _cancel(trigger: RunTrigger) -> None:
    trigger.task_instance = type("TI", (), {"task_id": "build"})()

    async def watch() -> None:
        async for _ in trigger.run():
            pass

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0.3)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


def test_step_is_watched_through_re_executions(dagster: StandIn) -> None:
    first = dagster.add_run("FAILURE", **{"dagster/partition": "2017-11-28"})
    second = dagster.add_run("STARTED", "q_daily", first["runId"], **{"dagster/root_run_id": first["runId"]})
    made = {"__typename": "MaterializationEvent", "stepKey": "x", "assetKey": {"path": ["q", "predictions"]}}
    dagster.events[second["runId"]] = [made, check_event("volume", True)]

    def watch(step: str) -> Any:
        return asyncio.run(
            _event(
                StepTrigger(
                    conn_id="kumo_dagster_default",
                    run_id=first["runId"],
                    query="q",
                    step=step,
                    poll_seconds=0.01,
                    outage_seconds=1,
                )
            )
        )

    assert watch("batch_prediction")["state"] == "done"
    dagster.events[second["runId"]] += [check_event("volume", False)]
    second["status"] = "FAILURE"
    assert watch("drift_check") == {"state": "failed", "words": "gate volume on q/predictions: volume says so"}
    assert watch("export")["state"] == "failed"
    task = KumoStepOperator(task_id="drift", query="q", run_id="x", step="drift_check")
    context = Context(task)
    with pytest.raises(AirflowException, match="volume says so"):
        task.resume(context, {"state": "failed", "words": "volume says so"})
    assert context.told["reason"] == "volume says so"


def _live(release: str, seconds: float = 60) -> LiveTrigger:
    return LiveTrigger(
        conn_id="kumo_dagster_default",
        query="q",
        job="q_daily",
        release_id=release,
        partition="2017-11-28",
        deadline_at=time.time() + seconds,
        poll_seconds=0.01,
        outage_seconds=1,
        repository=None,
        location=None,
    )


def test_live_when_the_pointer_moved_and_the_asset_event_says_what(dagster: StandIn) -> None:
    dagster.moves = [move("20171128-aaaaaaaa", "2017-11-28", 4)]
    asset = live_asset("q")
    task = KumoLiveOperator(task_id="live", query="q", release_id="20171128-aaaaaaaa", outlets=[asset])
    context = Context(task)
    task.resume(context, asyncio.run(_event(_live("20171128-aaaaaaaa"))))
    assert context["outlet_events"][asset].extra["release_id"] == "20171128-aaaaaaaa"
    assert context["outlet_events"][asset].extra["generation"] == 4


def test_older_release_is_skipped_and_one_held_fails_with_the_sensors_words(dagster: StandIn) -> None:
    task = KumoLiveOperator(task_id="live", query="q", release_id="20171128-bbbbbbbb", outlets=[live_asset("q")])
    dagster.moves = [move("20171129-cccccccc", "2017-11-29", 5)]
    with pytest.raises(AirflowSkipException, match="of a later day"):
        task.resume(Context(task), asyncio.run(_event(_live("20171128-bbbbbbbb"))))
    dagster.moves = [move_outside("20171129-cccccccc", 5)]  # promoted from the command line
    with pytest.raises(AirflowSkipException, match="of a later day"):
        task.resume(Context(task), asyncio.run(_event(_live("20171128-bbbbbbbb"))))
    dagster.moves = [move("20171127-dddddddd", "2017-11-27", 3)]
    # For good: another try would wait as long again.
    with pytest.raises(AirflowFailException, match="held by ann"):
        task.resume(Context(task), asyncio.run(_event(_live("20171128-bbbbbbbb", 0.1))))
    with pytest.raises(AirflowFailException, match="no release id"):
        execute(KumoLiveOperator(task_id="live", query="q", release_id="None"), Context(task))


def test_release_overtaken_by_a_later_one_of_its_day_is_skipped(dagster: StandIn) -> None:
    built, first = (dagster.add_run("SUCCESS", **{"dagster/partition": "2017-11-28"}) for _ in range(2))
    built["endTime"] = first["endTime"] = time.time() - 60
    mine, other = (f"20171128-{run['runId'][:8]}" for run in (built, first))
    task = KumoLiveOperator(task_id="live", query="q", release_id=mine, outlets=[live_asset("q")])
    first["endTime"] += 30
    for told in (move(other, "2017-11-28", 5), move_outside(other, 5)):
        dagster.moves = [told]
        with pytest.raises(AirflowSkipException, match=f"{other}, of the same day and sealed later"):
            task.resume(Context(task), asyncio.run(_event(_live(mine))))
    first["endTime"] -= 60  # now it is an earlier release of the day, which this one is to follow
    assert asyncio.run(_event(_live(mine, 0.1)))["state"] == "overdue"


def test_rollback_runs_its_job_once_and_needs_a_reason(dagster: StandIn) -> None:
    asset = live_asset("q")
    task = KumoRollbackOperator(
        task_id="rollback", query="q", reason="bad lists", to="20171127-dddddddd", poll_seconds=0.01, outlets=[asset]
    )
    dagster.script, dagster.moves = ["SUCCESS"], [move("20171127-dddddddd", "2017-11-27", 6)]
    context = Context(task)
    assert execute(task, context)["release_id"] == "20171127-dddddddd"
    assert execute(task, context)["generation"] == 6  # a retry adopts
    assert [run["jobName"] for run in dagster.runs] == ["q_rollback"]
    assert dagster.configs == [{"ops": {"rollback": {"config": {"reason": "bad lists", "to": "20171127-dddddddd"}}}}]
    assert context["outlet_events"][asset].extra["action"] == "rollback"
    task.reason = " "
    with pytest.raises(AirflowFailException, match="no reason"):
        execute(task, Context(task))
