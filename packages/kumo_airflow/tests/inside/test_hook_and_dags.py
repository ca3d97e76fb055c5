"""The connection type with its test button, and the DAGs, on this Airflow."""

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kumo_airflow import tasks
from kumo_airflow.compat import DAG
from kumo_airflow.dags import daily_dag, daily_dags, read_queries
from kumo_airflow.errors import Refusal
from kumo_airflow.hook import KumoDagsterHook, settings_of
from kumo_airflow.links import DagsterRunLink
from kumo_airflow.operators import KumoDailyOperator
from kumo_airflow.provider import get_provider_info
from stand_in import StandIn

from conftest import TOKEN, Context, when

DAGS = Path(__file__).parents[2] / "dags"
QUERY = {
    "name": "q",
    "job": "q_daily",
    "description": "What next?",
    "time_zone": "America/New_York",
    "schedule_at": "02:30",
    "schedule_owner": "airflow",
    "start": "2017-11-01",
    "owners": ["team:growth", "ann@example.com"],
}


def connection(**fields: Any) -> Any:
    extra = fields.pop("extra", {})
    defaults = {"conn_id": "c", "host": "", "schema": None, "port": None, "password": None, "extra_dejson": extra}
    return SimpleNamespace(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://dagster.example.com/"}, "https://dagster.example.com"),
        ({"host": "dagster.example.com"}, "https://dagster.example.com"),
        ({"host": "dagster", "port": 3000, "schema": "http"}, "http://dagster:3000"),
        ({"host": "http://dagster/prefix", "port": 3000}, "http://dagster:3000/prefix"),
    ],
)
def test_url_of_a_connection(fields: dict[str, Any], url: str) -> None:
    assert settings_of(connection(**fields)).url == url


def test_token_goes_into_its_header_and_into_no_repr() -> None:
    bearer = settings_of(connection(host="https://d", password=TOKEN))
    assert bearer.headers == {"Authorization": f"Bearer {TOKEN}"}
    plus = settings_of(
        connection(host="https://d", password=TOKEN, extra={"token_header": "Dagster-Cloud-Api-Token", "verify": "no"})
    )
    assert (plus.headers, plus.verify) == ({"Dagster-Cloud-Api-Token": TOKEN}, False)
    assert TOKEN not in repr(bearer) + repr(plus)


@pytest.mark.parametrize("host", ["", "ftp://d", "https://ann:pw@d", "https://"])
def test_connection_that_cannot_be_used_is_refused_without_its_secret(host: str) -> None:
    with pytest.raises(Refusal) as refused:
        settings_of(connection(host=host, password=TOKEN))
    assert TOKEN not in str(refused.value)
    assert "pw" not in str(refused.value)


def test_button_says_what_it_found(dagster: StandIn) -> None:
    assert KumoDagsterHook().test_connection() == (True, f"Dagster 1.13.27 at {dagster.url}; daily jobs: q_daily")
    dagster.strike["any"] = [401]
    good, words = KumoDagsterHook().test_connection()
    assert (good, "token" in words, TOKEN in words) == (False, True, False)
    dagster.close()
    good, words = KumoDagsterHook().test_connection()
    assert (good, "ConnectError" in words) == (False, True)


def test_airflow_knows_the_provider_its_connection_type_and_link() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert manager.hooks["kumo_dagster"].hook_name == "Dagster (kumo_assets)"  # type: ignore[union-attr]
    assert "kumo_airflow.links.DagsterRunLink" in manager.extra_links_class_names
    assert get_provider_info()["connection-types"][0]["connection-type"] == KumoDagsterHook.conn_type
    assert DagsterRunLink().xcom_key == "dagster_run_url"


def test_example_dags_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = tmp_path / "queries.json"
    queries.write_text(json.dumps([QUERY, {**QUERY, "name": "r", "error": "defs.yaml: top_k"}]))
    monkeypatch.setenv("KUMO_AIRFLOW_QUERIES", str(queries))
    found = {}
    for path in sorted(DAGS.glob("*.py")):
        names: dict[str, Any] = {}
        exec(compile(path.read_text(), path, "exec"), names)
        found |= {value.dag_id: value for value in names.values() if isinstance(value, DAG)}
    assert sorted(found) == ["kumo_q", "next_best_product", "next_best_product_rollback", "next_best_product_steps"]
    order = [task.task_id for task in found["next_best_product_steps"].topological_sort()]
    steps = ["ingest_check", "batch_prediction", "drift_check", "post_processing", "export", "import"]
    assert order == ["start", *steps, "swap"]
    for name in ("kumo_q", "next_best_product", "next_best_product_steps"):  # a field for the day, that may stay empty
        assert found[name].params.dump() == {"partition": None}
        found[name].params["partition"] = "2017-11-28"
        with pytest.raises(Exception, match="2017-11-31"):
            found[name].params["partition"] = "2017-11-31"


def test_dag_of_a_query_has_its_clock_only_where_airflow_owns_it() -> None:
    owned = daily_dag(QUERY)
    assert [task.task_id for task in owned.topological_sort()] == ["build", "live"]
    assert str(owned.timezone) == "America/New_York"
    cron = owned.timetable
    assert (getattr(cron, "expression", None) or cron._expression) == "30 2 * * *"
    assert {task.owner for task in owned.tasks} == {"team:growth, ann@example.com"}
    patient = daily_dag(QUERY, default_args={"retries": 5})
    assert {(task.owner, task.retries) for task in patient.tasks} == {("team:growth, ann@example.com", 5)}
    stopped = daily_dag({**QUERY, "schedule_owner": "dagster"})
    assert type(stopped.timetable).__name__ == "NullTimetable"


def test_end_is_the_clocks_and_a_dag_for_runs_by_hand_has_none() -> None:
    ending = {**QUERY, "end": "2017-12-31"}
    assert daily_dag(ending).end_date == datetime.fromisoformat("2018-01-01T23:59:59-05:00")
    by_hand = daily_dag({**ending, "schedule_owner": "dagster"})
    assert [by_hand.end_date, *(task.end_date for task in by_hand.tasks)] == [None, None, None]


def test_broken_query_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="top_k") as refused:
        daily_dags([QUERY, {**QUERY, "name": "r", "error": "defs.yaml: top_k"}])
    assert list(refused.value.dags) == ["kumo_q"]  # type: ignore[attr-defined]
    (tmp_path / "no.json").write_text("{")
    for path in (tmp_path / "no.json", tmp_path / "missing.json"):
        with pytest.raises(Refusal, match="kumo-assets queries --json"):
            read_queries(path)


def test_function_for_a_task_builds_and_is_told_of_a_kill(dagster: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    context = Context(KumoDailyOperator(task_id="build", query="q", retries=2))
    monkeypatch.setattr(tasks, "get_current_context", lambda: context)
    dagster.script = ["STARTED", "SUCCESS"]
    assert tasks.build_release("q", poll_seconds=0.01) == context.told["release_id"]
    dagster.runs.clear()
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        when(lambda: dagster.runs, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Exception, match="the task was killed"):
            tasks.build_release("q", poll_seconds=0.01)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert dagster.statuses() == ["CANCELED"]
