"""Snapshots, training jobs, connectors, authentication and RBAC of the SDK dialect."""

from __future__ import annotations

import time

import httpx
import pytest

OTHER_TASKS = [
    ("spend_next_28_days", {}, ["ENTITY", "TARGET_PRED"]),
    ("churn", {"binary_classification_threshold": 0.5}, ["ENTITY", "TARGET_PRED", "False_PROB", "True_PROB"]),
    ("next_store", {"num_classes_to_return": 2}, ["ENTITY", "PREDICTED", "CLASS", "SCORE"]),
]


def refreshed(emulator, graph: str = "grocery", seconds: float = 20) -> str:
    client = emulator.client()
    answer = client.post("/graphsnapshots", params={"graph_id": graph, "refresh_source": True}).json()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stages = client.get(f"/graphsnapshots/{answer['id']}").json()["stages"]
        if stages["MATERIALIZE"]["status"] in ("DONE", "FAILED"):
            return str(answer["id"])
        time.sleep(0.03)
    raise AssertionError(stages)


@pytest.mark.parametrize(("query", "options", "columns"), OTHER_TASKS)
def test_other_tasks_write_the_vendors_columns(emulator, warehouse, table, query, options, columns) -> None:
    emulator.wait(emulator.launch(table, query, predict_options=options))
    found = warehouse.columns(table)
    stamps = [name for name in found if name.endswith("_TIMESTAMP")]
    assert found == [columns[0], *stamps, *columns[1:]]
    assert warehouse.rows(f"SELECT COUNT(DISTINCT ENTITY) FROM {table}") == [(40,)]


def test_regression_predicts_spending_and_churn_knows_who_left(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table, "spend_next_28_days"))
    emulator.wait(emulator.launch(f"{table}_C", "churn", predict_options={"binary_classification_threshold": 0.5}))
    [(stayed, left)] = warehouse.rows(
        f"SELECT AVG(IFF(MOD(ENTITY, 4) <> 0, TARGET_PRED, NULL)), AVG(IFF(MOD(ENTITY, 4) = 0, TARGET_PRED, NULL)) FROM {table}"
    )
    assert stayed > 3 * left
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table}_C WHERE TARGET_PRED <> (MOD(ENTITY, 4) = 0)") == [(0,)]
    sums = f'SELECT COUNT(*) FROM {table}_C WHERE ABS("True_PROB" + "False_PROB" - 1) > 1e-9'
    assert warehouse.rows(sums) == [(0,)]


def test_the_older_binary_form_can_be_had(emulator, warehouse, table) -> None:
    emulator.query("old_churn", task="binary_classification", binary_form="score")
    emulator.wait(emulator.launch(table, "old_churn", predict_options={"binary_classification_threshold": 0.5}))
    assert warehouse.columns(table) == ["ENTITY", "ANCHOR_TIMESTAMP", "JOB_TIMESTAMP", "SCORE"]


def test_multiclass_marks_one_class_per_entity(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table, "next_store", predict_options={"num_classes_to_return": 3}))
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table} WHERE PREDICTED") == [(40,)]


def test_a_snapshot_pins_the_logs_it_holds(emulator, warehouse, table) -> None:
    emulator.query("pinned", task="temporal_link_prediction", item="PRODUCT_ID", table="RAW.PINNED", graph="pinned")
    warehouse.rows("CREATE OR REPLACE TABLE RAW.PINNED AS SELECT * FROM RAW.TRANSACTIONS")
    old = refreshed(emulator, "pinned")
    warehouse.rows("INSERT INTO RAW.PINNED SELECT HOUSEHOLD_ID, 1, 1, 777, 1, 1, '2017-12-20' FROM RAW.TRANSACTIONS")
    late = "2018-01-01T00:00:00Z"
    every = {"num_classes_to_return": 40}
    emulator.wait(emulator.launch(table, "pinned", prediction_time=late, predict_options=every, graph_snapshot_id=old))
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table} WHERE CLASS = 777") == [(0,)]
    new = refreshed(emulator, "pinned")
    assert new != old
    emulator.wait(emulator.launch(table, "pinned", prediction_time=late, predict_options=every, graph_snapshot_id=new))
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table} WHERE CLASS = 777") == [(40,)]


def test_a_snapshot_says_what_it_ingested(emulator) -> None:
    client = emulator.client()
    key = refreshed(emulator)
    snapshot = client.get(f"/graphsnapshots/{key}").json()
    assert snapshot["graph_name"] == "grocery"
    assert key.startswith("graph-")
    [table_id] = snapshot["table_ids"].values()
    stats = {c["column_name"]: c["stats"] for c in client.get(f"/tablesnapshots/{table_id}").json()["column_stats"]}
    assert stats["HOUSEHOLD_ID"] == {"min": 1, "max": 40, "na_fraction": 0.0}
    assert client.get(f"/graphsnapshots/edge_health/{key}").json()["is_ready"] is True
    assert client.post("/graphsnapshots", params={"graph_id": "nowhere"}).status_code == 404
    again = client.post("/graphsnapshots", params={"graph_id": "grocery", "refresh_source": False}).json()["id"]
    assert again == key


