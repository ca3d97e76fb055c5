"""The Kumo emulator as a process of its own over a Snowflake with small raw logs: what the client's tests run against.

Made by the fixtures in `conftest.py`, and by the command that writes the fault table.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from kumo_sandbox.settings import free_port
from kumo_sandbox.snowflake.client import connect

from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.model import KumoJob, Launch, PollPolicy
from kumo_assets.resources.kumo.output import OutputProof, prove_output, prove_when_written
from kumo_assets.resources.snowflake import Warehouse

KEY, TOKEN = "acme:Tr0ub4dor-and-3", "token-of-the-native-app"
QUERY, CONNECTOR, GRAPH = "client_ranking", "sandbox_snowflake", "client_graph"
LOGS = "RAW.CLIENT_EVENTS"
HOUSEHOLDS = 40
# The end of the logs below, so that a job without `prediction_time` is anchored elsewhere than one with.
ANCHOR = datetime(2017, 11, 1, tzinfo=UTC)
POLL = PollPolicy(
    first_seconds=0.05, max_seconds=0.2, deadline_seconds=30, outage_seconds=2, cancel_seconds=10, table_seconds=0.3
)


@dataclass
class World:
    """One emulator. `haste` divides the client's own pauses (retries, looks for a lost launch), not the server's time."""

    url: str
    control: httpx.Client = field(repr=False)
    warehouse: Warehouse = field(repr=False)
    haste: float = 1.0

    def clear(self) -> None:
        """Forget faults, jobs and changed settings; the query as first put."""
        self.control.post("/reset").raise_for_status()
        body = {
            "task": "temporal_link_prediction",
            "table": LOGS,
            "item": "PRODUCT_ID",
            "basket": "BASKET_ID",
            "graph": GRAPH,
            "recommender": "repeat",
            "metrics": {"precision@5": 0.5},
        }
        self.control.put(f"/queries/{QUERY}", json=body).raise_for_status()

    def fault(self, *specs: dict[str, Any]) -> None:
        answer = self.control.post("/faults", json=list(specs))
        assert answer.is_success, answer.text

    def settings(self, **changes: Any) -> None:
        self.control.put("/settings", json=changes).raise_for_status()

    def jobs(self, kind: str = "prediction") -> list[dict[str, Any]]:
        """Jobs in the emulator's own book, oldest first."""
        found: list[dict[str, Any]] = self.control.get("/jobs", params={"kind": kind}).json()["jobs"]
        return found

    def requests(self, operation: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control.get("/requests", params={"operation": operation}).json()
        return found

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.haste)

    def client(self, **changes: Any) -> KumoClient:
        fields = {"api_key": KEY, "read_seconds": 2.0, "connect_seconds": 2.0, "sleep": self.sleep} | changes
        base = "/v3/api" if fields.get("dialect") == "v3" else "/api"
        return open_client(self.url + base, **fields)

    def launch(self, release: str, attempt: int = 1, **changes: Any) -> Launch:
        """The launch of a release's attempt, as the predictions asset makes it."""
        suffix = "" if attempt == 1 else f"_A{attempt}"
        fields: dict[str, Any] = {
            "query_id": QUERY,
            "training_job_id": None,
            "connector": CONNECTOR,
            "table": f"KUMO_{release.upper().replace('-', '_')}_PREDICTIONS{suffix}",
            "num_classes": 5,
            "tags": {
                "kumo_assets.environment": "tests",
                "kumo_assets.query": QUERY,
                "kumo_assets.partition": "2017-10-31",
                "kumo_assets.release": release,
                "kumo_assets.run": "a-run",
                "kumo_assets.attempt": str(attempt),
            },
            "prediction_time": ANCHOR,
            "task": "ranking",
        }
        return Launch(**(fields | changes))

    def prove(
        self, job: KumoJob, table: str, anchor: datetime | None = ANCHOR, policy: PollPolicy = POLL
    ) -> OutputProof:
        return prove_when_written(lambda: self._look(job, table, anchor), policy)

    def _look(self, job: KumoJob, table: str, anchor: datetime | None) -> OutputProof:
        where = f'"{self.warehouse.database}"."{self.warehouse.schema}"."{table}"'
        columns = self.warehouse.columns(self.warehouse.database, self.warehouse.schema, table)
        return prove_output(self.warehouse.row, columns, where, job, "ranking", anchor)


def new_release() -> str:
    return f"20171031-{uuid.uuid4().hex[:8]}"


@contextmanager
def running_world(env: dict[str, str], state: Path, haste: float) -> Iterator[World]:
    """An emulator over the Snowflake that `env` names. Ends the process it started."""
    port = free_port()
    own = {
        **os.environ,
        **env,
        "KUMO_SANDBOX_KUMO_STATE": str(state),
        "KUMO_SANDBOX_API_KEY": KEY,
        "KUMO_SANDBOX_KUMO_TOKEN": TOKEN,
        "KUMO_SANDBOX_CONNECTOR": CONNECTOR,
        "KUMO_SANDBOX_PACE": "0.05",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "kumo_sandbox.kumo.app:create_app", "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port), "--log-level", "warning"], env=own)
    connection = connect(env)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/_sandbox", timeout=10, trust_env=False) as control:
            _await(control, process)
            _small_logs(connection)
            world = World(f"http://127.0.0.1:{port}", control, Warehouse(connection), haste)
            world.clear()
            yield world
    finally:
        connection.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(control: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the emulator ended at once"
        assert time.monotonic() < deadline, "the emulator did not answer within a minute"
        try:
            if control.get("/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)


def _small_logs(connection: Any) -> None:
    """Each household buys three things of its own, weekly, to the end of November 2017."""
    rows = [
        f"({household}, {basket}, {100 + (household * k) % 23}, 1, 2.5, "
        f"'2017-{month:02d}-{1 + (household + basket) % 28:02d} 12:00:00'::TIMESTAMP_NTZ)"
        for household in range(1, HOUSEHOLDS + 1)
        for basket, month in ((household, 9), (household + 100, 10), (household + 200, 11))
        for k in (1, 2, 3)
    ]
    cursor = connection.cursor()
    cursor.execute("CREATE SCHEMA IF NOT EXISTS RAW")
    cursor.execute(
        f"CREATE OR REPLACE TABLE {LOGS} (HOUSEHOLD_ID NUMBER, BASKET_ID NUMBER, PRODUCT_ID NUMBER, QUANTITY NUMBER, "
        "SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)"
    )
    cursor.execute(f"INSERT INTO {LOGS} VALUES {', '.join(rows)}")
    cursor.execute("USE SCHEMA PUBLIC")
