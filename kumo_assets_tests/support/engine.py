"""A real Kumo Engine for tests: its Python, real grocery logs of some households in Snowflake, and a query that asks it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.grocery.log import grocery_log
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.sources.engine import process

PYTHON = Path(__file__).parents[2] / ".venv-engine" / "bin" / "python"
HOUSEHOLDS = 480
LAST_DAY = "2017-12-01"
QUESTION = '''
"""Which products each household is most likely to buy in the next 28 days."""
TABLES = {
    "households": {
        "raw_log": "transactions", "distinct": True, "columns": ["HOUSEHOLD_ID"], "primary_key": "HOUSEHOLD_ID",
    },
    "transactions": {
        "raw_log": "transactions",
        "columns": ["HOUSEHOLD_ID", "PRODUCT_ID", "QUANTITY", "SALES_VALUE", "TRANSACTION_TIMESTAMP"],
        "time_column": "TRANSACTION_TIMESTAMP",
    },
    "products": {
        "raw_log": "products",
        "columns": ["PRODUCT_ID", "DEPARTMENT"],
        "primary_key": "PRODUCT_ID",
        "stypes": {"DEPARTMENT": "categorical"},
    },
}
EDGES = [("transactions", "HOUSEHOLD_ID", "households"), ("transactions", "PRODUCT_ID", "products")]
PQL = "PREDICT LIST_DISTINCT(transactions.PRODUCT_ID, 0, 28, days) RANK TOP 12 FOR EACH households.HOUSEHOLD_ID"
'''
# Two epochs of the smallest model: a minute on two busy cores.
SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "small": True,
    "channels": 64,
    "batch_size": 128,
    "learning_rate": 0.005,
    "fan_out": 64,
    "threads": 1,
}
RAW = {
    "schema": "ENGINE",
    "tables": {
        "transactions": {"table": "TRANSACTIONS", "event_time": "TRANSACTION_TIMESTAMP"},
        "products": {"table": "PRODUCTS"},
    },
}


def by_engine(attributes: dict[str, Any]) -> None:
    """Make the shipped query one of the Engine's."""
    attributes["source"] = {"engine": SETTINGS}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The Engine's Python, named in this test's environment; its scratch is the test's own."""
    if not PYTHON.exists():
        pytest.skip("no Kumo Engine: make .engine.stamp")
    monkeypatch.setenv("KUMO_ENGINE_PYTHON", str(PYTHON))
    monkeypatch.setenv("KUMO_ENGINE_SCRATCH", str(tmp_path / "scratch"))
    return PYTHON


@pytest.fixture(scope="session")
def groceries(running_sandbox: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> SandboxHandle:
    """The grocery year of 480 households to the end of 2017-11-30, in a schema of its own."""
    folder = tmp_path_factory.mktemp("groceries")
    database = grocery_log().database
    chosen = f"(SELECT DISTINCT HOUSEHOLD_ID FROM events ORDER BY hash(HOUSEHOLD_ID) LIMIT {HOUSEHOLDS})"
    events = f"SELECT * FROM events WHERE TRANSACTION_TIMESTAMP < '{LAST_DAY}' AND HOUSEHOLD_ID IN {chosen}"
    tables = {
        "TRANSACTIONS": (
            events,
            "HOUSEHOLD_ID NUMBER, STORE_ID NUMBER, BASKET_ID NUMBER, PRODUCT_ID NUMBER, "
            "QUANTITY NUMBER, SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ",
        ),
        "PRODUCTS": (
            f"SELECT PRODUCT_ID, NAME, DEPARTMENT FROM items WHERE PRODUCT_ID IN (SELECT PRODUCT_ID FROM ({events}))",
            "PRODUCT_ID NUMBER, NAME VARCHAR, DEPARTMENT VARCHAR",
        ),
    }
    with connect(running_sandbox.env) as connection:
        cursor = connection.cursor()
        cursor.execute('CREATE SCHEMA IF NOT EXISTS "KUMO"."ENGINE"')
        for name, (select, columns) in tables.items():
            file = folder / f"{name}.parquet"
            database.execute(f"COPY ({select}) TO '{file}'")
            place = f'"KUMO"."ENGINE"."{name}"'
            stage = f"@KUMO.ENGINE.%{name}"
            cursor.execute(f"CREATE OR REPLACE TABLE {place} ({columns})")
            cursor.execute(f"PUT 'file://{file}' {stage} AUTO_COMPRESS = FALSE")
            cursor.execute(
                f"COPY INTO {place} FROM {stage} FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
            )
    return running_sandbox


def processes(folder: Path) -> list[int]:
    """Running processes whose working folder is in `folder`: the Engine's, and its workers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                here = os.readlink(entry / "cwd")
            except OSError:
                continue
            if here.startswith(str(folder)):
                found.append(int(entry.name))
    return found


@pytest.fixture
def engine_program(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped program and the stub of the Engine's calls; its file `mode` says how that fails."""
    folder = tmp_path / "program"
    folder.mkdir()
    shutil.copy(process.PROGRAM, folder)
    shutil.copy(Path(__file__).with_name("engine_stub") / "engine_calls.py", folder)
    monkeypatch.setattr(process, "PROGRAM", folder / process.PROGRAM.name)
    return folder
