"""The SDK dialect's prediction jobs over real HTTP, from launch to the table in the warehouse."""

from __future__ import annotations

import io
import time
from datetime import datetime

import httpx
import pandas as pd

ANCHOR = "2017-11-01T00:00:00Z"


def test_a_job_goes_through_its_stages_and_writes_its_table(emulator, warehouse, table) -> None:
    emulator.settings(pace=0.5)  # long enough that a loaded machine sees each stage
    job_id = emulator.launch(table, prediction_time=ANCHOR, job_tags={"release": "r1"})
    client = emulator.client()
    seen = []
    job = emulator.until(
        job_id,
        lambda j: seen.append(j["job_status_report"]["status"]) or seen[-1] == "DONE",
    )
    assert list(dict.fromkeys(seen)) == ["NOT_STARTED", "QUEUED", "RUNNING", "DONE"]
    assert job["result"] == {"num_entities_predicted": 40}
    assert job["tags"]["release"] == "r1"
    assert job["tags"]["pquery_id"].startswith("pquery-")
    assert warehouse.columns(table) == ["ENTITY", "CLASS", "SCORE", "ANCHOR_TIMESTAMP", "JOB_TIMESTAMP"]
    [(rows, entities, pairs, anchor)] = warehouse.rows(
        f"SELECT COUNT(*), COUNT(DISTINCT ENTITY), COUNT(DISTINCT ENTITY || '/' || CLASS), MAX(ANCHOR_TIMESTAMP) FROM {table}"
    )
    assert (rows, entities, pairs) == (200, 40, 200)
    assert anchor == datetime(2017, 11, 1)
    progress = client.get(f"/prediction_jobs/{job_id}/progress").json()
    assert progress["completed_iterations"] == progress["total_iterations"] == 4


def test_entity_and_class_keep_the_types_of_their_source(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table, prediction_time=ANCHOR))
    types = dict(
        warehouse.rows(f"SELECT COLUMN_NAME, DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = '{table}'")
    )
    assert types == {
        "ENTITY": "NUMBER",
        "CLASS": "NUMBER",
        "SCORE": "FLOAT",
        "JOB_TIMESTAMP": "TIMESTAMP_NTZ",
        "ANCHOR_TIMESTAMP": "TIMESTAMP_NTZ",
    }


def test_logs_from_the_anchor_on_are_never_read(emulator, warehouse, table) -> None:
    day = "2018-02-01"
    emulator.query(
        "later",
        task="temporal_link_prediction",
        item="PRODUCT_ID",
        table="RAW.LATER",
        basket="BASKET_ID",
        graph="later",
    )
    warehouse.rows("CREATE OR REPLACE TABLE RAW.LATER AS SELECT * FROM RAW.TRANSACTIONS")
    warehouse.rows(f"INSERT INTO RAW.LATER SELECT HOUSEHOLD_ID, 1, 1, 999, 1, 1, '{day}' FROM RAW.TRANSACTIONS")
    every = {"num_classes_to_return": 40}
    emulator.wait(emulator.launch(table, "later", prediction_time=f"{day}T00:00:00Z", predict_options=every))
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table} WHERE CLASS = 999") == [(0,)]
    # The same question one second later may know them: the cut-off, and not something else, kept them out.
    emulator.wait(emulator.launch(table, "later", prediction_time=f"{day}T00:00:01Z", predict_options=every))
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table} WHERE CLASS = 999") == [(40,)]


def test_without_a_prediction_time_the_anchor_is_the_newest_event(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table))
    [(anchor,)] = warehouse.rows(f"SELECT MAX(ANCHOR_TIMESTAMP) FROM {table}")
    assert [(anchor,)] == warehouse.rows("SELECT MAX(TRANSACTION_TIMESTAMP) FROM RAW.TRANSACTIONS")


def test_an_offset_in_the_prediction_time_is_honoured(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table, prediction_time="2017-11-01T00:00:00+02:00"))
    assert warehouse.rows(f"SELECT MAX(ANCHOR_TIMESTAMP) FROM {table}") == [(datetime(2017, 10, 31, 22),)]


def test_favourites_come_first(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table, prediction_time=ANCHOR))
    rows = warehouse.rows(f"SELECT CLASS FROM {table} WHERE ENTITY = 5 ORDER BY SCORE DESC LIMIT 3")
    assert {row[0] for row in rows} == {105, 110, 115}


