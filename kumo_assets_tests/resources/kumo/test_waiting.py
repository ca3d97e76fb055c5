"""Polling to an end: pauses, deadlines, outages, every status there is, and progress that is told. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.errors import (
    KumoJobCancelled,
    KumoJobFailed,
    KumoJobTimedOut,
    KumoJobUnusable,
    KumoMalformed,
    KumoUnauthorized,
)
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, PollPolicy, Progress
from kumo_assets.resources.kumo.polling import readings
from kumo_assets.resources.kumo.transport import TRIES
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok

QUICK = PollPolicy(first_seconds=0.001, max_seconds=0.002, deadline_seconds=5, outage_seconds=1, cancel_seconds=1)
BRIEF = PollPolicy(first_seconds=0.001, max_seconds=0.002, deadline_seconds=0.02, cancel_seconds=1)


def job(status: str, **report: Any) -> dict[str, Any]:
    return {"job_id": "bp-job-1", "job_status_report": {"status": status, **report}}


class Kumo:
    """A tenant with one job that goes through these statuses, one a poll, and stays at the last."""

    def __init__(
        self, server: ScriptedServer, *statuses: str, cancelled: str = "CANCELLED", accepts: bool = True
    ) -> None:
        self.statuses = list(statuses)
        self.cancelled, self.accepts = cancelled, accepts
        self.cancels = 0
        self.progress: Any = {"total_iterations": 4, "completed_iterations": 1}
        server.script = self.answer

    def answer(self, asked: Asked) -> Answer:
        if asked.path.endswith("/cancel"):
            self.cancels += 1
            if self.accepts:
                self.statuses = [self.cancelled]
            return ok({"is_cancelled": self.accepts})
        if asked.path.endswith("/progress"):
            return ok(self.progress)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return ok(job(status))


@pytest.fixture
def client(server: ScriptedServer) -> Any:
    with open_client(server.url, "acme:secret") as made:
        yield made


def test_every_live_status_is_polled_on_and_told(server: ScriptedServer, client: KumoClient) -> None:
    Kumo(server, "NOT_STARTED", "QUEUED", "QUEUED", "HIBERNATING", "RUNNING", "DONE")
    told: list[tuple[str, Progress | None]] = []
    done = client.wait("bp-job-1", QUICK, lambda job, progress: told.append((job.raw_status, progress)))
    assert done.status is JobStatus.DONE
    assert [status for status, _ in told] == ["NOT_STARTED", "QUEUED", "QUEUED", "HIBERNATING", "RUNNING", "DONE"]
    assert told[4][1] == Progress(completed=1, total=4)


@pytest.mark.parametrize(
    "progress", [None, {}, {"total_iterations": 0}, "<html>", [1], {"elapsed_prediction_time": 1.5}]
)
def test_progress_is_a_nicety(server: ScriptedServer, client: KumoClient, progress: Any) -> None:
    Kumo(server, "RUNNING", "DONE").progress = progress
    assert client.wait("bp-job-1", QUICK).status is JobStatus.DONE


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_a_job_that_failed_is_an_error(server: ScriptedServer, client: KumoClient, status: str) -> None:
    Kumo(server, "RUNNING", status)
    with pytest.raises(KumoJobFailed, match=f"ended {status}"):
        client.wait("bp-job-1", QUICK)


@pytest.mark.parametrize("status", ["UNTRAINED", "MISSING"])
def test_a_status_that_never_ends_by_itself_ends_the_wait_and_the_job(
    server: ScriptedServer, client: KumoClient, status: str
) -> None:
    kumo = Kumo(server, "RUNNING", status)
    with pytest.raises(KumoJobUnusable, match=status):
        client.wait("bp-job-1", QUICK)
    assert kumo.cancels == 1


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "HIBERNATING", "", "done"])
def test_the_deadline_cancels_and_polls_to_a_terminal_state(
    server: ScriptedServer, client: KumoClient, status: str
) -> None:
    kumo = Kumo(server, status)
    with pytest.raises(KumoJobTimedOut, match=r"deadline.*is now CANCELLED"):
        client.wait("bp-job-1", BRIEF)
    assert kumo.cancels == 1


def test_a_job_done_after_its_cancel_is_said_to_be(server: ScriptedServer, client: KumoClient) -> None:
    Kumo(server, "RUNNING", cancelled="DONE")
    with pytest.raises(KumoJobTimedOut, match=r"DONE all the same.*adopts the finished job"):
        client.wait("bp-job-1", BRIEF)


def test_a_cancel_that_is_refused_is_said_to_be(server: ScriptedServer, client: KumoClient) -> None:
    Kumo(server, "RUNNING", accepts=False)
    policy = PollPolicy(first_seconds=0.001, max_seconds=0.002, deadline_seconds=0.02, cancel_seconds=0.02)
    with pytest.raises(KumoJobTimedOut, match="did not accept the cancellation"):
        client.wait("bp-job-1", policy)


def test_the_caller_may_have_it_cancelled(server: ScriptedServer, client: KumoClient) -> None:
    kumo = Kumo(server, "QUEUED")
    with pytest.raises(KumoJobCancelled, match="on request and is now CANCELLED"):
        client.wait("bp-job-1", QUICK, should_cancel=lambda: True)
    assert kumo.cancels == 1


def test_end_says_what_became_of_the_job_and_never_raises(server: ScriptedServer, client: KumoClient) -> None:
    Kumo(server, "RUNNING")
    assert client.end("bp-job-1", QUICK) == "is now CANCELLED"
    server.script = lambda asked: Answer(401)
    assert "not known" in client.end("bp-job-1", QUICK)


def test_each_poll_that_is_not_answered_is_reported_while_it_is_ridden_out(server: ScriptedServer) -> None:
    kumo = Kumo(server, "DONE")
    away = [Answer(503)] * (2 * TRIES)
    server.script = lambda asked: away.pop() if away else kumo.answer(asked)
    silent: list[str] = []
    with open_client(server.url, "acme:secret", sleep=lambda seconds: None) as hasty:
        done = hasty.wait("bp-job-1", QUICK, on_silence=lambda error: silent.append(error.found))
    assert done.status is JobStatus.DONE
    assert len(silent) == 2
    assert "503" in silent[0]


def test_a_key_that_stops_working_ends_the_wait_at_once(server: ScriptedServer, client: KumoClient) -> None:
    server.script = lambda asked: Answer(401)
    with pytest.raises(KumoUnauthorized):
        client.wait("bp-job-1", QUICK)
    assert len(server.asked) == 1


def test_another_jobs_answer_is_not_believed(server: ScriptedServer, client: KumoClient) -> None:
    server.script = lambda asked: ok(job("DONE") | {"job_id": "bp-job-2"})
    policy = PollPolicy(first_seconds=0.001, max_seconds=0.001, deadline_seconds=1, outage_seconds=0)
    with pytest.raises(KumoMalformed, match="bp-job-2"):
        client.wait("bp-job-1", policy)


def test_failures_tell_all_that_kumo_said(server: ScriptedServer, client: KumoClient) -> None:
    url = "http://10.1.2.3/jobs/7?x=1"
    said = {"warnings": [], "errors": [{"title": "Bad table", "message": "no rows"}], "info_items": []}
    server.script = lambda asked: ok(job("FAILED", validation_response=said, tracking_url=url))
    with pytest.raises(KumoJobFailed, match="Bad table: no rows") as raised:
        client.wait("bp-job-1", QUICK)
    # The host people reach the tenant at, as the vendor's SDK has it.
    assert "/jobs/7?x=1" in str(raised.value)
    assert "10.1.2.3" not in str(raised.value)
    stage = [{"stage_name": "Predicting", "last_updated_at": "x", "detail": "out of memory"}]
    server.script = lambda asked: ok(job("FAILED", event_log=stage))
    with pytest.raises(KumoJobFailed, match="last stage was Predicting out of memory"):
        client.wait("bp-job-1", QUICK)


def test_pauses_grow_from_ten_seconds_to_a_minute_with_jitter() -> None:
    slept: list[float] = []
    policy = PollPolicy()
    reading = readings(lambda: None, policy, slept.append)
    for _ in range(9):
        next(reading)
    expected = [10, 15, 22.5, 33.75, 50.625, 60, 60, 60]
    assert all(abs(pause - want) <= want * policy.jitter for pause, want in zip(slept, expected, strict=True))
    assert len({round(pause, 6) for pause in slept[5:]}) == 3, "jitter spreads them"


def test_a_deadline_is_not_overslept() -> None:
    slept: list[float] = []
    reading = readings(lambda: None, PollPolicy(deadline_seconds=4), slept.append)
    next(reading)
    next(reading)
    assert slept[0] <= 4


def test_the_last_reading_is_made_when_the_deadline_has_come() -> None:
    assert list(readings(lambda: 1, PollPolicy(deadline_seconds=0), lambda seconds: None)) == [1]


def test_launch_warnings_stay_with_a_job_that_is_waited_for(server: ScriptedServer, client: KumoClient) -> None:
    from kumo_assets.resources.kumo.model import Notice

    Kumo(server, "DONE")
    launched = KumoJob("bp-job-1", JobStatus.QUEUED, "QUEUED", warnings=(Notice("Old model", "x"),))
    assert client.wait(launched, QUICK).warnings == (Notice("Old model", "x"),)
