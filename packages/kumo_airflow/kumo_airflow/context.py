"""What Airflow's context says, as this package's own small values; and XComs and errors back into Airflow's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kumo_airflow.compat import AirflowException, AirflowFailException
from kumo_airflow.errors import GateBlocked, KumoAirflowError, Refusal
from kumo_airflow.following import clearing, trigger_key
from kumo_airflow.links import URL_KEY
from kumo_airflow.partitions import Occasion
from kumo_airflow.running import Result
from kumo_airflow.starting import Request, Started


def occasion_of(context: Any, partition: str = "") -> Occasion:
    """When this DAG run is for. `partition`, or `partition` in the DAG run's conf, goes before the data interval."""
    run = context["dag_run"]
    conf = run.conf or {}
    return Occasion(
        start=run.data_interval_start,
        end=run.data_interval_end,
        run_after=getattr(run, "run_after", None) or getattr(run, "execution_date", None),
        key=getattr(run, "partition_key", None),
        asked=str(partition or conf.get("partition") or "").strip(),
    )


def request_of(context: Any, *, job: str, partition: str = "", **options: Any) -> Request:
    """The request of the task instance that runs now; `options` are `Request`'s own."""
    ti, run = context["ti"], context["dag_run"]
    return Request(
        job=job,
        occasion=occasion_of(context, partition),
        key=trigger_key(ti.dag_id, ti.run_id, ti.task_id, ti.map_index),
        clear=clearing(ti.max_tries, context["task"].retries or 0),
        dag_id=ti.dag_id,
        run_type=str(getattr(run.run_type, "value", run.run_type)),
        **options,
    )


def tell_started(context: Any, started: Started, url: str) -> None:
    """XComs that are there while the run goes on."""
    ti = context["ti"]
    ti.xcom_push(key=URL_KEY, value=url)
    ti.xcom_push(key="dagster_run_id", value=started.run.run_id)
    ti.xcom_push(key="release_id", value=started.run.release_id)
    ti.xcom_push(key="partition", value=started.partition)


def tell_result(context: Any, result: Result) -> None:
    """XComs of the end; a gate's reason among them."""
    ti = context["ti"]
    for key, value in (
        (URL_KEY, result.run_url),
        ("dagster_run_id", result.run_id),
        ("release_id", result.release_id),
        ("partition", result.partition),
        ("outcome", result.outcome),
        ("reason", result.reason),
        ("gates", result.gates),
    ):
        ti.xcom_push(key=key, value=value)


def tell_asset(context: Any, outlets: Any, told: dict[str, Any]) -> None:
    """What the asset events of a task's outlets carry, so that a consumer need not look it up."""
    for asset in outlets:
        context["outlet_events"][asset].extra = told


@contextlib.contextmanager
def airflow_errors(context: Any = None) -> Iterator[None]:
    """Our errors as Airflow's: one that another try would only repeat (a refusal, a gate) fails the task for good."""
    try:
        yield
    except KumoAirflowError as error:
        result = getattr(error, "result", None)
        if context is not None and result is not None:
            tell_result(context, result)
        kind = AirflowFailException if isinstance(error, Refusal | GateBlocked) else AirflowException
        raise kind(str(error)) from None
