"""Routes of the SDK dialect for data: connectors, graph and table snapshots, edge health, feature flags, exports.

Nothing here launches a prediction.
"""

from __future__ import annotations

import time
from typing import Any

from pydantic import BaseModel, ConfigDict

from kumo_sandbox.kumo.faults import JOB, SNAPSHOT
from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.jobs import new_job
from kumo_sandbox.kumo.launch import output_problems
from kumo_sandbox.kumo.requests import ArtifactRequest
from kumo_sandbox.kumo.routes_sdk import find_job, request_cancel
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.wire import connector_resource, job_state


class ConnectorConfig(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    name: str


class ConnectorRequest(BaseModel):
    """`CreateConnectorArgs`; credentials are accepted and forgotten."""

    model_config = ConfigDict(extra="allow")

    config: ConnectorConfig


def connectors(call: Call) -> Any:
    wanted = call.query.get("data_source_type", "").lower()
    return [c for c in call.kumo.store.all("connector") if not wanted or c["config"]["type"] == wanted]


def connector(call: Call) -> Any:
    found = call.kumo.store.get("connector", call.path["id"])
    if found is None:
        raise Answer(404, f"Connector {call.path['id']} not found")
    return found


def group_connectors(call: Call) -> Any:
    """Under RBAC the SDK looks some kinds of connector up among those of its group."""
    return [
        {"id": c["id"], "display_name": c["config"]["name"], "connector_type": c["config"]["type"], "scope": None}
        for c in call.kumo.store.all("connector")
    ]


def create_connector(call: Call) -> Any:
    config = call.model(ConnectorRequest).config.model_dump()
    call.kumo.store.put("connector", config["name"], connector_resource(config, time.time()))
    return None


def delete_connector(call: Call) -> Any:
    if not call.kumo.store.delete("connector", call.path["id"]):
        raise Answer(404, f"Connector {call.path['id']} not found")
    return None


def config(call: Call) -> Any:
    return {"rbac": call.kumo.live.now.rbac}


def groups(call: Call) -> Any:
    return [{"group_id": call.kumo.live.now.group_id, "display_name": "sandbox"}]


def projects(call: Call) -> Any:
    return [{"id": call.kumo.live.now.project_id, "display_name": "sandbox"}]


def create_snapshot(call: Call) -> Any:
    """POST /graphsnapshots?graph_id=&refresh_source=: `{"id": "<graph-id>@<version>"}`."""
    graph = call.query.get("graph_id")
    if not graph:
        raise Answer(422, [{"type": "missing", "loc": ["query", "graph_id"], "msg": "Field required"}])
    struck = call.kumo.faults.strike("snapshot_create", SNAPSHOT)
    refresh = call.query.get("refresh_source", "false").lower() == "true"
    key = call.kumo.snapshots.create(graph, refresh, struck[0]["kind"] if struck else None)
    if key is None:
        raise Answer(404, f"Graph {graph} not found")
    call.kumo.worker.wake()
    return {"id": key}


def _snapshot(call: Call, key: str) -> Document:
    found = call.kumo.store.get("snapshot", key)
    if found is None:
        raise Answer(404, f"Graph snapshot {key} not found")
    return found


def snapshot(call: Call) -> Any:
    found = _snapshot(call, call.path["id"])
    return {
        "id": found["id"],
        "table_ids": {name: f"{found['id']}.{name}" for name in found["tables"]},
        "stages": {name: job_state(state) for name, state in found["stages"].items()},
        "graph_name": found["graph_name"],
    }


def edge_health(call: Call) -> Any:
    """Statistics of the graph's edges. These graphs have one table each, so there are no edges."""
    found = _snapshot(call, call.path["id"])
    return {"is_ready": found["stages"]["MATERIALIZE"]["status"] == "DONE", "statistics": {}}


def table_snapshot(call: Call) -> Any:
    """Column statistics as ingested: minimum, maximum and fraction of nulls (key names are not published)."""
    graph_snapshot, _, table = call.path["id"].partition(".")  # graph ids and versions are hex
    found = _snapshot(call, graph_snapshot)
    if table not in found["tables"]:
        raise Answer(404, f"Table snapshot {call.path['id']} not found")
    state = job_state(found["stages"]["INGEST"])
    return {
        "id": call.path["id"],
        "table_definition": None,
        "column_stats": found["tables"][table].get("columns"),
        "stages": {"INGEST": state, "MIN_COL_STATS": state},
    }


def create_export(call: Call) -> Any:
    """POST /artifact: write a finished prediction job's table again, elsewhere."""
    request = call.model(ArtifactRequest)
    source = call.kumo.store.get("prediction", request.job_id)
    if source is None:
        raise Answer(404, f"Job {request.job_id} not found")
    output = request.prediction_output
    if output is None:
        raise Answer(400, "Only predictions can be exported from this tenant")
    problems = output_problems(call, [output])
    if source["status"] != "DONE":
        problems.append({"title": "Job not done", "message": f"Job {request.job_id} is {source['status']}."})
    if problems:
        raise Answer(400, "; ".join(problem["message"] for problem in problems))
    job = new_job(
        "artifact",
        source["query"],
        source["pquery_id"],
        time.time(),
        exports=request.job_id,
        config={"prediction_output": output.wire()},
        faults=call.kumo.faults.strike("artifact_create", JOB),
    )
    call.kumo.store.put("artifact", job["job_id"], job)
    call.kumo.worker.wake()
    return {"job_id": job["job_id"]}


def export_status(call: Call) -> Any:
    """A bare JSON string."""
    job = find_job(call, "artifact")
    return job["shown_status"] or job["status"]


def cancel_export(call: Call) -> Any:
    """A bare status. The SDK reads CANCELLED as success, so an accepted cancel says so at once."""
    return "CANCELLED" if request_cancel(call, "artifact") else export_status(call)
