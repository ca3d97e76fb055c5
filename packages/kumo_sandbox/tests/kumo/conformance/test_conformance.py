"""The vendor's unmodified SDK cannot tell the emulator from Kumo: its newest 2.x, one a year older, and the beta of 3.0.

And the other way round: every reply of the emulator, and every request of our own client, is one that `kumo-api` knows.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.resources.kumo import query_code
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.model import Launch, PollPolicy
from kumo_assets.resources.kumo.transport import Auth, Transport

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
# Under importlib's import mode a test's neighbours are not on the path.
_spec = importlib.util.spec_from_file_location("conformance_environments", HERE / "environments.py")
assert _spec is not None
assert _spec.loader is not None
environments = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(environments)


def python_of(name: str) -> Path:
    """The environment's interpreter; without it a skip that says why."""
    try:
        return Path(environments.python_of(name))
    except environments.EnvironmentMissing as missing:
        pytest.skip(f"no conformance environment: {missing}")


def run(python: Path, script: str, *arguments: str, stdin: str | None = None) -> Any:
    done = subprocess.run(
        [str(python), str(HERE / script), *arguments], input=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    return json.loads(line.removeprefix("REPORT "))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("release", ["current", "year_earlier"])
def test_the_vendors_sdk_runs_against_the_emulator(emulator, warehouse, table, release) -> None:
    python = python_of(release)
    source_views(warehouse, table)
    report = run(python, "drive_sdk.py", f"{emulator.url}/api", "demo:secret", table)
    assert report.pop("version").removeprefix("v") == environments.RELEASES[release].split()[1]
    assert report.pop("tracking_url").startswith(f"{emulator.url}/ui/jobs/bp-job-")
    assert report.pop("frame")[:3] == ["ENTITY", "CLASS", "SCORE"]
    assert report.pop("statuses")[-1] == "DONE"
    assert 0.5 < report.pop("trained_metrics")["precision@5"] <= 1
    assert len(report.pop("models")) == 1
    assert report == {
        "metrics": ["precision@5", "recall@5", "ndcg@5", "precision@10", "recall@10", "ndcg@10"],
        "snapshot_type": True,
        "stages": {"INGEST": "DONE", "MATERIALIZE": "DONE"},
        "launch_ok": True,
        "progress": [4, 4],
        "elapsed_is_time": True,
        "future_status": "DONE",
        "entities": 40,
        "by_tag": True,
        "by_model": True,
        "tags_updated": True,
        "tags_deleted": True,
        "tags": {"release": "r2"},
        "cancelled": True,
        "after_cancel": "CANCELLED",
        "export": "DONE",
        "training": "DONE",
        "training_progress": 1,
        "encoders": None,
        "connector": "PUBLIC",
        "no_connector": None,
        "unknown_job": 404,
        "refused": True,
        "defined": {
            "has_table": True,
            "listed": True,
            "links": [["events", "PRODUCT_ID", "products"]],
            "graph": [True, True, ["events", "products"]],
            "task": "temporal_link_prediction",
            "query": [True, True],
            "by_name": [table.lower(), True],
            "nonsense": True,
        }
        | ({"fitted": "DONE"} if release == "current" else {}),
    }
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table}_EXPORT") == [(200,)]
    # The launch, the cancelled one; no more.
    assert len(emulator.jobs()) == 2


@pytest.mark.timeout(600)
def test_the_vendors_beta_of_3_0_runs_against_the_emulators_3_0_dialect(emulator, warehouse, table) -> None:
    source_views(warehouse, table)
    report = run(
        python_of("v3"), "drive_v3.py", f"{emulator.url}/v3/api", "demo:secret", table, str(query_code.PROGRAM)
    )
    assert report.pop("version").removeprefix("v") == environments.RELEASES["v3"].split()[1]
    assert report == {
        "project": "default",
        "connector": ["sandbox_snowflake", "PUBLIC", True],
        "by_id": True,
        "no_connector": None,
        "models": [["default", 6]],
        "launched": True,
        "status": "DONE",
        "job": ["default", 40, "2017-11-01 00:00:00"],
        "progress": 4,
        "by_tag": True,
        "tags": [True, "r2"],
        "too_many_classes": False,
        "connector_by_name": False,
        "cancelled": True,
        "after_cancel": "CANCELLED",
        "training": "DONE",
        "projects": [True, True, True],
        "elsewhere": [[], []],
        "training_py": ["SnowflakeConnector", "no Kumo connector is named 'nowhere'; there are theirs"],
        "other_project": 404,
        "defined": {
            "has_table": True,
            "listed": True,
            "links": [["events", "PRODUCT_ID", "products"]],
            "graph": [True, True, ["events", "products"]],
            "task": "temporal_link_prediction",
            "query": [True, True],
            "by_name": [table.lower(), True],
            "nonsense": True,
            "fitted": "DONE",
        },
    }
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table}") == [(200,)]
    assert len(emulator.jobs()) == 2


