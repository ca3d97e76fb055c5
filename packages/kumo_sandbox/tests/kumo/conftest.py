"""What the emulator's tests share: the sandbox's Snowflake server with small raw logs, and an emulator over it.

Both are processes of their own on free loopback ports, ended by their pid. A test gets the emulator reset.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import snowflake.connector
from kumo_sandbox.programs import answers
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import Server

KEY = "demo:secret"
FIRST_DAY = datetime(2017, 8, 1)
DAYS = 120
HOUSEHOLDS = 40


def healthy(port: int) -> bool:
    return answers(f"http://127.0.0.1:{port}/_sandbox/health")


@dataclass
class Emulator:
    """One emulator process and the two ways to talk to it: as a client, and through the control routes."""

    server: Server
    clients: dict[tuple[Any, ...], httpx.Client] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self.server.start()

    def stop(self, how: int = signal.SIGTERM) -> None:
        if how == signal.SIGKILL:
            self.server.kill()
        else:
            self.server.stop()

    def close(self) -> None:
        self.stop()
        for client in self.clients.values():
            client.close()

    def client(self, path: str = "/api/v1", **headers: str) -> httpx.Client:
        """A client of the vendor's routes, with the key unless other headers are given. Kept: making one is slow."""
        key = (path, *sorted(headers.items()))
        if key not in self.clients:
            headers = headers or {"X-API-Key": KEY}
            self.clients[key] = httpx.Client(base_url=self.url + path, headers=headers, timeout=30)
        return self.clients[key]

    @property
    def control(self) -> httpx.Client:
        return self.client("/_sandbox", Accept="application/json")

    def reset(self) -> None:
        self.control.post("/reset").raise_for_status()

    def fault(self, kind: str, **fields: Any) -> None:
        body = {"kind": kind, **{name.rstrip("_"): value for name, value in fields.items()}}
        answer = self.control.post("/faults", json=body)
        assert answer.is_success, answer.text

    def settings(self, **changes: Any) -> None:
        self.control.put("/settings", json=changes).raise_for_status()

    def query(self, key: str, **document: Any) -> None:
        answer = self.control.put(f"/queries/{key}", json=document)
        assert answer.is_success, answer.text

    def jobs(self, kind: str = "prediction") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control.get("/jobs", params={"kind": kind}).json()["jobs"]
        return found

    # -- what every test of the SDK dialect does

    def body(self, table: str | None, query: str = "next_best_product", **changes: Any) -> dict[str, Any]:
        models = self.client().get("/training_jobs", params={"pquery_id": query, "job_status": "DONE"}).json()
        outputs = [
            {
                "artifact_type": "PREDICTIONS",
                "connector_id": "sandbox_snowflake",
                "table_name": table,
                "storage_type": "SNOWFLAKE",
                "extra_fields": ["JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"],
                "write_mode": "OVERWRITE",
            }
        ]
        return {
            "job_tags": {},
            "model_training_job_id": models[0]["job_id"],
            "predict_options": {"num_classes_to_return": 5},
            "outputs": outputs if table else [],
            **changes,
        }

    def launch(self, table: str | None, query: str = "next_best_product", **changes: Any) -> str:
        answer = self.client().post("/prediction_jobs", json=self.body(table, query, **changes))
        assert answer.status_code == 200, answer.text
        assert answer.json()[0] is not None, answer.text
        return str(answer.json()[0])

    def wait(self, job_id: str, kind: str = "prediction_jobs", seconds: float = 30) -> dict[str, Any]:
        """Poll to a terminal status."""
        client = self.client()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job: dict[str, Any] = client.get(f"/{kind}/{job_id}").json()
            if job["job_status_report"]["status"] in ("DONE", "FAILED", "CANCELLED"):
                return job
            time.sleep(0.03)
        raise AssertionError(f"{job_id} is still {job['job_status_report']['status']} after {seconds} s")

    def until(self, job_id: str, condition: Callable[[dict[str, Any]], bool], seconds: float = 30) -> dict[str, Any]:
        client = self.client()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job: dict[str, Any] = client.get(f"/prediction_jobs/{job_id}").json()
            if condition(job):
                return job
            time.sleep(0.02)
        raise AssertionError(f"never so: {job['job_status_report']}")


