"""What the operators share: the connection, where waiting happens, and a task that starts one run and ends as it ends.

The operators that a DAG uses are in `runs` and `watching`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.configuration import conf

from kumo_airflow import running
from kumo_airflow.client import Dagster
from kumo_airflow.compat import BaseOperator
from kumo_airflow.context import airflow_errors, tell_result, tell_started
from kumo_airflow.daily import Daily
from kumo_airflow.errors import KumoAirflowError
from kumo_airflow.following import Move
from kumo_airflow.hook import DEFAULT_CONN_ID, KumoDagsterHook
from kumo_airflow.links import DagsterRunLink
from kumo_airflow.running import Result
from kumo_airflow.starting import Request, Started
from kumo_airflow.triggers import RunTrigger


class DagsterOperator(BaseOperator):
    """The parameters that all operators share: the connection, patience, and where waiting happens."""

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

    def say(self, line: str) -> None:
        self.log.info("%s", line)


class RunOperator(DagsterOperator):
    """Starts a run or adopts one, waits, and ends as it ended. A subclass says which run, in `request`."""

    operator_extra_links = (DagsterRunLink(),)

    def __init__(self, *, deadline: timedelta | None, wait: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deadline, self.wait = deadline, wait
        self._daily: Daily | None = None

    def request(self, context: Any) -> Request:
        raise NotImplementedError

    def end(self, context: Any, dagster: Dagster, result: Result) -> Any:
        """The return value of a task whose run succeeded."""
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
        """Called in the worker when the task is killed there. For a deferred task it is `RunTrigger.on_kill`."""
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
