"""The project that the old commit ran to make `data/`, and that the tests go on with: three queries over small raw logs.

It is written in the old commit's YAML for `make_data.py`, and in today's for the tests. Nothing of ours is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ENVIRONMENT = "upgrade"
# The sandbox's tests use the schema RAW, so these raw logs have a schema of their own.
SCHEMA = "UPGRADE"
KUMO_QUERY = "upgrade_next_product"
ON_S3, IN_ZOOKEEPER, EDITED = "products_on_s3", "products_in_zookeeper", "products_edited_by_hand"
QUERIES = (ON_S3, IN_ZOOKEEPER, EDITED)
HOUSEHOLDS, PRODUCTS = 8, 8
# The days whose gates are explained in `answers.json`: blocked, waiting, forced.
GATE_DAYS = {ON_S3: ("2017-11-24", "2017-11-25"), IN_ZOOKEEPER: (), EDITED: ("2017-11-21",)}
# One query asks every gate. The others leave these out, to keep the data small.
_OFF = ("raw_volume", "score_range", "score_drift", "class_share", "top_item", "coverage", "overlap")

# The definition, for the Kumo emulator, of the query that all three ask (PUT /_sandbox/queries/<id>).
KUMO_SETTINGS = {
    "task": "temporal_link_prediction",
    "table": f"{SCHEMA}.TRANSACTIONS",
    "entity": "HOUSEHOLD_ID",
    "item": "PRODUCT_ID",
    "time": "TRANSACTION_TIMESTAMP",
    "graph": KUMO_QUERY,
}

_DEFINITIONS = """from pathlib import Path

import dagster as dg
from kumo_assets.definitions import {shared}


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions.merge({shared}(), dg.load_from_defs_folder(path_within_project=Path(__file__).parent))
"""


def write_project(folder: Path, *, old: bool = False) -> None:
    """A `dg` project at `folder`, package `upgrade_project`; as the old commit reads it, or as today's code does."""
    defs = folder / "upgrade_project" / "defs"
    defs.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "upgrade-project"\nversion = "0.1.0"\n\n[tool.dg]\ndirectory_type = "project"\n\n'
        '[tool.dg.project]\nroot_module = "upgrade_project"\n'
    )
    for package in (defs.parent, defs):
        (package / "__init__.py").write_text("")
    (defs.parent / "definitions.py").write_text(_DEFINITIONS.format(shared="shell" if old else "shared_definitions"))
    _write(defs / "raw_logs", "RawLogs", _raw_logs())
    for query in QUERIES:
        attributes = _query(query)
        if old:
            attributes["kumo"] = {**attributes.pop("source")["kumo"], "task": attributes.pop("task")}
        _write(defs / query, "PredictiveQuery", attributes)


def raw_log_statements() -> list[str]:
    """SQL that makes the raw logs: each household takes a product or two a day, up to the end of 2017-11-30."""
    rows = []
    for day in range(40):
        month, number = (10, 22 + day) if day < 10 else (11, day - 9)
        for household in range(1, HOUSEHOLDS + 1):
            product = 100 + (household * 3 + day // 3 + (day * household) % 2) % PRODUCTS
            at = f"2017-{month}-{number:02d} {(household * 3 - 1) % 24:02d}:{day:02d}:00"
            rows.append(f"({household}, {product}, '{at}'::TIMESTAMP_NTZ)")
    return [
        f'CREATE SCHEMA IF NOT EXISTS "KUMO"."{SCHEMA}"',
        f'CREATE TABLE "KUMO"."{SCHEMA}"."TRANSACTIONS" (HOUSEHOLD_ID NUMBER, PRODUCT_ID NUMBER, '
        "TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)",
        f'INSERT INTO "KUMO"."{SCHEMA}"."TRANSACTIONS" VALUES {", ".join(rows)}',
        f'CREATE TABLE "KUMO"."{SCHEMA}"."PRODUCTS" (PRODUCT_ID NUMBER, NAME VARCHAR)',
        f'INSERT INTO "KUMO"."{SCHEMA}"."PRODUCTS" VALUES '
        + ", ".join(f"({100 + number}, 'product {number}')" for number in range(PRODUCTS)),
    ]


def _raw_logs() -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "owners": ["team:upgrade"],
        "tables": {
            "transactions": {"table": "TRANSACTIONS", "event_time": "TRANSACTION_TIMESTAMP"},
            "products": {"table": "PRODUCTS"},
        },
    }


def _query(name: str) -> dict[str, Any]:
    kumo: dict[str, Any] = {
        "predictive_query_id": KUMO_QUERY,
        "connector": "sandbox_snowflake",
        "graph_id": KUMO_QUERY,
        "poll": {"first_seconds": 0.1, "max_seconds": 1, "deadline_minutes": 10, "table_seconds": 1},
    }
    special: dict[str, Any] = {}
    if name != ON_S3:
        special["gates"] = {gate: {"mode": "off"} for gate in _OFF}
    if name == IN_ZOOKEEPER:
        kumo["training"] = {"schedule": "0 4 * * 0"}
        special["pointer"] = {"store": "zookeeper", "plain_text_copy": True}
    return {
        "owners": ["team:upgrade"],
        "entity": "household",
        "raw_logs": ["transactions", "products"],
        "task": "ranking",
        "source": {"kumo": kumo},
        "top_k": 3,
        "table": {"poll_seconds": 0.2, "sample": 4},
        "schedule": {"start": "2017-11-17", "end": "2017-11-30"},
        # Whatever the rules do not protect may go at once: a restored object is as old as its restoration.
        "retention": {"keep": 1, "min_age_hours": 0, "grace_minutes": 0},
        # Nothing is stale or late, whenever the data is read.
        "stale_after_hours": 87_000,
        "waiting_after_hours": 87_000,
        **special,
    }


def _write(folder: Path, kind: str, attributes: dict[str, Any]) -> None:
    folder.mkdir()
    document = {"type": f"kumo_assets.components.{kind}", "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