@dataclass
class Warehouse:
    """The Snowflake server and how to ask it."""

    env: dict[str, str]

    def connect(self) -> snowflake.connector.SnowflakeConnection:
        return snowflake.connector.connect(
            host="127.0.0.1",
            port=int(self.env["SNOWFLAKE_PORT"]),
            protocol="http",
            account="sandbox",
            user=self.env["SNOWFLAKE_USER"],
            password=self.env["SNOWFLAKE_PASSWORD"],
            database="KUMO",
            schema="PUBLIC",
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            found: list[tuple[Any, ...]] = connection.cursor().execute(sql).fetchall()
            return found

    def columns(self, table: str) -> list[str]:
        sql = (
            f"SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
        )
        return [row[0] for row in self.rows(sql)]

    def exists(self, table: str) -> bool:
        return bool(self.columns(table))


def small_logs() -> pd.DataFrame:
    """Each household buys its own three favourites about weekly, and a common item now and then."""
    chance = random.Random(7)
    rows = []
    basket = 0
    for household in range(1, HOUSEHOLDS + 1):
        for day in range(household % 7, DAYS, 7):
            # A quarter of the households leaves after two months, so that churn has something to find.
            if household % 4 == 0 and day > 60:
                break
            basket += 1
            moment = FIRST_DAY + timedelta(days=day, hours=chance.randrange(8, 20), minutes=chance.randrange(60))
            items = [100 + (household * k) % 23 for k in (1, 2, 3) if chance.random() < 0.8]
            items += [chance.randrange(1, 9)]
            for item in dict.fromkeys(items):
                rows.append((household, 1 + household % 3, basket, item, 1, round(chance.uniform(1, 9), 2), moment))
    return pd.DataFrame(rows, columns=list("HSBPQVT"))


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    env = {
        **os.environ,
        "KUMO_SANDBOX_SNOWFLAKE_STATE": str(tmp_path_factory.mktemp("snowflake")),
        "SNOWFLAKE_HOST": "127.0.0.1",
        "SNOWFLAKE_PORT": str(free_port()),
        "SNOWFLAKE_PROTOCOL": "http",
        "SNOWFLAKE_ACCOUNT": "sandbox",
        "SNOWFLAKE_USER": "KUMO_ASSETS",
        "SNOWFLAKE_PASSWORD": "pass",
        "SNOWFLAKE_DATABASE": "KUMO",
        "SNOWFLAKE_SCHEMA": "PUBLIC",
        "SNOWFLAKE_WAREHOUSE": "SANDBOX",
    }
    home, command = tmp_path_factory.mktemp("server"), [sys.executable, "-m", "kumo_sandbox.snowflake.server"]
    with Server("snowflake", home, command, int(env["SNOWFLAKE_PORT"]), env, healthy):
        found = Warehouse(env)
        found.rows(
            "CREATE TABLE RAW.TRANSACTIONS (HOUSEHOLD_ID NUMBER, STORE_ID NUMBER, BASKET_ID NUMBER, PRODUCT_ID NUMBER, "
            "QUANTITY NUMBER, SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)"
        )
        # DuckDB reads the file; two thousand rows of VALUES take its SQL parser ten seconds.
        file = tmp_path_factory.mktemp("logs") / "small.parquet"
        small_logs().to_parquet(file)
        found.rows(f"INSERT INTO RAW.TRANSACTIONS SELECT * FROM read_parquet('{file}')")
        yield found


def make_emulator(warehouse: Warehouse, state: Path, **env: str) -> Emulator:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "kumo_sandbox.kumo.app:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    settings = {
        **warehouse.env,
        "KUMO_SANDBOX_KUMO_STATE": str(state),
        "KUMO_SANDBOX_API_KEY": KEY,
        "KUMO_SANDBOX_PACE": "0.05",
        **env,
    }
    return Emulator(Server("kumo", state, command, port, settings, healthy))


@pytest.fixture(scope="session")
def shared_emulator(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = make_emulator(warehouse, tmp_path_factory.mktemp("kumo"))
    emulator.start()
    yield emulator
    emulator.close()


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Iterator[Emulator]:
    """The shared emulator, reset before and after."""
    shared_emulator.reset()
    yield shared_emulator
    shared_emulator.reset()


@pytest.fixture
def own_emulator(warehouse: Warehouse, tmp_path: Path) -> Iterator[Emulator]:
    """An emulator of this test alone, not started yet: to be killed and started again."""
    emulator = make_emulator(warehouse, tmp_path)
    yield emulator
    emulator.close()


@pytest.fixture
def table() -> str:
    """A table name no other test uses."""
    return f"KUMO_TEST_{random.getrandbits(48):012X}"
