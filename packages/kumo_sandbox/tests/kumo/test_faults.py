"""Every fault does what it says, where a client meets it: the connection, the reply, the job, the table."""

from __future__ import annotations

import time

import httpx
import pytest

ANCHOR = "2017-11-01T00:00:00Z"


def status_of(job) -> str:
    return job["job_status_report"]["status"]


# ---- the request


@pytest.mark.parametrize(
    ("kind", "with_", "status", "contains"),
    [
        ("status", {"status": 503}, 503, "fault injected"),
        ("status", {"status": 429, "retry_after": 2}, 429, "fault injected"),
        ("html", {}, 502, "<html>"),
        ("plain_text", {}, 500, "Internal Server Error"),
        ("detail_string", {}, 400, "Bad request"),
        ("detail_list", {}, 422, "field required"),
        ("redirect", {"location": "http://127.0.0.1:9/x"}, 307, ""),
    ],
)
def test_a_request_gets_the_wrong_answer_once(emulator, kind, with_, status, contains) -> None:
    emulator.fault(kind, operation="list", with_=with_)
    answer = emulator.client().get("/prediction_jobs")
    assert answer.status_code == status
    assert contains in answer.text
    assert answer.headers.get("retry-after") == (str(with_["retry_after"]) if "retry_after" in with_ else None)
    assert emulator.client().get("/prediction_jobs").status_code == 200


