"""One task's hold on one day's run: start it, wait in place, end it when killed.

Shared by `KumoDailyOperator` and `build_release`. No Airflow here; the single steps are in `starting` and `running`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kumo_airflow import operations, running, starting
from kumo_airflow.client import Dagster
from kumo_airflow.errors import KumoAirflowError
from kumo_airflow.following import TRIGGER_TAG
from kumo_airflow.running import Result, Say
from kumo_airflow.starting import Request, Started

KILL_OUTAGE_SECONDS = 20.0


class TaskKilled(KumoAirflowError):
    """Somebody killed the task; its run was told to stop."""


class Daily:
    """`connect(outage_seconds or None)` opens a client. `deadline_seconds` None: no deadline."""

    def __init__(
        self,
        connect: Callable[[float | None], Dagster],
        request: Request,
        say: Say,
        *,
        deadline_seconds: float | None,
        poll_seconds: float,
    ) -> None:
        self._connect, self.request, self._say = connect, request, say
        self._deadline_seconds, self._poll_seconds = deadline_seconds, poll_seconds
        self._killed, self._own = False, True

    def start(self, dagster: Dagster) -> Started:
        try:
            started = starting.start(dagster, self.request, self._say, self._sleep)
            self._own = started.own
        finally:
            if self._killed:
                self.kill()  # again: the first may have come while a launch was on its way, and found no run to end
        self._check()
        return started

    def deadline_at(self, started: Started) -> float | None:
        return running.deadline_of(started.run, self._deadline_seconds)

    def build(self, dagster: Dagster, on_start: Callable[[Started], None]) -> Result:
        """Start and wait in place. Raises what `starting.start` and `running.conclude` raise, and TaskKilled."""
        started = self.start(dagster)
        on_start(started)
        move = running.wait(
            dagster,
            started.run.run_id,
            self._say,
            deadline_at=self.deadline_at(started),
            poll_seconds=self._poll_seconds,
            check=self._check,
            sleep=self._sleep,
        )
        return running.conclude(dagster, move, self._say)

    def kill(self) -> None:
        """End this task's run, found by its tag: its id may not have come back yet. Never raises."""
        self._killed = True
        if not self._own:
            self._say("The run was not started from here and goes on")
            return
        try:
            with self._connect(KILL_OUTAGE_SECONDS) as dagster:
                for run in dagster.do(operations.runs(self.request.job, {TRIGGER_TAG: self.request.key})):
                    if run.live and run.status != "CANCELING":
                        running.terminate(dagster, run.run_id, self._say)
        except KumoAirflowError as error:
            self._say(f"The run goes on: {error}")

    def _check(self) -> None:
        if self._killed:
            raise TaskKilled("go on", found="the task was killed", next="clear the task: it continues the same release")

    def _sleep(self, seconds: float) -> None:
        # In short pieces, so that a kill is noticed between them.
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(1.0, left))
