"""What survives: jobs under way are finished after a stop and after a SIGKILL, and nothing is started twice."""

from __future__ import annotations

import signal

import pytest

ANCHOR = "2017-11-01T00:00:00Z"


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        ("NOT_STARTED", signal.SIGKILL),
        ("QUEUED", signal.SIGKILL),
        ("RUNNING", signal.SIGKILL),
        ("RUNNING", signal.SIGTERM),
    ],
)
def test_a_job_is_finished_by_the_next_process(own_emulator, warehouse, table, how, stage) -> None:
    own_emulator.start()
    own_emulator.settings(pace=0.4)
    job_id = own_emulator.launch(table, prediction_time=ANCHOR, job_tags={"release": "r1"})
    own_emulator.until(job_id, lambda j: j["job_status_report"]["status"] == stage)
    own_emulator.stop(how)
    own_emulator.start()
    assert own_emulator.wait(job_id)["job_status_report"]["status"] == "DONE"
    assert warehouse.rows(f"SELECT COUNT(*), COUNT(DISTINCT JOB_TIMESTAMP) FROM {table}") == [(200, 1)]
    assert [job["job_id"] for job in own_emulator.jobs()] == [job_id]


def test_an_appended_table_holds_a_repeated_job_once(own_emulator, warehouse, table) -> None:
    own_emulator.start()
    own_emulator.wait(own_emulator.launch(table, prediction_time=ANCHOR))
    body = own_emulator.body(table, prediction_time=ANCHOR)
    body["outputs"][0]["write_mode"] = "APPEND"
    own_emulator.settings(pace=1)
    job_id = own_emulator.client().post("/prediction_jobs", json=body).json()[0]
    own_emulator.settings(pace=0.0)
    own_emulator.until(job_id, lambda j: j["job_status_report"]["status"] == "RUNNING")
    own_emulator.settings(pace=1)
    # The rows are there, the job is not DONE yet: the moment at which a repetition would append a second time.
    while warehouse.rows(f"SELECT COUNT(*) FROM {table}") == [(200,)]:
        pass
    own_emulator.stop(signal.SIGKILL)
    own_emulator.start()
    own_emulator.wait(job_id)
    assert warehouse.rows(f"SELECT COUNT(*), COUNT(DISTINCT JOB_TIMESTAMP) FROM {table}") == [(400, 2)]


def test_faults_queries_and_snapshots_survive_too(own_emulator) -> None:
    own_emulator.start()
    own_emulator.fault("status", operation="list", times=5)
    own_emulator.query("mine", task="binary_classification")
    snapshot = own_emulator.client().post("/graphsnapshots", params={"graph_id": "grocery"}).json()["id"]
    own_emulator.stop(signal.SIGKILL)
    own_emulator.start()
    assert own_emulator.control.get("/faults").json()["faults"][0]["times"] == 5
    assert "mine" in {query["id"] for query in own_emulator.control.get("/queries").json()}
    assert own_emulator.client().get(f"/graphsnapshots/{snapshot}").is_success