CONNECTORS: dict[str, dict[str, Any]] = {
    "SnowflakeConnector": {"type": "snowflake", "account": "a", "warehouse": "w", "database": "d", "schema_name": "s"},
    "BigQueryConnector": {"type": "bigquery", "project_id": "p", "dataset_id": "d"},
    "DatabricksConnector": {"type": "databricks", "host": "h", "cluster_id": "c", "warehouse_id": "w", "catalog": "c"},
    "S3Connector": {"type": "file", "root_dir": "s3://bucket/logs/"},
    "GCSConnector": {"type": "file", "root_dir": "gs://bucket/logs/"},
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rbac", [False, True])
def test_a_training_py_gets_a_connector_of_any_kind_by_its_name(emulator, rbac) -> None:
    python = python_of("current")
    for kind, config in CONNECTORS.items():
        made = emulator.client().post("/connectors", json={"config": config | {"name": f"my_{kind}"}})
        assert made.is_success, made.text
    emulator.settings(rbac=rbac)
    group = "group-1" if rbac else ""
    program = Path(query_code.__file__).with_name("sdk_program.py")
    names = [f"my_{kind}" for kind in CONNECTORS]
    found = run(python, "drive_sources.py", f"{emulator.url}/api", "demo:secret", str(program), group, *names)
    assert "no Kumo connector is named 'nowhere'" in found.pop("nowhere")
    assert found == {f"my_{kind}": kind for kind in CONNECTORS}


def source_views(warehouse: Any, table: str) -> None:
    """What a customer's own tables are: where the connector looks."""
    warehouse.rows(
        f"CREATE VIEW {table}_EVENTS AS SELECT HOUSEHOLD_ID, PRODUCT_ID, SALES_VALUE, TRANSACTION_TIMESTAMP AS AT "
        "FROM RAW.TRANSACTIONS"
    )
    warehouse.rows(f"CREATE VIEW {table}_PRODUCTS AS SELECT DISTINCT PRODUCT_ID FROM RAW.TRANSACTIONS")


def definition_replies(emulator: Any, table: str) -> list[dict[str, Any]]:
    """One of each kind of reply about definitions, from the bodies the vendor's SDK sends."""
    client = emulator.client()
    found: list[dict[str, Any]] = []

    def ask(model: str, path: str, body: Any = None, method: str = "POST", **params: Any) -> Any:
        answer = client.request(method, path, json=body, params=params)
        assert answer.is_success, answer.text
        found.append({"model": model, "where": f"{method} {path}", "body": answer.json(), "exact": True})
        return answer.json()

    connector = {"connector_id": "sandbox_snowflake", "source_type": "SNOWFLAKE"}
    ask("source_tables", "/source_tables/list_tables", connector)
    ask("source_table_valid", "/source_tables/validate_table", connector | {"table_name": "NOPE"})
    config = ask(
        "source_table_config", "/source_tables/get_table_config", connector | {"table_name": f"{table}_EVENTS"}
    )
    wanted = {"connector_id": "sandbox_snowflake", "table_names": [f"{table}_EVENTS"]}
    [data] = ask(
        "source_table_data", "/source_tables/get_table_data", {"source_table_request": wanted, "sample_rows": 0}
    )
    definition = ask(
        "table_metadata",
        "/tables/infer_metadata",
        {
            "cols": [{"name": column["name"]} for column in data["cols"]],
            "source_table": config["source_table"],
            "pkey": None,
            "time_col": "AT",
        },
    )
    key = client.post("/tables", json=definition).json()["id"]
    ask("table", f"/tables/{key}", method="GET")
    graph = {"tables": {"events": definition}, "col_groups": []}
    ask("validation", "/graphs/validate", {"graph_definition": graph})
    graph_id = client.post("/graphs", json=graph).json()["id"]
    ask("graph", f"/graphs/{graph_id}", method="GET")
    text = "PREDICT SUM(events.SALES_VALUE, 0, 28, days) FOR EACH events.HOUSEHOLD_ID"
    query = {"query_string": text, "graph": graph, "name": None, "desc": ""}
    ask("validation", "/predictive_queries/validate", query)
    ask("validation", "/predictive_queries/validate", query | {"query_string": "PREDICT NONSENSE"})
    query_id = client.post("/predictive_queries", json=query).json()["id"]
    ask("query", f"/predictive_queries/{query_id}", method="GET")
    ask("query", "/predictive_queries/next_best_product", method="GET")
    ask("queries", "/predictive_queries", method="GET")
    ask("task_type", "/predictive_queries/infer_task_type", pquery_string=text, graph_id=graph_id)
    asked = {"query_string": text, "graph_id": graph_id, "run_mode": "FAST"}
    ask("model_plan", "/predictive_queries/model_plan", asked)
    ask("training_table_plan", "/predictive_queries/train_table_generation_plan", asked)
    made = client.post(
        "/gentraintable_jobs", json={"job_tags": {}, "pquery_id": query_id, "plan": {}, "graph_snapshot_id": None}
    ).json()
    ask("training_table_job", f"/gentraintable_jobs/{made['id']}", method="GET")
    return found


def replies(emulator: Any, table: str) -> list[dict[str, Any]]:
    """One of each kind of reply, in each state a job can be in."""
    client = emulator.client()
    found: list[dict[str, Any]] = []

    def keep(model: str, answer: Any) -> Any:
        assert answer.is_success, answer.text
        found.append({"model": model, "where": str(answer.request.url), "body": answer.json(), "exact": True})
        return answer.json()

    keep("connectors", client.get("/connectors"))
    keep("connector", client.get("/connectors/sandbox_snowflake"))
    [model] = keep("training_jobs", client.get("/training_jobs", params={"pquery_id": "next_best_product"}))
    keep("training_job", client.get(f"/training_jobs/{model['job_id']}"))
    keep("training_progress", client.get(f"/training_jobs/{model['job_id']}/progress"))
    snapshot = client.post("/graphsnapshots", params={"graph_id": "grocery", "refresh_source": True}).json()["id"]
    while keep("snapshot", client.get(f"/graphsnapshots/{snapshot}"))["stages"]["MATERIALIZE"]["status"] != "DONE":
        time.sleep(0.05)
    keep("edge_health", client.get(f"/graphsnapshots/edge_health/{snapshot}"))
    keep("table_snapshot", client.get(f"/tablesnapshots/{snapshot}.transactions"))
    emulator.fault("launch_warnings")
    emulator.fault("job_warnings")
    body = emulator.body(
        table, job_tags={"release": "1"}, prediction_time="2017-11-01T00:00:00Z", graph_snapshot_id=snapshot
    )
    job_id, _ = keep("launch_reply", client.post("/prediction_jobs", json=body))
    deadline = time.monotonic() + 30
    while keep("job", client.get(f"/prediction_jobs/{job_id}"))["job_status_report"]["status"] != "DONE":
        keep("progress", client.get(f"/prediction_jobs/{job_id}/progress"))
        assert time.monotonic() < deadline
        time.sleep(0.05)
    keep("progress", client.get(f"/prediction_jobs/{job_id}/progress"))
    keep("urls", client.get(f"/prediction_jobs/{job_id}/get_prediction_df_urls"))
    keep("cancel", client.post(f"/prediction_jobs/{job_id}/cancel"))
    export = keep("export", client.post("/artifact", json={"job_id": job_id, "prediction_output": body["outputs"][0]}))
    keep("export_status", client.get(f"/artifact/{export['job_id']}"))
    emulator.fault("refused")
    keep("launch_reply", client.post("/prediction_jobs", json=body))
    emulator.fault("failed")
    failed = client.post("/prediction_jobs", json=emulator.body(None)).json()[0]
    emulator.wait(failed)
    keep("jobs", client.get("/prediction_jobs"))
    return found


@pytest.mark.timeout(600)
def test_every_reply_of_the_emulator_is_one_of_the_vendors(emulator, warehouse, table) -> None:
    python = python_of("current")
    source_views(warehouse, table)
    documents = replies(emulator, table) + definition_replies(emulator, table)
    assert run(python, "validate.py", stdin=json.dumps(documents)) == []


@pytest.mark.timeout(600)
def test_the_validation_itself_finds_what_is_wrong() -> None:
    documents = [
        {"model": "cancel", "where": "missing", "body": {}},
        {"model": "progress", "where": "extra", "body": {"total_iterations": 1, "ours": 1}, "exact": True},
        {"model": "cancel", "where": "good", "body": {"is_cancelled": True}, "exact": True},
    ]
    failures = run(python_of("current"), "validate.py", stdin=json.dumps(documents))
    assert [failure["where"] for failure in failures] == ["missing", "extra"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("dialect", "base", "release"), [("sdk", "/api", "current"), ("v3", "/v3/api", "v3")])
def test_every_request_of_our_client_is_one_of_the_vendors(emulator, table, dialect, base, release) -> None:
    python = python_of(release)
    for task, query in (
        ("ranking", "next_best_product"),
        ("binary_classification", "churn"),
        ("regression", "spend_next_28_days"),
    ):
        with KumoClient(Transport(f"{emulator.url}{base}", Auth(api_key="demo:secret")), dialect) as client:
            policy = PollPolicy(first_seconds=0.05, max_seconds=0.2, deadline_seconds=60)
            launch = Launch(
                query_id=query,
                training_job_id=client.newest_model(query).job_id,
                connector="sandbox_snowflake",
                table=f"{table}_{query.upper()}",
                num_classes=None if task == "regression" else 12,
                tags={"kumo_assets.release": "20171101-0123abcd", "kumo_assets.query": query},
                prediction_time=datetime(2017, 11, 1, tzinfo=UTC),
                task=task,
                binary_threshold=0.5 if task == "binary_classification" else None,
                num_workers=1,
                graph_snapshot_id=client.refresh_snapshot("grocery", policy),
            )
            client.wait(client.launch(launch), policy)
    with KumoClient(Transport(f"{emulator.url}{base}", Auth(api_key="demo:secret")), dialect) as client:
        snapshot = client.refresh_snapshot("grocery", policy)
        client.wait_training(client.launch_training("churn", {"kumo_assets.training": "1"}, snapshot)[0], policy)
        plan = {"training_job": {"num_experiments": 1, "metrics": ["auroc"], "tune_metric": "auroc"}}
        client.launch_training("churn", {"kumo_assets.training": "2"}, snapshot, plan)
    documents = []
    for operation, model, count in (("launch", "launch_request", 3), ("training_launch", "training_request", 2)):
        sent = emulator.control.get("/requests", params={"operation": operation}).json()
        assert len(sent) == count
        assert [request["unknown_fields"] for request in sent] == [[]] * count
        documents += [{"model": model, "where": r["path"], "body": r["body"], "exact": True} for r in sent]
    assert run(python, "validate.py", stdin=json.dumps(documents)) == []


@pytest.mark.timeout(600)
def test_a_training_py_needs_the_sdk_of_its_dialect(tmp_path) -> None:
    file = tmp_path / "training.py"
    file.write_text("def predictive_query(sources): ...\n")
    environ = {
        "KUMO_API_URL": "http://127.0.0.1:9/api",
        "KUMO_API_KEY": "demo:secret",
        "KUMO_API_DIALECT": "v3",
        "KUMO_SDK_PYTHON": str(python_of("current")),
    }
    with pytest.raises(KumoRefused, match="KUMO_API_DIALECT=v3 goes with kumoai 3"):
        query_code.run_code("describe", file, "q", environ=environ)
