"""Operators that start a run in Dagster: build a day's release, roll a query back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from kumo_airflow import operations
from kumo_airflow.client import Dagster
from kumo_airflow.context import airflow_errors, request_of, tell_asset
from kumo_airflow.errors import Refusal
from kumo_airflow.operators.base import RunOperator
from kumo_airflow.running import Result
from kumo_airflow.starting import Request


class KumoDailyOperator(RunOperator):
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


class KumoRollbackOperator(RunOperator):
    """Rolls a query back by its Dagster job `<query>_rollback`: to a known-good release, which is then held.

    A retry adopts the run an earlier try started: it never rolls back twice. `kumo-assets rollback` does the same
    without Dagster; use it when Dagster is down.

    :param reason: why, for whoever comes after. Templated, and required.
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
        event = {
            "query": self.query,
            "action": "rollback",
            "release_id": newest[0].release_id if newest else "",
            "generation": newest[0].generation if newest else 0,
            "at": newest[0].at if newest else 0.0,
        }
        tell_asset(context, self.outlets, event)
        return event
