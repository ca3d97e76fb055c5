"""Whatever a server says over real HTTP, the client answers with a value or with one of our exceptions, and no secret."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kumo_assets.errors import KumoAssetsError
from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.model import Launch, PollPolicy
from kumo_assets.resources.kumo.projects import Project
from kumo_assets_tests.resources.kumo.scripted import Answer, ScriptedServer, ok

KEY = "acme:Tr0ub4dor-and-3"
SECRET = KEY.partition(":")[2]
POLICY = PollPolicy(first_seconds=0, max_seconds=0, deadline_seconds=0, outage_seconds=0, cancel_seconds=0)
EXAMPLES = 3000 if os.environ.get("KUMO_SOAK") else 150
LAUNCH = Launch(
    query_id="pquery-1",
    training_job_id="trainingjob-1",
    connector="c",
    table="KUMO_T",
    num_classes=5,
    tags={"kumo_assets.release": "20171130-0a1b2c3d"},
    prediction_time=None,
    task="ranking",
)
REPORT = {
    "status": "DONE",
    "tracking_url": "https://acme.kumoai.cloud/jobs/1",
    "start_time": "2017-11-30T00:00:00Z",
    "end_time": "2017-11-30T01:00:00Z",
    "event_log": [{"stage_name": "Predicting", "last_updated_at": "2017-11-30T00:00:00Z", "detail": None}],
    "validation_response": {"warnings": [{"title": "t", "message": "m"}], "errors": [], "info_items": []},
}
JOB = {
    "job_id": "bp-job-1",
    "job_status_report": REPORT,
    "created_at": "2017-11-30T00:00:00Z",
    "tags": {"kumo_assets.release": "20171130-0a1b2c3d"},
    "config": {"model_training_job_id": "trainingjob-1", "outputs": [{"table_name": "KUMO_T"}]},
    "outputs": [{"table_name": "KUMO_T"}],
    "result": {"num_entities_predicted": 10},
}
TRAINING = {
    "job_id": "trainingjob-1",
    "job_status_report": REPORT,
    "created_at": "2017-11-30T00:00:00Z",
    "tags": {"pquery_id": "pquery-1"},
    "config": {"pquery_id": "pquery-1", "graph_snapshot_id": "graph-1@1", "model_plan": {}},
    "result": {"eval_metrics": {"test_metrics": [{"name": "auroc", "value": 0.8}]}},
}
TEMPLATES: list[Any] = [
    JOB,
    [JOB],
    TRAINING,
    [TRAINING],
    ["bp-job-1", {"warnings": [{"title": "t", "message": "m"}], "errors": [], "info_items": []}],
    [None, {"warnings": [], "errors": [{"title": "t", "message": "m"}], "info_items": []}],
    {"id": "graph-1@1", "table_ids": {}, "stages": {"INGEST": {"status": "DONE", "error": None}}, "graph_name": "g"},
    {"is_cancelled": True},
    {"total_iterations": 4, "completed_iterations": 1, "elapsed_prediction_time": "PT1.5S"},
    [{"id": "c", "config": {"type": "snowflake", "name": "c"}}],
    {"detail": [{"loc": ["body", 0, "x"], "msg": "bad"}]},
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        ["DONE", "RUNNING", "FAILED", "MISSING", "\ud800", "PT1S", "P9999999999Y", "9999-12-31T23:59:59-23:59"]
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    """A right answer with up to three of its parts replaced, removed or added to."""
    value = copy.deepcopy(draw(st.sampled_from(TEMPLATES)))
    for _ in range(draw(st.integers(0, 3))):
        place, key = draw(st.sampled_from(list(_places(value)) or [(None, None)]))
        if place is None:
            break
        change = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if change == "remove" or (change == "add" and isinstance(place, list)):
            del place[key]
        elif change == "add":
            place[draw(st.text(max_size=8))] = draw(JSON)
        else:
            place[key] = draw(JSON)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


OPERATIONS: dict[str, Callable[[KumoClient], Any]] = {
    "get": lambda client: client.get("bp-job-1"),
    "wait": lambda client: client.wait("bp-job-1", POLICY),
    "wait, cancelling": lambda client: client.wait("bp-job-1", POLICY, should_cancel=lambda: True),
    "progress": lambda client: client.progress("bp-job-1"),
    "cancel": lambda client: client.cancel("bp-job-1"),
    "end": lambda client: client.end("bp-job-1", POLICY),
    "launch": lambda client: client.launch(LAUNCH),
    "adopt or launch": lambda client: client.adopt_or_launch(lambda attempt: LAUNCH),
    "newest model": lambda client: client.newest_model("pquery-1"),
    "newest model by name": lambda client: client.newest_model("a_name"),
    "model": lambda client: client.model("trainingjob-1"),
    "train": lambda client: client.launch_training("pquery-1", {"a": "b"}, "graph-1@1"),
    "wait for training": lambda client: client.wait_training("trainingjob-1", POLICY),
    "refresh": lambda client: client.refresh_snapshot("graph-1", POLICY),
    "connectors": lambda client: client.connectors(),
    "probe": lambda client: client.probe(),
    "project": lambda client: Project(client._http, "fraud").id,
}


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[ScriptedServer, dict[str, KumoClient]]]:
    with ScriptedServer() as server:
        made = {
            dialect: open_client(server.url, KEY, dialect=dialect, read_seconds=5, sleep=lambda seconds: None)
            for dialect in ("sdk", "v3")
        }
        # The project is looked up once: with an honest answer, so that what follows is reached. Looking up is an operation.
        server.script = lambda asked: ok({"id": "default"} if asked.path.endswith("/default") else [])
        made["v3"].connectors()
        yield server, made
        for client in made.values():
            client.close()


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=nearly_right().map(body_of) | JSON.map(body_of) | st.binary(max_size=40),
    operation=st.sampled_from(sorted(OPERATIONS)),
    dialect=st.sampled_from(["sdk", "v3"]),
    status=st.sampled_from([200, 200, 200, 201, 202, 204, 400, 404, 409, 422, 500]),
)
@example(body=b"[" * 100_000, operation="get", dialect="sdk", status=200)
@example(body=b'{"job_id": ' + b"9" * 5000 + b"}", operation="get", dialect="sdk", status=200)
@example(
    body=b'{"job_id": "bp-job-1", "result": {"num_entities_predicted": 1e999}}',
    operation="get",
    dialect="sdk",
    status=200,
)
@example(body=b'{"detail": "\\ud800"}', operation="get", dialect="sdk", status=422)
@example(body=b'{"detail": ' + b"[" * 900 + b"]" * 900 + b"}", operation="get", dialect="sdk", status=422)
@example(body=KEY.encode(), operation="get", dialect="sdk", status=422)
@example(body=b'{"detail": "key ' + KEY.encode() + b' is wrong"}', operation="launch", dialect="sdk", status=400)
def test_anything_a_server_says_is_a_value_or_one_of_our_errors(
    clients: tuple[ScriptedServer, dict[str, KumoClient]], body: bytes, operation: str, dialect: str, status: int
) -> None:
    server, made = clients
    server.asked.clear()
    server.script = lambda asked: Answer(status, b"" if status == 204 else body)
    try:
        found = OPERATIONS[operation](made[dialect])
    except KumoAssetsError as error:
        text = str(error)
        assert SECRET not in text
        text.encode()
        assert "Next: " in text
        assert len(text) < 4000
    else:
        # It can be written down: to a log, to S3 as JSON.
        shown = json.dumps(found, default=lambda item: asdict(item) if is_dataclass(item) else str(item))  # type: ignore[arg-type]
        assert SECRET not in shown
        shown.encode()
        repr(found).encode()
