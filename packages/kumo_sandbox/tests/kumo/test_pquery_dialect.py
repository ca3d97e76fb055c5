"""The predictive-query dialect of 2023, over real HTTP."""

from __future__ import annotations

import time

OUTPUT = {
    "artifact_type": "PREDICTIONS",
    "connector_id": "sandbox_snowflake",
    "storage_type": "SNOWFLAKE",
    "extra_fields": ["JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"],
}
PATH = "/predictive_queries/next_best_product/prediction_jobs"


def wait(client, job_id: str) -> tuple[dict, set[str]]:
    seen = set()
    while True:
        job = client.get(f"/prediction_jobs/{job_id}").json()
        seen.add(job["job_status_report"]["status"])
        if job["job_status_report"]["status"] in ("DONE", "FAILED", "CANCELLED"):
            return job, seen
        time.sleep(0.02)


def test_a_launch_by_query_id_writes_its_table(emulator, warehouse, table) -> None:
    client = emulator.client("/v1")
    body = {"predict_options": {"num_classes_to_return": 5}, "outputs": [{**OUTPUT, "table_name": table}]}
    launched = client.post(PATH, json=body).json()
    assert launched["outputs"][0]["table_name"] == table
    job, seen = wait(client, launched["job_id"])
    # This dialect knows neither NOT_STARTED nor QUEUED, and no validation.
    assert seen <= {"RUNNING", "DONE"}
    assert set(job) == {
        "job_id",
        "predictive_query_id",
        "outputs",
        "predict_options",
        "job_status_report",
        "result",
    }
    assert "validation_response" not in job["job_status_report"]
    assert job["result"] == {"num_entities_predicted": 40}
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table}") == [(200,)]
    by_id = f"/predictive_queries/{job['predictive_query_id']}/prediction_jobs"
    assert [j["job_id"] for j in client.get(by_id, params={"job_status": "DONE"}).json()] == [job["job_id"]]
    assert client.get(by_id, params={"job_status": "RUNNING"}).json() == []


def test_a_job_is_cancelled_and_deleted(emulator, table) -> None:
    emulator.settings(pace=0.3)
    client = emulator.client("/v1")
    job_id = client.post(PATH, json={"outputs": [{**OUTPUT, "table_name": table}]}).json()["job_id"]
    assert client.delete(f"/prediction_jobs/{job_id}").status_code == 409
    client.post(f"/prediction_jobs/{job_id}/cancel")
    assert wait(client, job_id)[0]["job_status_report"]["status"] == "CANCELLED"
    assert client.delete(f"/prediction_jobs/{job_id}").is_success
    assert client.get(f"/prediction_jobs/{job_id}").status_code == 404


def test_refusals_are_told(emulator, table) -> None:
    client = emulator.client("/v1")
    assert client.post("/predictive_queries/nobody/prediction_jobs", json={}).status_code == 404
    nowhere = {**OUTPUT, "table_name": table, "connector_id": "nowhere"}
    answer = client.post(PATH, json={"outputs": [nowhere]})
    assert answer.status_code == 400
    assert "nowhere" in answer.json()["detail"]
    emulator.fault("refused")
    assert client.post(PATH, json={"outputs": [{**OUTPUT, "table_name": table}]}).status_code == 400
    assert emulator.client("/v1", **{"X-API-Key": "no:no"}).get(PATH).status_code == 401
