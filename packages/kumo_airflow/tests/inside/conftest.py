"""Runs in an Airflow's own environment, 2.11 or 3.3; see test_inside_airflow.py. No database and no Airflow process:
the connection comes from the environment, the context is what a task reads of it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from stand_in import StandIn

TOKEN = "tok-5eCr3t-of-dagster"


@pytest.fixture
def dagster(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    connection = {"conn_type": "kumo_dagster", "host": stand_in.url, "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_KUMO_DAGSTER_DEFAULT", json.dumps(connection))
    yield stand_in
    stand_in.close()


def when(true: Callable[[], Any], call: Callable[[], Any]) -> threading.Thread:
    """Call from another thread, as soon as something is true."""

    def watch() -> None:
        while not true():
            time.sleep(0.01)
        call()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


class Context(dict):  # type: ignore[type-arg]
    """What the operators read of Airflow's context; `told` are the XComs."""

    def __init__(self, operator: Any, *, max_tries: int | None = None, **run: Any) -> None:
        self.told: dict[str, Any] = {}
        fired = datetime(2017, 11, 29, 2, tzinfo=UTC)
        dag_run = {
            "conf": {},
            "data_interval_start": fired,
            "data_interval_end": fired,
            "run_type": "scheduled",
            "run_after": fired,
            **run,
        }
        ti = SimpleNamespace(
            dag_id="d",
            run_id="scheduled__1",
            task_id="build",
            map_index=-1,
            try_number=1,
            max_tries=operator.retries if max_tries is None else max_tries,
            xcom_push=lambda key, value: self.told.update({key: value}),
        )
        events: dict[Any, Any] = {asset: SimpleNamespace(extra=None) for asset in operator.outlets}
        super().__init__(ti=ti, task=operator, dag_run=SimpleNamespace(**dag_run), outlet_events=events)
