"""The 3.0 dialect's refusals over real HTTP: no project, another project, fields that are gone or unknown, a time with a zone."""

from __future__ import annotations

import pytest

DEFAULT = {"project_id": "default"}


def launch_body(emulator, table, **changes):
    connector = emulator.client("/v3/api/v1").get("/projects/default/connectors").json()[0]["id"]
    body = emulator.body(table)
    body["outputs"][0]["connector_id"] = connector
    return {**body, **changes}


@pytest.mark.parametrize(
    ("params", "status"), [({}, 422), ({"project_id": "project_none"}, 404), ({**DEFAULT, "group_id": "g"}, 422)]
)
def test_a_path_outside_of_projects_wants_its_project_and_no_group(emulator, params, status) -> None:
    assert emulator.client("/v3/api/v1").get("/prediction_jobs", params=params).status_code == status


def test_a_path_of_a_project_takes_no_other_one(emulator) -> None:
    client = emulator.client("/v3/api/v1")
    assert client.get("/projects/default/connectors").is_success
    assert client.get("/projects/default/connectors", params=DEFAULT).status_code == 422
    assert client.get("/projects/by-slug/nobody").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"pred_table_path": None},
        {"data_backend_session_id": None},
        {"ours": 1},
        {"predict_options": {"num_classes_to_return": 5, "ours": 1}},
        {"prediction_time": "2017-11-01T00:00:00Z"},
        {"prediction_time": "2017-11-01T02:00:00+02:00"},
    ],
)
def test_a_launch_with_a_field_that_3_0_does_not_take_is_refused(emulator, table, change) -> None:
    client = emulator.client("/v3/api/v1")
    answer = client.post("/prediction_jobs", params=DEFAULT, json=launch_body(emulator, table, **change))
    assert answer.status_code == 422, answer.text
    assert emulator.jobs() == []


def test_a_training_with_a_field_of_2_x_is_refused(emulator) -> None:
    body = {"job_tags": {}, "pquery_id": "next_best_product", "enable_baselines": False}
    assert emulator.client("/v3/api/v1").post("/training_jobs", params=DEFAULT, json=body).status_code == 422


@pytest.mark.parametrize("classes", [None, 501])
def test_a_ranking_must_say_how_many_of_at_most_500(emulator, table, classes) -> None:
    body = launch_body(emulator, table, predict_options={"num_classes_to_return": classes})
    job, validation = emulator.client("/v3/api/v1").post("/prediction_jobs", params=DEFAULT, json=body).json()
    assert job is None
    assert "num_classes_to_return" in validation["errors"][0]["message"]


def test_source_tables_are_a_connectors_and_definitions_a_projects(emulator) -> None:
    client = emulator.client("/v3/api/v1")
    [connector] = client.get("/projects/default/connectors").json()
    tables = f"/projects/default/connectors/{connector['id']}"
    assert client.get(f"{tables}/source-tables").is_success
    assert client.get(f"{tables}/columns").status_code == 422
    assert client.get(f"{tables.replace('connector_', 'connector_0')}/source-tables").status_code == 404
    assert client.post("/source_tables/list_tables", params=DEFAULT, json={}).status_code == 404
    theirs = {"project_id": client.post("/projects", json={"name": "theirs", "group_id": "g"}).json()["id"]}
    graph = client.post("/graphs", params=DEFAULT, json={"tables": {}, "col_groups": []}).json()["id"]
    assert [client.get(f"/graphs/{graph}", params=params).status_code for params in (DEFAULT, theirs)] == [200, 404]
    elsewhere = f"/projects/{theirs['project_id']}/connectors/{connector['id']}/source-tables"
    assert client.get(elsewhere).status_code == 404
