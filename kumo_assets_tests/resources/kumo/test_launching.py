"""Launch once: what is adopted, what is looked for, what is never started twice. Against a small tenant over real HTTP.

The emulator's faults are in `test_faults.py`; here stand the races it cannot be talked into.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.errors import KumoJobFailed, KumoMalformed, KumoRefused, KumoUnreachable
from kumo_assets.resources.kumo.model import Launch, Notice
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok

RELEASE = "20171130-0a1b2c3d"
LIVE = ("NOT_STARTED", "QUEUED", "RUNNING")


class Tenant:
    """Jobs by id, found by tag; `answers` are what the next launches get instead of the truth, and whether
    the launch is carried out all the same."""

    def __init__(self, server: ScriptedServer) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.answers: list[tuple[bool, Answer]] = []
        self.hidden_for = 0
        self.cancelled: list[str] = []
        self.server = server
        server.script = self.answer

    def add(self, status: str, launch: dict[str, Any], at: int = 0) -> str:
        key = f"bp-job-{len(self.jobs) + 1}"
        self.jobs[key] = {
            "job_id": key,
            "job_status_report": {"status": status},
            "created_at": f"2017-11-30T00:00:{at or len(self.jobs):02d}Z",
            "tags": dict(launch.get("job_tags", {})),
            "config": launch,
        }
        return key

    def status(self, key: str, status: str) -> None:
        self.jobs[key]["job_status_report"]["status"] = status

    def answer(self, asked: Asked) -> Answer:
        parts = asked.path.removeprefix("/api/v1/").split("/")
        if asked.method == "POST" and parts[-1] == "prediction_jobs":
            accepted, lie = self.answers.pop(0) if self.answers else (True, None)
            key = self.add("QUEUED", asked.body) if accepted else None
            if lie is not None:
                return lie
            return ok([key, {"warnings": [], "errors": []}])
        if parts[0] == "projects":
            connectors = [{"id": "connector_1", "name": "c", "config": {"type": "snowflake"}}]
            return ok(connectors if parts[-1] == "connectors" else {"id": "default"})
        if parts[-1] == "cancel":
            self.cancelled.append(parts[-2])
            self.status(parts[-2], "CANCELLED")
            return ok({"is_cancelled": True})
        if parts[-1] == "tags":
            self.jobs[parts[-2]]["tags"] |= asked.query
            return ok({"resource_updated": True})
        if parts[-1] == "prediction_jobs":
            if self.hidden_for > 0:
                self.hidden_for -= 1
                return ok([])
            wanted = {name: value for name, value in asked.query.items() if name not in ("limit", "project_id")}
            return ok([job for job in self.jobs.values() if wanted.items() <= job["tags"].items()])
        return ok(self.jobs[parts[-1]])

    @property
    def launches(self) -> int:
        return sum(1 for a in self.server.asked if a.method == "POST" and a.path.endswith("/prediction_jobs"))


def launch(attempt: int = 1, release: str = RELEASE, **changes: Any) -> Launch:
    fields: dict[str, Any] = {
        "query_id": "q",
        "training_job_id": "trainingjob-1",
        "connector": "c",
        "table": f"KUMO_T_A{attempt}",
        "num_classes": 5,
        "tags": {"kumo_assets.release": release, "kumo_assets.attempt": str(attempt), "kumo_assets.run": "r"},
        "prediction_time": None,
        "task": "ranking",
    }
    return Launch(**(fields | changes))


def body(attempt: int = 1, release: str = RELEASE) -> dict[str, Any]:
    made = launch(attempt, release)
    return {"job_tags": made.tags, "outputs": [{"table_name": made.table}], "model_training_job_id": "trainingjob-1"}


@pytest.fixture
def tenant(server: ScriptedServer) -> Tenant:
    return Tenant(server)


@pytest.fixture(params=["sdk", "v3"])
def client(server: ScriptedServer, request: pytest.FixtureRequest) -> Any:
    with open_client(server.url, "acme:secret", dialect=request.param, read_seconds=1, sleep=lambda s: None) as made:
        yield made


@pytest.fixture
def sdk(server: ScriptedServer) -> Any:
    with open_client(server.url, "acme:secret", read_seconds=1, sleep=lambda s: None) as made:
        yield made


@pytest.mark.parametrize("status", [*LIVE, "HIBERNATING", "DONE"])
def test_a_live_or_done_job_of_the_release_is_adopted(tenant: Tenant, client: KumoClient, status: str) -> None:
    key = tenant.add(status, body())
    attempt, job, adopted = client.adopt_or_launch(launch)
    assert (attempt, job.job_id, adopted) == (1, key, True)
    assert tenant.launches == 0


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "UNTRAINED", "MISSING"])
def test_a_job_that_ended_badly_opens_the_next_attempt_under_a_new_table(
    tenant: Tenant, client: KumoClient, status: str
) -> None:
    tenant.add(status, body())
    attempt, job, adopted = client.adopt_or_launch(launch)
    assert (attempt, adopted) == (2, False)
    assert job.output_tables == ("KUMO_T_A2",)
    assert tenant.launches == 1


def test_a_done_job_that_is_not_believed_opens_the_next_attempt(tenant: Tenant, client: KumoClient) -> None:
    tenant.add("DONE", body())
    attempt, job, adopted = client.adopt_or_launch(launch, believe=lambda attempt, job: False)
    assert (attempt, adopted) == (2, False)
    assert job.output_tables == ("KUMO_T_A2",)


def test_another_releases_job_is_never_adopted_even_by_a_server_that_does_not_filter(
    tenant: Tenant, sdk: KumoClient
) -> None:
    tenant.add("DONE", body(release="20171129-ffffffff"))
    real = tenant.answer

    def careless(asked: Asked) -> Answer:
        if asked.method == "GET" and asked.path.endswith("/prediction_jobs"):
            return ok(list(tenant.jobs.values()))
        return real(asked)

    tenant.server.script = careless
    _, job, adopted = sdk.adopt_or_launch(launch)
    assert not adopted
    assert job.job_id == "bp-job-2"


def test_work_before_a_launch_is_done_only_when_there_is_nothing_to_adopt(tenant: Tenant, client: KumoClient) -> None:
    tenant.add("RUNNING", body())

    def never(attempt: int) -> Launch:
        raise AssertionError("a snapshot would be refreshed for nothing")

    client.adopt_or_launch(launch, never)


def test_a_job_that_shows_itself_while_the_launch_is_made_is_adopted(tenant: Tenant, client: KumoClient) -> None:
    def slow(attempt: int) -> Launch:
        tenant.add("QUEUED", body())  # a dead worker's request arrives
        return launch(attempt)

    _, job, adopted = client.adopt_or_launch(launch, slow)
    assert adopted
    assert tenant.launches == 0
    assert job.job_id == "bp-job-1"


@pytest.mark.parametrize(
    "lie",
    [Answer(reset=True), Answer(504), Answer(200, b"<html>"), Answer(200, b"null"), Answer(200, b'["a"]'), Answer(500)],
)
def test_an_accepted_launch_whose_answer_is_lost_is_found(tenant: Tenant, client: KumoClient, lie: Answer) -> None:
    tenant.answers = [(True, lie)]
    _, job, _ = client.adopt_or_launch(launch)
    assert job.job_id == "bp-job-1"
    assert tenant.launches == 1
    assert len(tenant.jobs) == 1


def test_it_is_looked_for_again_when_tags_are_searchable_late(tenant: Tenant, client: KumoClient) -> None:
    tenant.answers = [(True, Answer(reset=True))]
    # Two looks before the launch, then one that finds nothing after it.
    tenant.hidden_for = 3
    _, job, _ = client.adopt_or_launch(launch)
    assert job.job_id == "bp-job-1"
    assert tenant.launches == 1


def test_a_launch_that_was_not_accepted_is_tried_again(tenant: Tenant, client: KumoClient) -> None:
    tenant.answers = [(False, Answer(reset=True)), (False, Answer(503))]
    _, job, _ = client.adopt_or_launch(launch)
    assert tenant.launches == 3
    assert len(tenant.jobs) == 1
    assert job.job_id == "bp-job-1"


def test_a_launch_that_never_succeeds_ends(tenant: Tenant, client: KumoClient) -> None:
    tenant.answers = [(False, Answer(reset=True))] * 9
    with pytest.raises(KumoUnreachable):
        client.adopt_or_launch(launch)
    assert tenant.launches == 3


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_not_argued_with(tenant: Tenant, client: KumoClient, status: int) -> None:
    tenant.answers = [(False, Answer(status, b'{"detail": "no"}'))]
    with pytest.raises(KumoRefused):
        client.adopt_or_launch(launch)
    assert tenant.launches == 1


def test_200_with_null_is_a_refusal_with_kumos_words(tenant: Tenant, sdk: KumoClient) -> None:
    said = {"warnings": [], "errors": [{"title": "Quota", "message": "no more today"}], "info_items": []}
    tenant.answers = [(False, ok([None, said]))]
    with pytest.raises(KumoRefused, match="Quota: no more today"):
        sdk.adopt_or_launch(launch)


def test_of_two_jobs_of_one_attempt_both_workers_choose_the_same_and_end_the_other(
    tenant: Tenant, client: KumoClient
) -> None:
    first, second = tenant.add("RUNNING", body(), at=5), tenant.add("QUEUED", body(), at=9)
    _, job, _ = client.adopt_or_launch(launch)
    assert job.job_id == first
    assert tenant.cancelled == [second]


def test_a_done_job_wins_over_an_older_live_one(tenant: Tenant, client: KumoClient) -> None:
    live, done = tenant.add("RUNNING", body(), at=1), tenant.add("DONE", body(), at=9)
    _, job, _ = client.adopt_or_launch(launch)
    assert job.job_id == done
    assert tenant.cancelled == [live]


def test_a_worker_that_lost_the_race_ends_its_own_job(tenant: Tenant, sdk: KumoClient) -> None:
    real = tenant.answer

    def race(asked: Asked) -> Answer:
        if asked.method == "POST" and asked.path.endswith("/prediction_jobs") and not tenant.jobs:
            tenant.add("RUNNING", body(), at=1)  # the other worker was a hair quicker
        return real(asked)

    tenant.server.script = race
    job = sdk.launch(launch())
    assert job.job_id == "bp-job-1"
    assert "bp-job-2" in tenant.cancelled


def test_warnings_of_a_launch_are_heard_by_whoever_adopts_the_job(tenant: Tenant, sdk: KumoClient) -> None:
    said = {"warnings": [{"title": "Old model", "message": "x" * 400}], "errors": []}
    key = tenant.add("QUEUED", body())
    tenant.jobs[key]["tags"] = {}
    tenant.answers = [(False, ok([key, said]))]
    assert [w.title for w in sdk.launch(launch()).warnings] == ["Old model"]
    tenant.jobs[key]["tags"] |= body()["job_tags"]
    _, job, adopted = sdk.adopt_or_launch(launch)
    assert adopted
    assert [w.title for w in job.warnings] == ["Old model"]


def test_a_launched_job_is_not_lost_to_trouble_right_after_it(tenant: Tenant, sdk: KumoClient) -> None:
    real = tenant.answer
    tenant.server.script = lambda asked: real(asked) if asked.method == "POST" else Answer(503)
    job = sdk.launch(launch())
    assert job.job_id == "bp-job-1"


def test_attempts_end(tenant: Tenant, client: KumoClient) -> None:
    for attempt in range(1, 21):
        tenant.add("FAILED", body(attempt))
    with pytest.raises(KumoJobFailed, match="20 attempts"):
        client.adopt_or_launch(launch)
    assert tenant.launches == 0


def test_an_output_table_is_upper_case() -> None:
    with pytest.raises(ConfigError, match="upper"):
        launch(table="kumo_t")


def test_a_launch_without_a_release_is_refused(tenant: Tenant, sdk: KumoClient) -> None:
    with pytest.raises(ConfigError, match="no release"):
        sdk.adopt_or_launch(lambda attempt: launch(attempt, tags={}))


def test_optional_fields_that_are_not_set_are_not_sent(tenant: Tenant, sdk: KumoClient) -> None:
    sdk.launch(launch(num_classes=None, task="regression"))
    [sent] = [a.body for a in tenant.server.asked if a.method == "POST"]
    assert sent["predict_options"] == {"num_workers": 1}
    assert not {"prediction_time", "graph_snapshot_id", "explanations", "data_backend_session_id"} & sent.keys()
    [output] = sent["outputs"]
    assert output["extra_fields"] == ["JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"]
    assert output["write_mode"] == "OVERWRITE"


def test_a_binary_query_is_always_given_a_threshold(tenant: Tenant, client: KumoClient) -> None:
    client.launch(launch(task="binary_classification", num_classes=12))
    [sent] = [a.body for a in tenant.server.asked if a.method == "POST"]
    assert sent["predict_options"]["binary_classification_threshold"] == 0.5
    assert "num_classes_to_return" not in sent["predict_options"]


FATES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([None, "reset", "504", "429", "html", "null"])), min_size=1, max_size=5
)
ANSWERS = {
    "reset": Answer(reset=True),
    "504": Answer(504),
    "429": Answer(429),
    "html": Answer(200, b"<html>"),
    "null": Answer(200, b"null"),
}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(fates=FATES, hidden=st.integers(0, 2), dialect=st.sampled_from(["sdk", "v3"]), runs=st.integers(1, 3))
@pytest.mark.slow
def test_whatever_becomes_of_the_answers_a_release_has_one_live_job(
    server: ScriptedServer, fates: list[tuple[bool, str | None]], hidden: int, dialect: str, runs: int
) -> None:
    """Several workers one after another, each answer lost in its own way: never two jobs beside one another."""
    tenant = Tenant(server)
    server.asked.clear()
    # 429 is never accepted: that is what it says. An honest answer to a launch that was not accepted does not exist.
    tenant.answers = [(accepted and how != "429", ANSWERS[how]) for accepted, how in fates if how is not None]
    with open_client(server.url, "acme:secret", dialect=dialect, read_seconds=1, sleep=lambda s: None) as client:
        for _ in range(runs):
            tenant.hidden_for = 2 + hidden if not tenant.jobs else 0
            with contextlib.suppress(KumoUnreachable, KumoMalformed):
                client.adopt_or_launch(launch)
    live = [job for job in tenant.jobs.values() if job["job_status_report"]["status"] in LIVE]
    assert len(live) <= 1
    assert len(tenant.jobs) <= 1


def test_notices_are_kept_whole_beside_their_cut_short_twins() -> None:
    from kumo_assets.resources.kumo.wire import remember, remembered, together

    long = Notice("t", "m" * 500)
    assert together([long], remembered(remember([long]))) == (long,)
