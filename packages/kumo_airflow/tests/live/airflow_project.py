"""What the tests of a living Airflow put on disk and into the warehouse before it starts: a Dagster project of the shipped
query, Dagster's home, the DAGs, and two months of made-up logs. The programs that run over it are in `airflow_world`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml
from kumo_sandbox.snowflake.client import connect

ROOT = Path(__file__).parents[4]
SHIPPED = ROOT / "kumo_assets" / "defs"
QUERY, JOB = "next_best_product", "next_best_product_daily"
DAGS = """
from datetime import datetime, timedelta, timezone
from kumo_airflow.compat import DAG
from kumo_airflow.dags import daily_dag, daily_timetable, read_queries
from kumo_airflow.operators import KumoDailyOperator

(query,) = read_queries()
quick = {"poll_seconds": 2.0, "outage_seconds": 120.0}
# More than a day needs: a machine under load fails runs of its own (a code server that does not answer in time).
retries = {"retries": 5, "retry_delay": timedelta(seconds=1)}
due = datetime(2017, 11, 29, 2, tzinfo=timezone.utc)
scheduled = daily_dag(
    query, dag_id="scheduled", catchup=True, start_date=due, end_date=due, default_args=retries, operator_options=quick
)
plain = {"query": "next_best_product", "task_id": "build", "time_zone": "UTC", **quick}
with DAG(
    "backfilled", schedule=daily_timetable("02:00", "UTC"), start_date=datetime(2017, 11, 2), end_date=due,
    catchup=False, default_args=retries,
):
    KumoDailyOperator(deferrable=True, **plain)
for name, deferrable in (("killed", True), ("killed_in_worker", False)):
    with DAG(name, schedule=None, start_date=datetime(2017, 11, 2), default_args=retries) as globals()[name]:
        KumoDailyOperator(deferrable=deferrable, **plain)
"""
PROJECT = """
from pathlib import Path
import dagster as dg
from kumo_assets.components.predictive_query import build_query
from kumo_assets.components.raw_logs import build_raw_logs
from kumo_assets.definitions import shared_definitions
from kumo_assets.config.index import DefinitionsIndex

index = DefinitionsIndex(Path(__file__).parent / "defs")
definition = index.query("next_best_product")
defs = dg.Definitions.merge(
    build_query(definition, index.raw_sources(definition)),
    build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
    shared_definitions(),
    dg.Definitions(executor=dg.in_process_executor),
)
"""


def project(folder: Path) -> None:
    """A Dagster project of the shipped query, with Airflow as its clock. Its gates only warn about drift, which made-up
    baskets have and these tests do not examine; Kumo's own warnings and broken keys block.
    """
    from kumo_assets.config.gates import GatesSpec

    for name in ("raw_logs", QUERY):
        (folder / "defs" / name).mkdir(parents=True)
        document = yaml.safe_load((SHIPPED / name / "defs.yaml").read_text())
        if name == QUERY:
            document["attributes"]["schedule"]["owner"] = "airflow"
            gates = [gate for gate, kind in GatesSpec.model_fields.items() if "mode" in dir_of(kind.annotation)]
            document["attributes"]["gates"] = {
                gate: {"mode": "warn"} for gate in gates if gate not in ("kumo_warnings", "keys")
            }
        (folder / "defs" / name / "defs.yaml").write_text(yaml.safe_dump(document))
    (folder / "airflow_clocked.py").write_text(PROJECT)
    module = {"module_name": "airflow_clocked", "location_name": "kumo_assets"}
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))


def dir_of(kind: Any) -> set[str]:
    return set(getattr(kind, "model_fields", {}))


def dagster_home(folder: Path) -> Path:
    """The shipped dagster.yaml, with its storage in this folder."""
    home = folder / "dagster"
    home.mkdir()
    text = (ROOT / "dagster.yaml").read_text().replace(".dagster/", f"{home}/.dagster/")
    document = yaml.safe_load(text)
    document["run_monitoring"]["start_timeout_seconds"] = 600
    document["concurrency"]["runs"]["max_concurrent_runs"] = 5
    document["run_coordinator"] = {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
        # Dagster takes the queue's settings in one place.
        "config": {"dequeue_interval_seconds": 1, **document.pop("run_queue")},
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(document))
    return home


def write_dags(folder: Path, environment: dict[str, str]) -> None:
    (folder / "dags").mkdir()
    (folder / "dags" / "tested.py").write_text(DAGS)
    command = [str(ROOT / ".venv" / "bin" / "kumo-assets"), "queries", "--json"]
    asked = {**environment, "KUMO_ASSETS_DEFS": str(folder / "defs")}
    done = subprocess.run(command, env=asked, capture_output=True, text=True, timeout=120, check=True)
    (folder / "queries.json").write_text(done.stdout)


def seed_logs(env: dict[str, str]) -> None:
    """Two months of made-up baskets up to the end of 2017-11-30."""
    households, products = 60, 40
    rows = [
        f"({1 + n % households}, 1, {n}, {1000 + (n * n + n // 7) % products}, 1, 2.5, '2017-{10 + n // households % 2:02d}-"
        f"{1 + n // 7 % 30:02d} {n % 24:02d}:{n % 60:02d}:00'::TIMESTAMP_NTZ)"
        for n in range(2400)
    ]
    rows += [f"({1 + d}, 1, {9000 + d}, 1000, 1, 2.5, '2017-11-{d:02d} 23:59:00'::TIMESTAMP_NTZ)" for d in range(1, 31)]
    with connect(env) as connection:
        cursor = connection.cursor()
        cursor.execute(
            'CREATE OR REPLACE TABLE "KUMO"."RAW"."TRANSACTIONS" (HOUSEHOLD_ID NUMBER, STORE_ID NUMBER, BASKET_ID NUMBER, '
            "PRODUCT_ID NUMBER, QUANTITY NUMBER, SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)"
        )
        cursor.execute(f'INSERT INTO "KUMO"."RAW"."TRANSACTIONS" VALUES {", ".join(rows)}')
        cursor.execute('CREATE OR REPLACE TABLE "KUMO"."RAW"."PRODUCTS" (PRODUCT_ID NUMBER, NAME VARCHAR)')
        named = ", ".join(f"({1000 + number}, 'product {number}')" for number in range(products))
        cursor.execute(f'INSERT INTO "KUMO"."RAW"."PRODUCTS" VALUES {named}')