def test_overwrite_replaces_and_append_adds(emulator, warehouse, table) -> None:
    emulator.wait(emulator.launch(table, prediction_time=ANCHOR))
    emulator.wait(emulator.launch(table, prediction_time=ANCHOR, predict_options={"num_classes_to_return": 2}))
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table}") == [(80,)]
    body = emulator.body(table, prediction_time=ANCHOR)
    body["outputs"][0]["write_mode"] = "APPEND"
    emulator.wait(emulator.client().post("/prediction_jobs", json=body).json()[0])
    assert warehouse.rows(f"SELECT COUNT(*), COUNT(DISTINCT JOB_TIMESTAMP) FROM {table}") == [(280, 2)]


def test_extra_fields_only_when_asked(emulator, warehouse, table) -> None:
    body = emulator.body(table, prediction_time=ANCHOR)
    body["outputs"][0]["extra_fields"] = []
    emulator.wait(emulator.client().post("/prediction_jobs", json=body).json()[0])
    assert warehouse.columns(table) == ["ENTITY", "CLASS", "SCORE"]


def test_jobs_are_listed_by_every_tag_together(emulator) -> None:
    emulator.settings(pace=30)
    first = emulator.launch(None, job_tags={"query": "a", "release": "1"})
    second = emulator.launch(None, job_tags={"query": "a", "release": "2"})
    client = emulator.client()

    def ids(**params: str) -> list[str]:
        return [job["job_id"] for job in client.get("/prediction_jobs", params=params).json()]

    assert ids(query="a") == [second, first]
    assert ids(query="a", release="1") == [first]
    assert ids(query="b", release="1") == []
    assert ids(query="a", limit="1") == [second]
    assert ids(job_status="DONE") == []
    assert ids(pquery_id="next_best_product", job_status="NOT_STARTED") == [second, first]
    assert ids(pquery_name="churn") == []
    assert ids(model_id=client.get(f"/prediction_jobs/{first}").json()["config"]["model_training_job_id"]) == [
        second,
        first,
    ]
    assert client.get("/prediction_jobs", params={"limit": "many"}).status_code == 422


def test_tags_are_changed_and_removed(emulator) -> None:
    emulator.settings(pace=30)
    job_id = emulator.launch(None, job_tags={"a": "1", "b": "2"})
    client = emulator.client()
    assert client.patch(f"/prediction_jobs/{job_id}/tags", params={"a": "3", "b": "none"}).json() == {
        "resource_updated": True
    }
    tags = client.get(f"/prediction_jobs/{job_id}").json()["tags"]
    assert tags["a"] == "3"
    assert "b" not in tags
    assert client.patch(f"/prediction_jobs/{job_id}/tags", params={"a": "3"}).json() == {"resource_updated": False}


def test_a_cancelled_job_leaves_no_table(emulator, warehouse, table) -> None:
    emulator.settings(pace=0.3)
    job_id = emulator.launch(table, prediction_time=ANCHOR)
    client = emulator.client()
    assert client.post(f"/prediction_jobs/{job_id}/cancel").json() == {"is_cancelled": True}
    assert emulator.wait(job_id)["job_status_report"]["status"] == "CANCELLED"
    assert client.post(f"/prediction_jobs/{job_id}/cancel").json() == {"is_cancelled": False}
    assert not warehouse.exists(table)


def test_a_job_cancelled_while_it_computes_leaves_no_table_either(emulator, warehouse, table) -> None:
    emulator.fault("slow_write", with_={"seconds": 1.5})
    job_id = emulator.launch(table, prediction_time=ANCHOR)
    emulator.until(job_id, lambda j: j["job_status_report"]["status"] == "RUNNING")
    time.sleep(0.3)
    assert emulator.client().post(f"/prediction_jobs/{job_id}/cancel").json() == {"is_cancelled": True}
    assert emulator.wait(job_id)["job_status_report"]["status"] == "CANCELLED"
    assert not warehouse.exists(table)


def test_no_more_jobs_run_at_once_than_allowed(emulator) -> None:
    emulator.settings(concurrency=1)
    emulator.fault("long_run", with_={"seconds": 20})
    running = emulator.launch(None, prediction_time=ANCHOR)
    emulator.until(running, lambda j: j["job_status_report"]["status"] == "RUNNING")
    waiting = emulator.launch(None, prediction_time=ANCHOR)
    emulator.until(waiting, lambda j: j["job_status_report"]["status"] == "QUEUED")
    time.sleep(0.4)
    assert emulator.client().get(f"/prediction_jobs/{waiting}").json()["job_status_report"]["status"] == "QUEUED"
    emulator.client().post(f"/prediction_jobs/{running}/cancel")
    assert emulator.wait(waiting)["job_status_report"]["status"] == "DONE"


