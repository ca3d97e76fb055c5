"""The 3.0 dialect over the emulator's: the project everything belongs to, connectors by name, strict bodies, and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kumo_assets.errors import ConfigError, KumoApiError
from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.errors import KumoRefused, KumoUnauthorized
from kumo_assets.resources.kumo.model import Launch
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok
from kumo_assets_tests.resources.kumo.world import ANCHOR, CONNECTOR, GRAPH, KEY, POLL, QUERY, World, new_release

V3: dict[str, Any] = {"dialect": "v3"}


def made(client: KumoClient, launch: Launch) -> Launch:
    """The launch with a model and a fresh snapshot, as the predictions asset makes it."""
    snapshot = client.refresh_snapshot(GRAPH, POLL)
    return replace(launch, training_job_id=client.newest_model(QUERY).job_id, graph_snapshot_id=snapshot)


def test_a_release_in_3_0_is_launched_once_adopted_and_proved(world: World) -> None:
    # An anchor in another zone: what is sent is UTC without a zone, and the table says the same moment.
    anchor = ANCHOR.astimezone(timezone(timedelta(hours=2)))
    launch = world.launch(new_release(), prediction_time=anchor)
    with world.client(**V3) as client:
        attempt, job, adopted = client.adopt_or_launch(lambda n: launch, lambda n: made(client, launch))
        done = client.wait(job, POLL)
        world.prove(done, launch.table)
        assert client.adopt_or_launch(lambda n: launch)[1].job_id == job.job_id
    assert (attempt, adopted, done.entities) == (1, False, 40)
    [sent] = world.requests("launch")
    assert sent["body"]["prediction_time"] == "2017-11-01T00:00:00"
    assert sent["body"]["outputs"][0]["connector_id"].startswith("connector_")
    assert sent["unknown_fields"] == []
    for request in world.requests("get") + world.requests("list") + [sent]:
        assert request["query"]["project_id"] == "default"
        assert "group_id" not in request["query"]
    assert [request["path"] for request in world.requests("project")] == ["/v3/api/v1/projects/default"]


def test_a_model_is_trained_in_3_0(world: World) -> None:
    with world.client(**V3) as client:
        job_id, adopted = client.launch_training(
            QUERY, {"kumo_assets.training": "t"}, client.refresh_snapshot(GRAPH, POLL)
        )
        assert not adopted
        assert client.wait_training(job_id, POLL).job_id == job_id == client.newest_model(QUERY).job_id
    assert [request["unknown_fields"] for request in world.requests("training_launch")] == [[]]


def test_a_project_is_named_by_id_slug_or_name_and_holds_only_its_own(world: World) -> None:
    with world.client(**V3) as client:
        asked = {"name": "Fraud Detection", "slug": "fraud", "group_id": "group_" + "0" * 32}
        project = client._http.post("/projects", asked)
    assert isinstance(project, dict)
    for wanted in ("fraud", project["id"], "  fraud detection"):
        with world.client(**V3, project=wanted) as client:
            client.probe()
            assert client.connectors() == []
            assert client.models(QUERY) == []
    assert {request["query"].get("project_id") for request in world.requests("training_list")} == {project["id"]}


@pytest.mark.parametrize("project", ["nobody", "project_" + "0" * 32, "No Body At All"])
def test_a_project_that_is_not_there_is_named(world: World, project: str) -> None:
    with world.client(**V3, project=project) as client, pytest.raises(KumoRefused, match="KUMO_PROJECT") as raised:
        client.models(QUERY)
    assert project in str(raised.value)


def test_a_text_that_is_one_projects_slug_and_anothers_name_is_refused(server: ScriptedServer) -> None:
    def script(asked: Asked) -> Answer:
        one = {"id": "project_" + "1" * 32, "slug": "fraud", "display_name": "First"}
        other = {"id": "project_" + "2" * 32, "slug": "other", "display_name": "FRAUD"}
        return ok([one, other] if asked.path.endswith("/projects") else one)

    server.script = script
    with (
        open_client(server.url, KEY, dialect="v3", project="fraud") as client,
        pytest.raises(KumoRefused, match="several"),
    ):
        client.models(QUERY)


def _launched(world: World, **changes: Any) -> None:
    with world.client(**V3) as client:
        launch = world.launch(new_release(), **changes)
        client.adopt_or_launch(lambda n: launch, lambda n: made(client, launch))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"num_classes": 501}, ConfigError, "source.kumo.classes_per_entity"),
        ({"connector": "nowhere"}, KumoRefused, f"'nowhere' is not of the project's connectors: {CONNECTOR}"),
    ],
)
def test_what_3_0_refuses_is_refused_before_any_work_is_done(
    world: World, changes: dict[str, Any], error: type[KumoApiError], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        _launched(world, **changes)
    assert world.requests("snapshot_create") == []
    assert world.jobs() == []


def test_two_connectors_of_one_name_are_refused_and_an_id_says_which(server: ScriptedServer) -> None:
    def script(asked: Asked) -> Answer:
        if asked.path.endswith("/connectors"):
            return ok([{"id": f"connector_{n}", "name": "Main", "config": {"type": "snowflake"}} for n in (1, 2)])
        return ok({"id": "default"})

    server.script = script
    with open_client(server.url, KEY, dialect="v3") as client:
        with pytest.raises(KumoRefused, match="more than one"):
            client._dialect.check(_any_launch("main"))
        client._dialect.check(_any_launch("connector_2"))


def _any_launch(connector: str) -> Launch:
    return Launch(QUERY, "trainingjob-1", connector, "T", 5, {}, None, "ranking")


def test_500_candidates_are_3_0s_most_and_2_x_has_no_limit(server: ScriptedServer) -> None:
    with open_client(server.url, KEY, dialect="v3") as client:
        client.check_classes("ranking", 500)
        client.check_classes("multiclass_classification", 900)
    with open_client(server.url, KEY) as client:
        client.check_classes("ranking", 501)


def test_a_field_that_the_server_refuses_is_shown(world: World) -> None:
    with world.client(**V3) as client, pytest.raises(KumoRefused, match="pred_table_path"):
        client._http.post("/prediction_jobs", {"pred_table_path": None})


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(401), KumoUnauthorized, "KUMO_API_KEY"),
        (Answer(403), KumoUnauthorized, "KUMO_API_KEY"),
        (Answer(404), KumoRefused, "KUMO_API_DIALECT=sdk"),
    ],
)
def test_the_probe_tells_a_wrong_key_from_a_wrong_address(
    server: ScriptedServer, answer: Answer, error: type[KumoApiError], words: str
) -> None:
    server.script = lambda asked: answer
    with open_client(server.url, KEY, dialect="v3") as client, pytest.raises(error, match=words):
        client.probe()
    assert [asked.path for asked in server.asked] == ["/api/v1/authentication"]


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ({"dialect": "v3", "group_id": "g"}, "KUMO_GROUP_ID"),
        ({"dialect": "v3", "project_id": "p"}, "KUMO_PROJECT_ID"),
        ({"project": "p"}, "KUMO_PROJECT"),
    ],
)
def test_a_variable_of_the_other_dialect_is_refused(fields: dict[str, str], variable: str) -> None:
    with pytest.raises(ConfigError, match=f"use {variable} with KUMO_API_DIALECT"):
        open_client("https://acme.kumoai.cloud/api", KEY, **fields)


def test_the_anchor_is_utc_whatever_zone_it_is_written_in() -> None:
    from kumo_assets.resources.kumo.v3 import V3Dialect

    moment: Callable[[Any, datetime], str] = V3Dialect._moment
    assert moment(None, datetime(2017, 11, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2017-11-01T00:00:00"
