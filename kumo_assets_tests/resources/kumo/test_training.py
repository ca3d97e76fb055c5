"""Which model predicts, and training launched once; against the emulator, and a small tenant where it is too honest."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from kumo_assets.config.names import QueryNames
from kumo_assets.config.query import Kumo, Poll, Training
from kumo_assets.models.registry import ModelRegistry
from kumo_assets.models.training import decide, remember_model_in_use, train
from kumo_assets.resources.kumo.client import open_client
from kumo_assets.resources.kumo.errors import KumoJobFailed, KumoRefused, KumoUnreachable
from kumo_assets.resources.kumo.model import PollPolicy
from kumo_assets.resources.kumo.snapshots import in_words
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok
from kumo_assets_tests.resources.kumo.world import POLL, QUERY, World
from kumo_assets_tests.support.memory_aws import Memory


def spec(**changes: Any) -> Kumo:
    fields: dict[str, Any] = {
        "predictive_query_id": QUERY,
        "connector": "c",
        "training": Training(),
        "poll": Poll(first_seconds=0.05, max_seconds=0.2),
    }
    return Kumo(**(fields | changes))


def registry() -> ModelRegistry:
    return ModelRegistry(QueryNames("tests", "client_ranking", "kumo-tests"), ObjectStore("kumo-tests", Memory().s3()))


def tags() -> dict[str, str]:
    return {"kumo_assets.query": QUERY, "kumo_assets.training": uuid.uuid4().hex}


def silent(text: str) -> None:
    """Nobody reads this log."""


def test_training_by_rest_gives_a_candidate_that_is_compared_with_the_model_in_use(world: World) -> None:
    kept = registry()
    with world.client() as client:
        before = client.newest_model(QUERY)
        model, adopted = train(client, kept, spec(), tags(), say=silent)
        assert not adopted
        registered = kept.read()
        assert registered.in_use is not None
        assert registered.in_use.training_job_id == before.job_id
        assert registered.candidate == model
        assert model.metrics["ndcg@5"] > 0
        # On a fresh snapshot of the graph that the model in use was trained on; nobody had to name it.
        assert (model.snapshot_id or "").startswith(str(before.graph_id))
        assert model.snapshot_id != before.snapshot_id
    made = decide(kept, spec(), by="me")
    assert made is not None
    assert made[0].instead_of == before.job_id


def test_a_worse_model_is_kept_out_of_use(world: World) -> None:
    kept = registry()
    world.fault({"kind": "training_metrics", "with": {"metrics": {"precision@5": 0.01}}})
    with world.client() as client:
        before = client.newest_model(QUERY)
        model, _ = train(client, kept, spec(), tags(), say=silent)
        assert client.newest_model(QUERY).job_id == model.training_job_id, "Kumo's newest is the worse one"
    made = decide(kept, spec(), by="me")
    assert made is not None
    assert not made[0].in_use
    registered = kept.read()
    assert registered.in_use is not None
    assert registered.in_use.training_job_id == before.job_id


def test_a_training_with_the_same_tags_is_adopted(world: World) -> None:
    wanted = tags()
    with world.client() as client:
        first, _ = train(client, registry(), spec(), wanted, say=silent)
        second, adopted = train(client, registry(), spec(), wanted, say=silent)
    assert adopted
    assert first == second
    assert len([job for job in world.jobs("training") if job["tags"]]) == 1


@pytest.mark.parametrize("fault", ["accept_then_reset", "accept_then_hang"])
def test_a_training_whose_answer_was_lost_is_found(world: World, fault: str) -> None:
    wanted = tags()
    world.fault({"kind": fault, "operation": "training_launch"})
    with world.client() as client:
        _, adopted = client.launch_training(QUERY, wanted)
    assert adopted
    assert len([job for job in world.jobs("training") if job["tags"]]) == 1


def test_a_training_that_failed_is_an_error_and_the_old_model_stays(world: World) -> None:
    kept = registry()
    world.fault({"kind": "failed", "operation": "training_launch"})
    with world.client() as client, pytest.raises(KumoJobFailed, match="training job"):
        train(client, kept, spec(), tags(), say=silent)
    registered = kept.read()
    assert registered.candidate is None
    assert registered.in_use is not None


def test_training_takes_over_the_plan_of_the_model_before(world: World) -> None:
    plan = {"training_job": {"refit_full": True}}
    with world.client() as client:
        first, _ = client.launch_training(QUERY, tags(), plan=plan)
        client.wait_training(first, POLL)
        second, _ = client.launch_training(QUERY, tags())
        client.wait_training(second, POLL)
        assert client.model(second).plan == plan


def test_a_pinned_model_is_the_one_in_use_before_the_first_training(world: World) -> None:
    kept = registry()
    with world.client() as client:
        pinned = client.newest_model(QUERY).job_id
        first, _ = client.launch_training(QUERY, tags())
        client.wait_training(first, POLL)
        registered = remember_model_in_use(kept, client, spec(training_job_id=pinned))
    assert registered.in_use is not None
    assert registered.in_use.training_job_id == pinned


def trained(key: str, at: str, query: str = "pquery-1", status: str = "DONE") -> dict[str, Any]:
    return {
        "job_id": key,
        "job_status_report": {"status": status},
        "created_at": at,
        "config": {"pquery_id": query},
        "result": {"eval_metrics": {"test_metrics": [{"name": "auroc", "value": None}, {"name": "ap", "value": 1}]}},
    }


def test_the_newest_done_model_of_the_query_is_chosen_whatever_the_order_and_filter(server: ScriptedServer) -> None:
    jobs = [
        trained("trainingjob-1", "2017-11-02T00:00:00Z"),
        trained("trainingjob-2", "2017-11-09T00:00:00Z"),
        trained("trainingjob-3", "2017-11-12T00:00:00Z", query="pquery-2"),
        trained("trainingjob-4", "2017-11-13T00:00:00Z", status="RUNNING"),
        trained("trainingjob-5", "2017-11-03T00:00:00Z"),
    ]
    server.script = lambda asked: ok(jobs)
    with open_client(server.url, "acme:secret") as client:
        found = client.newest_model("pquery-1")
        assert found.job_id == "trainingjob-2"
        assert found.metrics == {"ap": 1.0}
        with pytest.raises(KumoRefused, match="pquery-1, pquery-2"):
            client.newest_model("a_name_for_both")
        server.script = lambda asked: ok([])
        with pytest.raises(KumoRefused, match="train the query"):
            client.newest_model("pquery-1")


def test_a_long_list_is_asked_for_again_longer(server: ScriptedServer) -> None:
    jobs = [trained(f"trainingjob-{n}", f"2017-11-01T00:00:{n % 60:02d}Z") for n in range(150)]
    jobs.append(trained("trainingjob-newest", "2017-12-01T00:00:00Z"))
    server.script = lambda asked: ok(jobs[: int(asked.query["limit"])])
    with open_client(server.url, "acme:secret") as client:
        assert client.newest_model("pquery-1").job_id == "trainingjob-newest"


def test_a_training_launch_is_never_sent_twice(server: ScriptedServer) -> None:
    def script(asked: Asked) -> Answer:
        return ok([]) if asked.method == "GET" else Answer(503)

    server.script = script
    with open_client(server.url, "acme:secret", sleep=lambda s: None) as client, pytest.raises(KumoUnreachable):
        client.launch_training("pquery-1", {"a": "b"})
    assert sum(asked.method == "POST" for asked in server.asked) == 1


def test_a_snapshot_is_done_when_every_stage_is_and_failed_when_one_has(server: ScriptedServer) -> None:
    policy = PollPolicy(first_seconds=0.001, max_seconds=0.001, deadline_seconds=2)
    seen = [
        {"INGEST": {"status": "RUNNING"}},
        {"INGEST": {"status": "DONE"}, "MATERIALIZE": {"status": "QUEUED"}},
        {"INGEST": {"status": "DONE"}, "MATERIALIZE": {"status": "DONE"}, "later_version": {"x": 1}},
    ]

    def script(asked: Asked) -> Answer:
        if asked.method == "POST":
            assert asked.query == {"graph_id": "g", "refresh_source": "true"}
            return ok({"id": "g@1"})
        return ok({"id": "g@1", "stages": seen.pop(0) if len(seen) > 1 else seen[0]})

    server.script = script
    told: list[dict[str, str]] = []
    with open_client(server.url, "acme:secret") as client:
        assert client.refresh_snapshot("g", policy, told.append) == "g@1"
        assert told[0] == {"INGEST": "RUNNING"}
        seen[:] = [{"INGEST": {"status": "FAILED", "error": "no grant on RAW"}}]
        with pytest.raises(KumoJobFailed, match="INGEST ended FAILED: no grant on RAW"):
            client.refresh_snapshot("g", policy)


def test_the_stages_of_a_snapshot_are_said_when_they_change() -> None:
    said: list[str] = []
    on_stages = in_words(said.append)
    for stages in ({"INGEST": "RUNNING"}, {"INGEST": "RUNNING"}, {"INGEST": "DONE", "MATERIALIZE": "RUNNING"}):
        on_stages(stages)
    assert said == ["Graph snapshot: INGEST RUNNING", "Graph snapshot: INGEST DONE, MATERIALIZE RUNNING"]