def test_predictions_are_also_to_be_had_as_parquet(emulator, warehouse, table) -> None:
    job_id = emulator.launch(table, prediction_time=ANCHOR)
    emulator.wait(job_id)
    [url] = emulator.client().get(f"/prediction_jobs/{job_id}/get_prediction_df_urls").json()["prediction_partitions"]
    frame = pd.read_parquet(io.BytesIO(httpx.get(url, timeout=30).content))
    found = {(int(e), int(c), float(s)) for e, c, s in frame[["ENTITY", "CLASS", "SCORE"]].itertuples(index=False)}
    assert found == set(warehouse.rows(f"SELECT ENTITY, CLASS, SCORE FROM {table}"))
    assert httpx.get(url.replace("signature=", "signature=0")).status_code == 403


def test_a_finished_job_is_exported_to_another_table(emulator, warehouse, table) -> None:
    job_id = emulator.launch(table)
    emulator.wait(job_id)
    output = {**emulator.body(f"{table}_AGAIN")["outputs"][0]}
    client = emulator.client()
    export = client.post("/artifact", json={"job_id": job_id, "prediction_output": output}).json()["job_id"]
    while (status := client.get(f"/artifact/{export}").json()) not in ("DONE", "FAILED"):
        assert isinstance(status, str)
    assert status == "DONE"
    same = warehouse.rows(f"SELECT * FROM {table} EXCEPT SELECT * FROM {table}_AGAIN")
    assert same == []
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table}_AGAIN") == [(200,)]


def test_what_the_vendor_would_refuse_is_refused(emulator, table) -> None:
    client = emulator.client()
    good = emulator.body(table)

    def post(**changes: object) -> httpx.Response:
        return client.post("/prediction_jobs", json={**good, **changes})

    assert client.get("/prediction_jobs/bp-job-none").status_code == 404
    assert post(model_training_job_id="trainingjob-none").status_code == 404
    assert post(graph_snapshot_id="graph-0@0").status_code == 404
    assert post(job_tags={"a b": "1"}).status_code == 422
    assert post(job_tags={"a": "x" * 257}).status_code == 422
    assert post(job_tags=None).status_code == 422
    assert post(prediction_time="yesterday").status_code == 422
    assert post(outputs=[{**good["outputs"][0], "storage_type": "FLOPPY"}]).status_code == 422
    assert post(outputs=[{**good["outputs"][0], "connector_id": None}]).status_code == 422
    assert post(pred_table_job_id="a", pred_table_path="b").status_code == 422
    assert client.post("/prediction_jobs", content=b"{").status_code == 422
    detail = post(job_tags=None).json()["detail"]
    assert detail[0]["loc"] == ["body", "job_tags"]
    refused = post(outputs=[{**good["outputs"][0], "connector_id": "nowhere"}])
    assert refused.status_code == 200
    assert refused.json()[0] is None
    assert "nowhere" in refused.json()[1]["errors"][0]["message"]
    assert emulator.jobs() == []


def test_a_binary_query_needs_its_threshold(emulator, table) -> None:
    refused = emulator.client().post("/prediction_jobs", json=emulator.body(table, "churn")).json()
    assert refused[0] is None
    assert "threshold" in refused[1]["errors"][0]["message"]


def test_unknown_fields_are_recorded(emulator) -> None:
    body = emulator.body(None, new_field=1)
    body["predict_options"]["temperature"] = 2
    emulator.client().post("/prediction_jobs", json=body)
    assert emulator.jobs()[0]["unknown_fields"] == ["new_field", "predict_options.temperature"]
    emulator.settings(reject_unknown_fields=True)
    assert emulator.client().post("/prediction_jobs", json=body).status_code == 422


def test_an_old_tenant_ignores_the_prediction_time(emulator, warehouse, table) -> None:
    emulator.settings(tenant="old")
    emulator.wait(emulator.launch(table, prediction_time=ANCHOR))
    assert emulator.jobs()[0]["unknown_fields"] == ["prediction_time"]
    assert warehouse.rows(f"SELECT COUNT(*) FROM {table} WHERE ANCHOR_TIMESTAMP > '2017-11-02'") == [(200,)]
