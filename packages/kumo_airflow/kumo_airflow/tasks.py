"""`build_release`: what `KumoDailyOperator` does, as a function to call in a `@task` of your own.

    @task(retries=2)
    def build() -> str:
        return build_release("next_best_product")

It waits in the worker. A kill reaches a function as SIGTERM only, which is listened to while the run goes on.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

from kumo_airflow.compat import get_current_context
from kumo_airflow.context import airflow_errors, request_of, tell_result, tell_started
from kumo_airflow.daily import Daily
from kumo_airflow.hook import DEFAULT_CONN_ID, KumoDagsterHook

_log = logging.getLogger("airflow.task")


def build_release(
    query: str,
    *,
    job: str | None = None,
    partition: str = "",
    time_zone: str | None = None,
    conn_id: str = DEFAULT_CONN_ID,
    repository: str | None = None,
    location: str | None = None,
    deadline: timedelta | None = timedelta(hours=8),
    poll_seconds: float = 15.0,
    outage_seconds: float | None = None,
) -> str:
    """Build the release of the current task's day and return its id; parameters and XComs as `KumoDailyOperator`.

    Raises AirflowFailException for a gate that blocked or a refusal, AirflowException for what a retry may fix.
    """
    context = get_current_context()
    request = request_of(
        context,
        job=job or f"{query}_daily",
        partition=partition,
        time_zone=time_zone,
        repository=repository,
        location=location,
    )
    daily = Daily(
        lambda seconds: KumoDagsterHook(
            conn_id, outage_seconds=seconds if seconds is not None else outage_seconds
        ).get_conn(),
        request,
        _log.info,
        deadline_seconds=deadline.total_seconds() if deadline else None,
        poll_seconds=poll_seconds,
    )
    hook = KumoDagsterHook(conn_id, outage_seconds=outage_seconds)
    with airflow_errors(context), hook.get_conn() as dagster, _on_terminate(daily.kill):
        result = daily.build(
            dagster,
            lambda started: tell_started(context, started, dagster.settings.run_url(started.run.run_id)),
        )
        tell_result(context, result)
        return result.release_id


@contextmanager
def _on_terminate(call: Callable[[], None]) -> Iterator[None]:
    """Call on SIGTERM, then whatever listened before (Airflow 2 raises there, Airflow 3 asks the operator)."""
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        call()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
