"""Operators: build a day's release, watch one step of it, wait until it is live, roll back.

Each is a thin shell: what to do is decided in `following`, `steps`, `live` and `partitions`; here Airflow's context is
read, the waiting is put into the triggerer or done in place, and Airflow is told how it ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.configuration import conf

from kumo_airflow import operations, running
from kumo_airflow.client import Dagster
from kumo_airflow.compat import AirflowException, AirflowFailException, AirflowSkipException, BaseOperator
from kumo_airflow.context import airflow_errors, request_of, tell_asset, tell_result, tell_started
from kumo_airflow.daily import Daily
from kumo_airflow.errors import KumoAirflowError, Refusal
from kumo_airflow.following import Move
from kumo_airflow.hook import DEFAULT_CONN_ID, KumoDagsterHook
from kumo_airflow.links import URL_KEY, DagsterRunLink
from kumo_airflow.running import Request, Result, Started
from kumo_airflow.steps import STEPS
from kumo_airflow.triggers import LiveTrigger, RunTrigger, StepTrigger


class _DagsterOperator(BaseOperator):
    """What the operators share: the connection, patience, and where waiting happens."""

    def __init__(
        self,
        *,
        conn_id: str = DEFAULT_CONN_ID,
        repository: str | None = None,
        location: str | None = None,
        poll_seconds: float = 15.0,
        outage_seconds: float | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id, self.repository, self.location = conn_id, repository, location
        self.poll_seconds, self.outage_seconds, self.deferrable = poll_seconds, outage_seconds, deferrable

    def dagster(self, outage_seconds: float | None = None) -> Dagster:
        seconds = self.outage_seconds if outage_seconds is None else outage_seconds
        return KumoDagsterHook(self.conn_id, outage_seconds=seconds).get_conn()

    def say(self, words: str) -> None:
        self.log.info("%s", words)


class _RunOperator(_DagsterOperator):
    """Starts a run or adopts one, waits, ends as it ended. What is asked for is `request`'s."""

    operator_extra_links = (DagsterRunLink(),)

    def __init__(self, *, deadline: timedelta | None, wait: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deadline, self.wait = deadline, wait
        self._daily: Daily | None = None

    def request(self, context: Any) -> Request:
        raise NotImplementedError

    def end(self, context: Any, dagster: Dagster, result: Result) -> Any:
        """The return value of a task that ended well."""
        return result.release_id

    def execute(self, context: Any) -> Any:
        daily = self._hold(context)
        with airflow_errors(context), self.dagster() as dagster:

            def tell(started: Started) -> None:
                url = dagster.settings.run_url(started.run.run_id)
                self.say(f"Dagster run: {url}")
                tell_started(context, started, url)

            if self.wait and not self.deferrable:
                return self._end(context, dagster, daily.build(dagster, tell))
            started = daily.start(dagster)
            tell(started)
            if not self.wait:
                return started.run.release_id
        self.defer(
            trigger=RunTrigger(
                conn_id=self.conn_id,
                run_id=started.run.run_id,
                deadline_at=daily.deadline_at(started),
                poll_seconds=self.poll_seconds,
                outage_seconds=self.outage_seconds,
                own=started.own,
            ),
            method_name="resume",
        )
        raise AssertionError("defer always raises")

    def resume(self, context: Any, event: Mapping[str, Any]) -> Any:
        """After the triggerer's wait."""
        with airflow_errors(context), self.dagster() as dagster:
            if "error" in event:
                raise KumoAirflowError("wait for the run", found=event["error"])
            move = Move(event["what"], event["run_id"], event["outcome"])
            return self._end(context, dagster, running.conclude(dagster, move, self.say))

    def on_kill(self) -> None:
        """Called in the worker when the task is killed there; a deferred task's kill is `RunTrigger.on_kill`."""
        if self._daily is not None:
            self._daily.kill()

    def _hold(self, context: Any) -> Daily:
        self._daily = Daily(
            self.dagster,
            self.request(context),
            self.say,
            deadline_seconds=self.deadline.total_seconds() if self.deadline else None,
            poll_seconds=self.poll_seconds,
        )
        return self._daily

    def _end(self, context: Any, dagster: Dagster, result: Result) -> Any:
        tell_result(context, result)
        return self.end(context, dagster, result)


class KumoDailyOperator(_RunOperator):
    """Builds the release of one day: starts `<query>_daily` in Dagster for the partition of the data interval, waits,
    and ends as the run ended.

    A retry adopts the run an earlier try started, or re-executes it from its failure; a clear after success runs anew.
    A gate that blocks fails the task without a retry. Killing the task terminates the run, and the run its Kumo job.

    :param query: name of the predictive query. Templated.
    :param job: another job than `<query>_daily`.
    :param partition: a day, YYYY-MM-DD, instead of the data interval's; "" for the interval's. Templated.
        `{"partition": "..."}` in the DAG run's conf does the same.
    :param time_zone: the query's time zone; None takes the one of Dagster's own schedule. A contradiction is refused.
    :param deadline: how long a run may take from when it was created; then it is terminated and the task fails.
    :param wait: False ends the task when the run has started; `KumoStepOperator` watches it then.
    :param outage_seconds: how long Dagster may be unreachable before the task fails; None takes the connection's.
    :param deferrable: wait in the triggerer; the default is Airflow's `[operators] default_deferrable`.

    XComs: `dagster_run_id`, `dagster_run_url`, `release_id`, `partition`, `outcome` (success, blocked, failed,
    canceled, overdue), `reason`, `gates` (gate, asset, reason of each that blocked). The return value is the release id.
    """

    template_fields: Sequence[str] = ("query", "job", "partition")
    ui_color = "#e7e6ff"

    def __init__(
        self,
        *,
        query: str,
        job: str | None = None,
        partition: str = "",
        time_zone: str | None = None,
        deadline: timedelta | None = timedelta(hours=8),
        **kwargs: Any,
    ) -> None:
        super().__init__(deadline=deadline, **kwargs)
        self.query, self.job, self.partition, self.time_zone = query, job, partition, time_zone

    def request(self, context: Any) -> Request:
        return request_of(
            context,
            job=self.job or f"{self.query}_daily",
            partition=self.partition,
            time_zone=self.time_zone,
            repository=self.repository,
            location=self.location,
        )


class KumoRollbackOperator(_RunOperator):
    """Rolls a query back by its Dagster job `<query>_rollback`: to a known-good release, and hold.

    A retry adopts the run an earlier try started: it never rolls back twice. `kumo-assets rollback` does the same
    without Dagster, and is the way when Dagster is down.

    :param reason: why, for whoever comes after. Templated, and needed.
    :param to: the release to go back to; "" for the newest earlier known-good one. Templated.
    """

    template_fields: Sequence[str] = ("query", "reason", "to")
    ui_color = "#ffe3d6"

    def __init__(
        self,
        *,
        query: str,
        reason: str,
        to: str = "",
        deadline: timedelta | None = timedelta(minutes=30),
        **kwargs: Any,
    ) -> None:
        super().__init__(deadline=deadline, **kwargs)
        self.query, self.reason, self.to = query, reason, to

    def request(self, context: Any) -> Request:
        reason, to = str(self.reason or "").strip(), str(self.to or "").strip()
        if not reason:
            with airflow_errors():
                raise Refusal(
                    "roll back", to=self.query, found="no reason", next="say why, for whoever comes after you"
                )
        return request_of(
            context,
            job=f"{self.query}_rollback",
            repository=self.repository,
            location=self.location,
            partitioned=False,
            run_config={"ops": {"rollback": {"config": {"reason": reason, **({"to": to} if to else {})}}}},
        )

    def end(self, context: Any, dagster: Dagster, result: Result) -> dict[str, Any]:
        newest = dagster.do(operations.pointer_moves(self.query))[:1]
        told = {
            "query": self.query,
            "action": "rollback",
            "release_id": newest[0].release_id if newest else "",
            "generation": newest[0].generation if newest else 0,
            "at": newest[0].at if newest else 0.0,
        }
        tell_asset(context, self.outlets, told)
        return told


class KumoStepOperator(_DagsterOperator):
    """Watches one step of a run that another task started, and ends as the step ended. It starts and kills nothing.

    :param run_id: the Dagster run; as a rule the XCom `dagster_run_id` of the task that started it. Templated.
    :param step: one of ingest_check, batch_prediction, drift_check, post_processing, export, import.
    """

    template_fields: Sequence[str] = ("query", "run_id")
    operator_extra_links = (DagsterRunLink(),)
    ui_color = "#f2f2f2"

    def __init__(self, *, query: str, run_id: str, step: str, **kwargs: Any) -> None:
        super().__init__(deferrable=True, **kwargs)
        if step not in STEPS:
            raise ValueError(f"step is {step!r}; one of {', '.join(STEPS)}")
        self.query, self.run_id, self.step = query, run_id, step

    def execute(self, context: Any) -> None:
        with airflow_errors(context):
            if not self.run_id or self.run_id == "None":
                raise Refusal(f"watch {self.step}", found="no run id", next="run the task that starts the run first")
            with self.dagster() as dagster:
                context["ti"].xcom_push(key=URL_KEY, value=dagster.settings.run_url(self.run_id))
        self.defer(
            trigger=StepTrigger(
                conn_id=self.conn_id,
                run_id=self.run_id,
                query=self.query,
                step=self.step,
                poll_seconds=self.poll_seconds,
                outage_seconds=self.outage_seconds,
            ),
            method_name="resume",
        )

    def resume(self, context: Any, event: Mapping[str, Any]) -> None:
        """After the triggerer's wait."""
        words = event.get("error") or event["words"]
        if event.get("state") != "done":
            context["ti"].xcom_push(key="reason", value=words)
            raise AirflowException(f"Step {self.step} of {self.query} failed: {words}")
        self.say(f"Step {self.step}: {words}")


class KumoLiveOperator(_DagsterOperator):
    """Waits until `active_pointer` names the release, then ends; its outlet's asset event says "new predictions live".

    Skipped when a later day is active already, or a release of the same day that was sealed later: an older release
    never overtakes. Past its deadline it fails, without a retry, with the promotion sensor's own words, a hold as a rule.

    :param release_id: as a rule the return value of `KumoDailyOperator`. Templated.
    :param job: the job that built the release, when it is not `<query>_daily`.
    :param deadline: how long the promotion may take from when this task starts. A retry comes only when Dagster did not
        answer for `outage_seconds`, and it and a clear count from their own start.
    """

    template_fields: Sequence[str] = ("query", "release_id")
    ui_color = "#dff5e1"

    def __init__(
        self,
        *,
        query: str,
        release_id: str,
        job: str | None = None,
        deadline: timedelta = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=True, **kwargs)
        self.query, self.release_id, self.job, self.deadline = query, release_id, job, deadline

    def execute(self, context: Any) -> None:
        day = str(self.release_id).partition("-")[0]
        with airflow_errors(context):
            if len(day) != 8 or not day.isdigit():
                raise Refusal(
                    "wait for the release",
                    to=repr(self.release_id),
                    found="that is no release id",
                    next="pass the return value of KumoDailyOperator",
                )
        self.defer(
            trigger=LiveTrigger(
                conn_id=self.conn_id,
                query=self.query,
                job=self.job or f"{self.query}_daily",
                release_id=self.release_id,
                partition=f"{day[:4]}-{day[4:6]}-{day[6:]}",
                deadline_at=time.time() + self.deadline.total_seconds(),
                poll_seconds=self.poll_seconds,
                outage_seconds=self.outage_seconds,
                repository=self.repository,
                location=self.location,
            ),
            method_name="resume",
        )

    def resume(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """After the triggerer's wait. The asset event carries the release, so that a consumer need not look it up."""
        if "error" in event:
            raise AirflowException(event["error"])
        if event["state"] == "superseded":
            same_day = event["words"][:8] == self.release_id[:8]
            why = "of the same day and sealed later" if same_day else "of a later day"
            raise AirflowSkipException(f"{self.release_id} does not go live: {event['words']}, {why}, is active")
        if event["state"] == "overdue":
            context["ti"].xcom_push(key="reason", value=event["words"])
            # Another try would wait as long once more.
            raise AirflowFailException(
                f"{self.release_id} was not promoted in {self.deadline}. The promotion sensor says: "
                f"{event['words'] or 'nothing'}. Next: kumo-assets status {self.query}"
            )
        told = {
            "query": self.query,
            "action": "promote",
            "release_id": self.release_id,
            "generation": event["generation"],
            "at": event["at"],
        }
        tell_asset(context, self.outlets, told)
        self.say(f"{self.release_id} is live, generation {event['generation']}")
        return told
