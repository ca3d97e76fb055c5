"""A Snowflake that goes away, or takes its time, against the real connector and a server that speaks its protocol: what is
given up, what is waited for, what the log says meanwhile, and when a session is open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kumo_assets.assets.log_arrival import cut_off, wait_for_logs
from kumo_assets.config.load import RawSource
from kumo_assets.config.query import Schedule
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import LateLogs, WarehouseError
from kumo_assets.resources import snowflake_settings, waiting
from kumo_assets.resources.snowflake import connect
from kumo_assets.resources.waiting import Narrator

ANCHOR = datetime(2017, 12, 1, tzinfo=UTC)
NUMBER = {
    "name": "N",
    "type": "fixed",
    "scale": 0,
    "precision": 10,
    "length": None,
    "byteLength": None,
    "nullable": True,
}
LOGIN = {
    "token": "t",
    "masterToken": "m",
    "parameters": [],
    "sessionId": 1,
    "sessionInfo": {"databaseName": "D", "schemaName": "S", "warehouseName": "W", "roleName": "R"},
}
ROWS = {
    "rowtype": [NUMBER],
    "rowset": [["7"]],
    "total": 1,
    "returned": 1,
    "queryId": "q1",
    "queryResultFormat": "json",
    "parameters": [],
}


def ok(data: dict[str, Any]) -> dict[str, Any]:
    return {"data": data, "success": True, "code": None, "message": None}


IN_PROGRESS = {
    "data": {"getResultUrl": "/queries/q1/result", "queryId": "q1"},
    "success": True,
    "code": "333333",
    "message": "Query execution in progress.",
}


@dataclass
class Server:
    """What was asked, and how a statement is answered: `answer` gives a body, None for a request that hangs."""

    asked: list[str] = field(default_factory=list)
    answer: Callable[[], dict[str, Any] | None] = lambda: ok(ROWS)
    over: threading.Event = field(default_factory=threading.Event)

    def times(self, path: str) -> int:
        return sum(asked.startswith(path) for asked in self.asked)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.asked.append(self.path)
            answer: dict[str, Any] | None = ok({})
            if self.path.startswith("/session/v1/login-request"):
                answer = ok(LOGIN)
            elif self.path.startswith(("/queries/v1/query-request", "/queries/q1/result")):
                answer = found.answer()
            if answer is None:
                found.over.wait(30)
                return
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    settings = {"ACCOUNT": "a", "USER": "u", "PASSWORD": "p", "HOST": "127.0.0.1", "PROTOCOL": "http"}
    for name, value in (settings | {"PORT": str(http.server_port)}).items():
        monkeypatch.setenv(f"SNOWFLAKE_{name}", value)
    monkeypatch.setattr(snowflake_settings, "NETWORK_SECONDS", 1)
    monkeypatch.setattr(snowflake_settings, "SOCKET_SECONDS", 1)
    monkeypatch.setattr(waiting, "EVERY_SECONDS", 0.3)
    yield found
    found.over.set()
    http.shutdown()
    http.server_close()
    thread.join()


def resource() -> Any:
    return snowflake_settings.resource_outside_dagster()


def test_a_snowflake_that_goes_away_fails_the_statement_in_time_and_the_log_says_what_was_waited_for(
    server: Server,
) -> None:
    said: list[str] = []
    with connect(resource(), Narrator(said.append)) as warehouse:
        server.answer = lambda: None
        with pytest.raises(WarehouseError, match=r"count the rows .*check the network"):
            warehouse.rows("SELECT 1", doing="count the rows")
        queries = server.times("/queries/")
    assert server.times("/queries/") == queries, "the session is closed without another statement to wait for"
    assert any(line.startswith("Waiting for Snowflake to count the rows (") for line in said)


@pytest.mark.slow
def test_a_statement_that_takes_longer_than_a_network_time_out_goes_on(server: Server) -> None:
    begun: list[float] = []

    def answer() -> dict[str, Any]:
        begun.append(time.monotonic())
        time.sleep(0.3)
        return ok(ROWS) if time.monotonic() - begun[0] > 2 else IN_PROGRESS

    with connect(resource()) as warehouse:
        server.answer = answer
        assert warehouse.rows("SELECT 7") == [{"N": 7}]
    assert server.times("/queries/q1/result") > 2
    assert server.times("/queries/v1/abort-request") == 0


def test_no_session_is_held_while_late_logs_are_waited_for(server: Server) -> None:
    nothing = ROWS | {
        "rowtype": [{**NUMBER, "name": "NEWEST"}, {**NUMBER, "name": "ROW_COUNT"}],
        "rowset": [[None, "0"]],
    }
    server.answer = lambda: ok(nothing)
    schedule = Schedule(start=date(2017, 1, 1), late_logs_poll_seconds=150)
    limit = cut_off(ANCHOR, schedule)
    source = RawSource("events", None, "RAW", RawTable(table="EVENTS", event_time="AT"))
    times = iter([limit - timedelta(minutes=3), limit])
    slept: list[float] = []
    said: list[str] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert server.times("/session/v1/login-request") == server.times("/session?delete=true")

    with connect(resource()) as warehouse, pytest.raises(LateLogs):
        wait_for_logs(
            warehouse, {"events": source}, ANCHOR, schedule, said.append, sleep=sleep, now=lambda: next(times)
        )
    assert slept == [60, 60, 30]
    assert len(said) == 3, "a line each minute"
    assert server.times("/session/v1/login-request") == 2


def test_a_session_is_given_up_for_a_wait_and_opened_again_by_the_next_statement(server: Server) -> None:
    with connect(resource()) as warehouse:
        warehouse.rest()
        assert (server.times("/session/v1/login-request"), server.times("/session?delete=true")) == (1, 1)
        assert (warehouse.database, warehouse.schema) == ("D", "S"), "known without a session"
        warehouse.rest()
        assert warehouse.rows("SELECT 7") == [{"N": 7}]
        assert server.times("/session/v1/login-request") == 2
    assert server.times("/session?delete=true") == 2
