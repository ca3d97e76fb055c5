"""A Dagster for tests without one: the webserver's HTTP and JSON for the operations this package sends, runs in memory.

What it must agree with is checked elsewhere: `test_schema.py` validates every operation against the installed Dagster's
schema, and `live/` runs them against a real one.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB = "q_daily"


class StandIn:
    """`strike` holds replies to give instead: an HTTP status, "drop" (no answer), "late" (done, answer lost)."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.strike: dict[str, list[int | str]] = {}
        self.moves: list[dict[str, Any]] = []
        self.days = ["2017-11-27", "2017-11-28", "2017-11-29"]
        self.schedule = "STOPPED"
        self.configs: list[Any] = []
        self.loading = 0  # how often a code location says it is still loading
        self.script: list[str] = []  # statuses the newest run takes at each look
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        # `shutdown` waits for the next look at the socket; the default, half a second, would be most of a test's time.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_run(
        self, status: str = "STARTED", job: str = JOB, parent: str | None = None, **tags: str
    ) -> dict[str, Any]:
        run_id = str(uuid.uuid4())
        root = next((one["rootRunId"] for one in self.runs if one["runId"] == parent), run_id)
        made = {
            "runId": run_id,
            "status": status,
            "jobName": job,
            "rootRunId": root,
            "creationTime": time.time() + len(self.runs) / 1000,
            "endTime": None,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        self.runs.append(made)
        return made

    def statuses(self) -> list[str]:
        return [run["status"] for run in self.runs]

    def _handler(stand_in) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kind = next(name for name in ANSWERS if f"{name}(" in body["query"] or f"{name} " in body["query"])
                stand_in.seen.append((kind, dict(self.headers)))
                strikes = stand_in.strike.get(kind) or stand_in.strike.get("any") or []
                strike = strikes.pop(0) if strikes else None
                if strike == "drop":
                    self.connection.close()
                    return
                if isinstance(strike, int):
                    self._reply(strike, b"an outage's page")
                    return
                answer = ANSWERS[kind](stand_in, body["variables"])
                if strike == "late":
                    self.connection.close()
                    return
                self._reply(200, json.dumps({"data": answer}).encode())

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:1/login")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _repositories(me: StandIn, _: Any) -> Any:
    schedule = {
        "name": "q_daily_schedule",
        "pipelineName": JOB,
        "executionTimezone": "UTC",
        "scheduleState": {"status": me.schedule},
    }
    node = {
        "name": "__repository__",
        "location": {"name": "kumo_assets"},
        "jobs": [{"name": JOB}, {"name": "q_rollback"}],
        "schedules": [schedule],
    }
    entries = []
    if me.loading:
        me.loading -= 1
        entries = [{"name": "kumo_assets", "loadStatus": "LOADING", "locationOrLoadError": None}]
    return {
        "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [] if entries else [node]},
        "workspaceOrError": {"locationEntries": entries},
    }


def _pipeline(me: StandIn, variables: Any) -> Any:
    tags = [{"key": "dagster/partition", "value": variables["day"]}, {"key": "dagster/partition_set", "value": "s"}]
    partition = {
        "tagsOrError": {"__typename": "PartitionTags", "results": tags},
        "runConfigOrError": {"__typename": "PartitionRunConfig", "yaml": "{}\n"},
    }
    return {
        "pipelineOrError": {
            "__typename": "Pipeline",
            "partitionKeysOrError": {"partitionKeys": me.days},
            "partition": partition,
        }
    }


def _runs(me: StandIn, variables: Any) -> Any:
    wanted = {(tag["key"], tag["value"]) for tag in variables["filter"]["tags"]}
    found = [
        run
        for run in reversed(me.runs)
        if run["jobName"] == variables["filter"]["pipelineName"]
        and wanted <= {(tag["key"], tag["value"]) for tag in run["tags"]}
    ]
    return {"runsOrError": {"__typename": "Runs", "results": found}}


def _run(me: StandIn, variables: Any) -> Any:
    run = next((one for one in me.runs if one["runId"] == variables["run"]), None)
    if run is None:
        return {"runOrError": {"__typename": "RunNotFoundError"}}
    if run is me.runs[-1] and me.script and run["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
        run["status"] = me.script.pop(0)
        run["endTime"] = time.time()
    events = me.events.get(run["runId"], [])
    begin = int(variables.get("cursor") or 0)
    page = {"events": events[begin:], "cursor": str(len(events)), "hasMore": False}
    return {"runOrError": {"__typename": "Run", **run, "eventConnection": page}}


def _launch(me: StandIn, variables: Any) -> Any:
    params = variables["params"]
    tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
    me.configs.append(params["runConfigData"])
    assert "assetSelection" not in params["selector"]
    run = me.add_run("QUEUED", params["selector"]["jobName"], **tags)
    return {"launchRun": {"__typename": "LaunchRunSuccess", "run": run}}


def _reexecute(me: StandIn, variables: Any) -> Any:
    params = variables["params"]
    parent = next(one for one in me.runs if one["runId"] == params["parentRunId"])
    tags = {tag["key"]: tag["value"] for tag in [*parent["tags"], *params["extraTags"]]}
    run = me.add_run("QUEUED", parent["jobName"], parent["runId"], **tags)
    return {"launchRunReexecution": {"__typename": "LaunchRunSuccess", "run": run}}


def _terminate(me: StandIn, variables: Any) -> Any:
    run = next(one for one in me.runs if one["runId"] == variables["run"])
    if run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
        return {"terminateRun": {"__typename": "TerminateRunFailure", "message": "it has ended"}}
    run["status"] = "CANCELED"
    return {"terminateRun": {"__typename": "TerminateRunSuccess"}}


def _asset(me: StandIn, _: Any) -> Any:
    return {"assetOrError": {"__typename": "Asset", "assetMaterializations": me.moves}}


ANSWERS = {
    "launchRunReexecution": _reexecute,
    "launchRun": _launch,
    "terminateRun": _terminate,
    "repositoriesOrError": _repositories,
    "pipelineOrError": _pipeline,
    "runsOrError": _runs,
    "runOrError": _run,
    "assetOrError": _asset,
    "sensorOrError": lambda me, _: {
        "sensorOrError": {"sensorState": {"ticks": [{"skipReason": "q: held by ann", "error": None}]}}
    },
    "version": lambda me, _: {"version": "1.13.27"},
}


def check_event(name: str, success: bool, severity: str = "ERROR", step: str = "gates") -> dict[str, Any]:
    judged = {
        "checkName": name,
        "success": success,
        "severity": severity,
        "description": f"{name} says so",
        "assetKey": {"path": ["q", "predictions"]},
    }
    return {"__typename": "AssetCheckEvaluationEvent", "stepKey": step, "evaluation": judged}


def move(release: str, partition: str, generation: int, moved: bool = True) -> dict[str, Any]:
    """As `active_pointer` itself tells a promotion."""
    entries = [
        {"label": "release", "text": release},
        {"label": "partition", "text": partition},
        {"label": "generation", "intValue": generation},
        {"label": "action", "text": "promote"},
        {"label": "moved", "boolValue": moved},
    ]
    return {"timestamp": str(time.time() * 1000), "metadataEntries": entries}


def move_outside(release: str, generation: int, action: str = "promote", at: str = "") -> dict[str, Any]:
    """As the promotion sensor tells a move made outside Dagster: later, with its time, and without a partition."""
    entries = [
        {"label": "release", "text": release},
        {"label": "generation", "intValue": generation},
        {"label": "action", "text": action},
        {"label": "by", "text": "ann"},
        {"label": "reason", "text": "-"},
        {"label": "left", "text": "nothing"},
        {"label": "at", "text": at or datetime.now(UTC).isoformat(timespec="milliseconds")},
    ]
    return {"timestamp": str(time.time() * 1000), "metadataEntries": entries}