def test_a_fault_strikes_as_often_as_told_and_after_as_many(emulator) -> None:
    emulator.fault("status", operation="list", times=2, after=1)
    client = emulator.client()
    assert [client.get("/prediction_jobs").status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    [fault] = emulator.control.get("/faults").json()["faults"]
    assert (fault["seen"], fault["struck"]) == (5, 2)
    emulator.fault("status", operation="list", times=None)
    assert {client.get("/prediction_jobs").status_code for _ in range(4)} == {503}
    emulator.control.delete("/faults")
    assert client.get("/prediction_jobs").status_code == 200


def test_a_fault_is_for_one_operation_one_query_or_some_tags(emulator) -> None:
    emulator.fault("refused", query="churn", times=None)
    emulator.fault("refused", tags={"release": "2"}, times=None)
    client = emulator.client()
    assert client.post("/prediction_jobs", json=emulator.body(None, job_tags={"release": "1"})).json()[0] is not None
    assert client.post("/prediction_jobs", json=emulator.body(None, job_tags={"release": "2"})).json()[0] is None
    churn = emulator.body(None, "churn", predict_options={"binary_classification_threshold": 0.5})
    assert client.post("/prediction_jobs", json=churn).json()[0] is None


def test_a_wrong_fault_is_told_what_is_right(emulator) -> None:
    answer = emulator.control.post("/faults", json=[{"kind": "status"}, {"kind": "explode"}])
    assert answer.status_code == 422
    assert "done_without_table" in answer.text
    assert emulator.control.get("/faults").json()["faults"] == []


@pytest.mark.parametrize("kind", ["reset", "accept_then_reset"])
def test_a_reset_breaks_the_connection_before_or_after_the_launch(emulator, kind) -> None:
    emulator.fault(kind, operation="launch")
    with pytest.raises(httpx.TransportError):
        emulator.client().post("/prediction_jobs", json=emulator.body(None, job_tags={"release": "r"}))
    assert len(emulator.jobs()) == (1 if kind == "accept_then_reset" else 0)


@pytest.mark.parametrize("kind", ["hang", "accept_then_hang"])
def test_a_hang_says_nothing_before_or_after_the_launch(emulator, kind) -> None:
    body = emulator.body(None)
    emulator.fault(kind, operation="launch")
    with pytest.raises(httpx.ReadTimeout):
        emulator.client().post("/prediction_jobs", json=body, timeout=0.5)
    assert len(emulator.jobs()) == (1 if kind == "accept_then_hang" else 0)


def test_a_launch_is_accepted_and_answered_504(emulator) -> None:
    emulator.fault("accept_then_status", with_={"status": 504})
    assert emulator.client().post("/prediction_jobs", json=emulator.body(None)).status_code == 504
    assert len(emulator.jobs()) == 1


def test_a_rotated_key_stays_rotated_over_a_restart(own_emulator) -> None:
    own_emulator.start()
    client = own_emulator.client()
    assert client.get("/connectors").is_success
    own_emulator.fault("key_rotated", operation="get")
    assert client.get("/prediction_jobs/x").status_code == 401
    assert client.get("/connectors").status_code == 401
    own_emulator.stop()
    own_emulator.start()
    assert client.get("/connectors").status_code == 401
    own_emulator.settings(api_key="demo:secret")
    assert client.get("/connectors").is_success


# ---- the reply


def test_replies_are_made_strange(emulator) -> None:
    job_id = emulator.launch(None, prediction_time=ANCHOR)
    emulator.wait(job_id)
    client = emulator.client()

    def reply(kind: str, path: str = "", **with_: object) -> httpx.Response:
        emulator.fault(kind, operation="progress" if path else "get", with_=with_)
        return client.get(f"/prediction_jobs/{job_id}{path}")

    assert reply("null_body", "/progress").json() is None
    assert isinstance(reply("float_durations", "/progress").json()["elapsed_prediction_time"], float)
    assert client.get(f"/prediction_jobs/{job_id}/progress").json()["elapsed_prediction_time"].startswith("PT")
    extra = reply("extra_fields").json()
    assert extra["added_in_a_later_version"]
    assert extra["job_status_report"]["added_in_a_later_version"]
    missing = reply("missing_fields").json()
    assert "tags" not in missing
    assert "event_log" not in missing["job_status_report"]
    assert reply("replace_body", body=["anything"]).json() == ["anything"]
    with pytest.raises(ValueError):
        reply("not_json").json()


# ---- the job


def test_a_launch_is_refused_with_200(emulator) -> None:
    errors = [{"title": "Bad graph", "message": "Edge is broken."}]
    emulator.fault("refused", with_={"errors": errors})
    answer = emulator.client().post("/prediction_jobs", json=emulator.body(None))
    assert answer.status_code == 200
    assert answer.json() == [None, {"warnings": [], "errors": errors, "info_items": []}]
    assert emulator.jobs() == []


def test_warnings_of_the_launch_and_of_the_job_are_told_apart(emulator) -> None:
    emulator.fault("launch_warnings", with_={"warnings": [{"title": "L", "message": "at launch"}]})
    emulator.fault("job_warnings", with_={"warnings": [{"title": "J", "message": "of the job"}]})
    job_id, validation = emulator.client().post("/prediction_jobs", json=emulator.body(None)).json()
    assert validation["warnings"] == [{"title": "L", "message": "at launch"}]
    report = emulator.wait(job_id)["job_status_report"]
    assert report["validation_response"]["warnings"] == [{"title": "J", "message": "of the job"}]


def test_a_long_queue_holds_the_job(emulator) -> None:
    emulator.fault("long_queue", with_={"seconds": 1})
    job_id = emulator.launch(None)
    started = time.monotonic()
    emulator.until(job_id, lambda j: status_of(j) == "QUEUED")
    emulator.wait(job_id)
    assert time.monotonic() - started > 0.9


@pytest.mark.parametrize(
    ("kind", "with_", "shown"),
    [
        ("untrained", {}, "UNTRAINED"),
        ("missing", {}, "MISSING"),
        ("unknown_status", {"status": "PAUSED_FOR_REVIEW"}, "PAUSED_FOR_REVIEW"),
    ],
)
def test_a_strange_status_stays(emulator, table, warehouse, kind, with_, shown) -> None:
    emulator.fault(kind, with_=with_)
    job_id = emulator.launch(table)
    emulator.until(job_id, lambda j: status_of(j) == shown)
    time.sleep(0.2)
    assert status_of(emulator.client().get(f"/prediction_jobs/{job_id}").json()) == shown
    assert not warehouse.exists(table)
    emulator.client().post(f"/prediction_jobs/{job_id}/cancel")
    assert status_of(emulator.wait(job_id)) == "CANCELLED"


def test_failures_with_and_without_detail(emulator, table, warehouse) -> None:
    emulator.fault("failed", with_={"errors": [{"title": "OOM", "message": "ran out of memory"}]})
    report = emulator.wait(emulator.launch(table))["job_status_report"]
    assert report["status"] == "FAILED"
    assert report["validation_response"]["errors"] == [{"title": "OOM", "message": "ran out of memory"}]
    assert report["event_log"]
    emulator.fault("failed_without_detail")
    job = emulator.wait(emulator.launch(table))
    assert (job["job_status_report"]["validation_response"], job["job_status_report"]["event_log"]) == (None, [])
    assert job["result"] is None
    assert not warehouse.exists(table)


def test_a_late_cancel_says_yes_and_ends_done(emulator, table, warehouse) -> None:
    emulator.fault("late_cancel")
    emulator.settings(pace=0.2)
    job_id = emulator.launch(table)
    assert emulator.client().post(f"/prediction_jobs/{job_id}/cancel").json() == {"is_cancelled": True}
    assert status_of(emulator.wait(job_id)) == "DONE"
    assert warehouse.exists(table)


def test_a_cancel_is_refused(emulator) -> None:
    emulator.fault("cancel_refused")
    emulator.settings(pace=0.2)
    job_id = emulator.launch(None)
    assert emulator.client().post(f"/prediction_jobs/{job_id}/cancel").json() == {"is_cancelled": False}
    assert status_of(emulator.wait(job_id)) == "DONE"


def test_done_may_have_no_table_no_result_or_no_entities(emulator, table, warehouse) -> None:
    emulator.fault("done_without_table")
    job = emulator.wait(emulator.launch(table))
    assert (status_of(job), job["result"]) == ("DONE", {"num_entities_predicted": 40})
    assert not warehouse.exists(table)
    emulator.fault("null_result")
    assert emulator.wait(emulator.launch(table))["result"] is None
    emulator.fault("zero_entities")
    assert emulator.wait(emulator.launch(table))["result"] == {"num_entities_predicted": 0}


def test_a_job_is_not_found_by_tag_at_once(emulator) -> None:
    emulator.settings(tags_visible_after=0.8)
    job_id = emulator.launch(None, job_tags={"release": "r"})
    client = emulator.client()
    assert client.get("/prediction_jobs", params={"release": "r"}).json() == []
    assert client.get(f"/prediction_jobs/{job_id}").is_success
    time.sleep(0.9)
    assert [j["job_id"] for j in client.get("/prediction_jobs", params={"release": "r"}).json()] == [job_id]


# ---- the table


def test_tables_are_spoilt_as_asked(emulator, table, warehouse) -> None:
    def made(kind: str | None, **with_: object) -> tuple[object, ...]:
        if kind:
            emulator.fault(kind, with_=with_)
        emulator.wait(emulator.launch(table, prediction_time=ANCHOR))
        [row] = warehouse.rows(
            f"SELECT COUNT(*), COUNT(DISTINCT ENTITY), COUNT(DISTINCT ENTITY || '/' || CLASS), MIN(SCORE), "
            f"COUNT_IF(ENTITY IS NULL), DATEDIFF('hour', MAX(JOB_TIMESTAMP), SYSDATE()) FROM {table}"
        )
        return row

    rows, entities, pairs, lowest, nulls, age = made(None)
    assert (rows, entities, pairs, nulls, age) == (200, 40, 200, 0, 0)
    assert 40 < made("short_table", keep=0.5)[0] < 160
    lost = made("users_lost", fraction=0.5)
    assert 5 < lost[1] < 35
    assert lost[0] == 5 * lost[1]
    doubled = made("duplicated_rows", fraction=0.5)
    assert doubled[0] > doubled[2] == 200
    shifted = made("scores_shifted", add=100)
    assert shifted[3] == pytest.approx(lowest + 100, abs=1e-6)
    assert made("stale_table", hours=30)[5] == 30
    assert made("empty_table")[0] == 0
    assert made("null_entities", fraction=0.3)[4] > 0
    made("dominating_item", share=1)
    [(tops,)] = warehouse.rows(
        f"SELECT COUNT(DISTINCT CLASS) FROM (SELECT * FROM {table} "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC) = 1) AS T"
    )
    assert tops == 1