def test_a_job_whose_snapshot_fails_fails_too(emulator, table) -> None:
    emulator.fault("snapshot_failed")
    key = refreshed(emulator)
    job = emulator.wait(emulator.launch(table, graph_snapshot_id=key))
    assert job["job_status_report"]["status"] == "FAILED"
    assert "Ingestion failed" in job["job_status_report"]["validation_response"]["errors"][0]["message"]


def test_a_missing_source_table_is_named(emulator, table) -> None:
    emulator.query("gone", task="temporal_link_prediction", item="X", table="RAW.NOT_THERE")
    job = emulator.wait(emulator.launch(table, "gone"))
    assert job["job_status_report"]["status"] == "FAILED"
    assert "NOT_THERE" in job["job_status_report"]["validation_response"]["errors"][0]["message"]


def test_training_measures_the_hold_out(emulator) -> None:
    client = emulator.client()
    job_id = client.post("/training_jobs", json={"job_tags": {"by": "test"}, "pquery_id": "next_best_product"}).json()[
        "id"
    ]
    job = emulator.wait(job_id, "training_jobs")
    metrics = {m["name"]: m["value"] for m in job["result"]["eval_metrics"]["test_metrics"]}
    assert set(metrics) == {"precision@5", "recall@5", "ndcg@5", "precision@10", "recall@10", "ndcg@10"}
    # Favourites are bought weekly: three of the first five are nearly always right.
    assert 0.5 < metrics["precision@5"] <= 1
    assert metrics["ndcg@5"] > metrics["precision@5"]
    assert client.get(f"/training_jobs/{job_id}/progress").json()["completed_trials"] == 1
    assert client.get(f"/training_jobs/{job_id}/encoders").json() is None
    listed = client.get("/training_jobs", params={"pquery_id": job["config"]["pquery_id"], "job_status": "DONE"}).json()
    newest, seeded = listed
    assert newest["job_id"] == job_id
    assert seeded["created_at"] < newest["created_at"]


def test_every_query_has_a_model_from_the_start(emulator) -> None:
    client = emulator.client()
    for query in ("next_best_product", "spend_next_28_days", "churn", "next_store"):
        [model] = client.get("/training_jobs", params={"pquery_id": query, "job_status": "DONE"}).json()
        assert model["result"]["eval_metrics"]["test_metrics"], query
    assert client.get("/training_jobs", params={"pquery_id": "nobody"}).json() == []


def test_metrics_can_be_made_worse_on_demand(emulator) -> None:
    emulator.fault("training_metrics", with_={"metrics": {"auroc": 0.5}})
    client = emulator.client()
    job = emulator.wait(
        client.post("/training_jobs", json={"job_tags": {}, "pquery_id": "churn"}).json()["id"], "training_jobs"
    )
    assert {"name": "auroc", "value": 0.5} in job["result"]["eval_metrics"]["test_metrics"]


def test_connectors_are_made_read_and_deleted(emulator) -> None:
    client = emulator.client()
    [seeded] = client.get("/connectors", params={"data_source_type": "SNOWFLAKE"}).json()
    assert seeded["config"]["database"] == "KUMO"
    config = {**seeded["config"], "name": "other"}
    assert client.post("/connectors", json={"config": config, "credentials": None}).is_success
    assert client.get("/connectors/other").json()["config"] == config
    assert client.delete("/connectors/other").is_success
    assert client.get("/connectors/other").status_code == 404


def test_both_forms_of_credentials_are_taken_and_wrong_ones_not(emulator) -> None:
    assert emulator.client().get("/connectors").is_success
    token = {"Authorization": 'Snowflake Token="sandbox-token"'}
    assert emulator.client(**token).get("/connectors").is_success
    for headers in (
        {"X-API-Key": "demo:wrong"},
        {"Authorization": 'Snowflake Token="x"'},
        {"Authorization": "Snowflake Token=sandbox-token"},
        {"Accept": "*/*"},
    ):
        answer = emulator.client(**headers).get("/prediction_jobs")
        assert answer.status_code == 401
        assert "secret" not in answer.text
    emulator.settings(denied_status=403)
    assert emulator.client(**{"X-API-Key": "no:no"}).get("/prediction_jobs").status_code == 403


def test_within_snowflakes_network_nobody_asks_for_credentials(emulator) -> None:
    assert emulator.client("/public_api/v1", Accept="*/*").get("/connectors").is_success


def test_the_ingress_takes_a_token_that_snowflake_issued_until_it_expires(emulator, warehouse) -> None:
    with warehouse.connect() as connection:
        token = connection.rest._token_request("ISSUE")["data"]["sessionToken"]
        client = emulator.client(Authorization=f'Snowflake Token="{token}"')
        assert client.get("/connectors").is_success
        emulator.settings(token_seconds=0)
        assert client.get("/connectors").status_code == 401


def test_rbac_wants_a_group_or_project_on_every_request(emulator) -> None:
    assert httpx.get(f"{emulator.url}/api/config", headers={"X-API-Key": "demo:secret"}).json() == {"rbac": False}
    emulator.settings(rbac=True)
    client = emulator.client()
    assert client.get("/connectors").is_success
    assert client.get("/prediction_jobs").status_code == 403
    assert client.get("/prediction_jobs", params={"group_id": "group-1"}).is_success
    assert client.get("/prediction_jobs", params={"project_id": "project-1"}).is_success
    assert client.get("/prediction_jobs", params={"group_id": "other"}).status_code == 403
