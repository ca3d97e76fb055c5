"""Operators that start nothing: watch one step of a run, wait until a release is live. Both wait in the triggerer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from kumo_airflow.compat import AirflowException, AirflowFailException, AirflowSkipException
from kumo_airflow.context import airflow_errors, tell_asset
from kumo_airflow.errors import Refusal
from kumo_airflow.links import URL_KEY, DagsterRunLink
from kumo_airflow.operators.base import DagsterOperator
from kumo_airflow.steps import STEPS
from kumo_airflow.triggers import LiveTrigger, StepTrigger


class KumoStepOperator(DagsterOperator):
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
        reason = event.get("error") or event["words"]
        if event.get("state") != "done":
            context["ti"].xcom_push(key="reason", value=reason)
            raise AirflowException(f"Step {self.step} of {self.query} failed: {reason}")
        self.say(f"Step {self.step}: {reason}")


class KumoLiveOperator(DagsterOperator):
    """Waits until `active_pointer` names the release, then ends; its outlet's asset event says "new predictions live".

    Skipped when a later day is active already, or a release of the same day that was sealed later: an older release
    never overtakes. Past its deadline it fails, without a retry, with the reason the promotion sensor gives; that is a
    hold as a rule.

    :param release_id: as a rule the return value of `KumoDailyOperator`. Templated.
    :param job: the job that built the release, when it is not `<query>_daily`.
    :param deadline: how long the promotion may take from when this task starts. There is a retry only when Dagster did
        not answer for `outage_seconds`. A retry and a clear count from their own start.
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
                    found="it is no release id",
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
        """After the triggerer's wait. The asset event carries the release, so a consumer need not look it up."""
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
        live = {
            "query": self.query,
            "action": "promote",
            "release_id": self.release_id,
            "generation": event["generation"],
            "at": event["at"],
        }
        tell_asset(context, self.outlets, live)
        self.say(f"{self.release_id} is live, generation {event['generation']}")
        return live
