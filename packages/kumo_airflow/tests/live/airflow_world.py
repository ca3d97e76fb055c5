"""A real Airflow 3.3 (scheduler, API server, DAG processor, triggerer) beside a real Dagster (webserver, daemon) on the
sandbox. One of each for the whole module, and everything they are to do is begun at once: the work is the outside
systems' and overlaps, and the tests wait for their own part.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import tenacity
import yaml
from kumo_airflow.client import Dagster, Settings
from kumo_sandbox import airflow as airflow_programs
from kumo_sandbox.dev import dagster_programs, make_dagster_storage
from kumo_sandbox.settings import free_port
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

ROOT = Path(__file__).parents[4]
SHIPPED = ROOT / "kumo_assets" / "defs"
QUERY, JOB = "next_best_product", "next_best_product_daily"
TOKEN = "tok-5eCr3t-of-dagster"
SCHEDULED_DAY, KILLED_DAYS = "2017-11-28", ["2017-11-10", "2017-11-11"]
KILLED_DAGS = ["killed", "killed_in_worker"]
BACKFILL_DAYS = [f"2017-11-{day}" for day in (20, 21, 22, 23, 24)]
RETRIED_DAY, BAD_DAY = BACKFILL_DAYS[1], BACKFILL_DAYS[2]
PATIENCE = 600.0
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
from kumo_assets.config.load import load_query, load_raw_logs

folder = Path(__file__).parent / "defs"
defs = dg.Definitions.merge(
    build_query(load_query("next_best_product", folder)),
    build_raw_logs("raw_logs", load_raw_logs(folder)["raw_logs"]),
    shared_definitions(),
    dg.Definitions(executor=dg.in_process_executor),
)
"""


# What Airflow answers when another program wrote to its SQLite file between a read and a write of one transaction, which
# ends that transaction at once whatever the time-out (SQLITE_BUSY_SNAPSHOT), and takes back all it had done: 503 from
# `create_backfill`, 500 from `SQLAlchemyErrorHandler` (airflow/api_fastapi of 3.3.2). A person would press again.
LOCKED = re.compile(r"Database is locked|\"reason\": ?\"Database error\"")


def wait_for(what: str, ask: Callable[[], Any], seconds: float = PATIENCE, pause: float = 1.0) -> Any:
    """What `ask` answers once it is true. Other people's load is no failure: patience is long."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, KeyError):
            last = ask()
            if last:
                return last
        time.sleep(pause)
    raise AssertionError(f"waited {seconds:.0f} s for {what}; last: {last!r}")


class Programs:
    """Processes in groups of their own, their words in files, ended in reverse order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str], cwd: Path) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def all_run(self) -> bool:
        """Raises AssertionError with the last words of one that ended by itself."""
        for name, process in self.running.items():
            words = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
            assert process.poll() is None, f"{name} ended with status {process.returncode}:\n{words}"
        return True

    def kill(self, name: str) -> int:
        """SIGKILL to a program and all it started, as a machine that dies would."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return process.pid

    def end(self) -> None:
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class World:
    """Both, running. `api` is Airflow's REST API, `dagster` a client of Dagster's."""

    sandbox: SandboxHandle
    environment: dict[str, str]
    airflow: dict[str, str]
    programs: Programs
    dagster: Dagster
    url: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def api(self, method: str, path: str, **options: Any) -> Any:
        if "Authorization" not in self.http.headers:
            token = self.http.get("/auth/token").raise_for_status().json()["access_token"]
            self.http.headers["Authorization"] = f"Bearer {token}"
        again = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda answer: bool(LOCKED.search(answer.text))),
            wait=tenacity.wait_random(0.2, 2),
            stop=tenacity.stop_after_delay(60),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer = again(self.http.request, method, f"/api/v2{path}", **options)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return list(self.api("GET", f"/dags/{dag}/dagRuns", params={"order_by": "run_after"})["dag_runs"])

    def task(self, dag: str, run: str, task: str = "build") -> dict[str, Any]:
        return dict(self.api("GET", f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}"))

    def ended(self, dag: str, run: str, task: str = "build") -> dict[str, Any]:
        def ask() -> Any:
            found = self.task(dag, run, task)
            return found if found["state"] in ("success", "failed", "skipped", "upstream_failed") else None

        return dict(wait_for(f"{dag} {run} {task} to end", ask))

    def xcom(self, dag: str, run: str, key: str, task: str = "build") -> Any:
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/xcomEntries/{key}"
        return self.api("GET", path)["value"]

    def log(self, dag: str, run: str, attempt: int, task: str = "build") -> str:
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/logs/{attempt}"
        lines = self.api("GET", path, headers={"Accept": "application/json"})["content"]
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in lines)

    def dagster_runs(self, day: str) -> list[Any]:
        from kumo_airflow import operations

        return sorted(self.dagster.do(operations.runs(JOB, {"dagster/partition": day})), key=lambda run: run.created)

    def kumo_jobs(self, day: str) -> list[dict[str, Any]]:
        book = httpx.get(self.sandbox.url["kumo"] + "/_sandbox/jobs", trust_env=False).json()
        jobs = book["jobs"] if isinstance(book, dict) else book
        return [job for job in jobs if job.get("tags", {}).get("kumo_assets.partition") == day]

    def backfill(self, dag: str, first: str, last: str) -> None:
        """Ask Airflow for a backfill, as a person does."""
        asked = {
            "dag_id": dag,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T23:00:00Z",
            "max_active_runs": 2,
            "reprocess_behavior": "none",
        }
        self.api("POST", "/backfills", json=asked)

    def start_airflow(self, name: str) -> None:
        command = airflow_programs.programs(ROOT)[name]
        self.programs.start(f"airflow-{name}", command, self.airflow, Path(self.airflow["AIRFLOW_HOME"]))


@pytest.fixture(scope="module")
def world(running_sandbox: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("airflow")
    running_sandbox.reset_faults()
    seed_logs(running_sandbox.env)
    programs = Programs(folder)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTEST"))}
    environment = {
        **inherited,
        **running_sandbox.env,
        "KUMO_ASSETS_ENV": "airflowtests",
        "DAGSTER_HOME": str(dagster_home(folder)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(folder),
        # A busy machine takes minutes over what takes seconds; the default is 60.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
    }
    port, airflow_port = free_port(), free_port()
    project(folder)
    variables = {
        **inherited,
        **airflow_programs.environment(
            folder / "airflow",
            port=airflow_port,
            dags=folder / "dags",
            dagster_url=f"http://127.0.0.1:{port}",
            token=TOKEN,
            queries=folder / "queries.json",
        ),
        # What died with its scheduler is missed after this (a worker), and looked for this often (a task that no worker
        # had begun, once the dead scheduler has been silent for 30 s); the default is five minutes, both.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "http.access=WARNING",  # whoever reads them reads them for the rest
        # Of four, one waits in a worker until a test kills it.
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    }
    url = f"http://127.0.0.1:{port}"
    dagster = Dagster(Settings(url, outage_seconds=180))
    made = World(running_sandbox, environment, variables, programs, dagster, f"http://127.0.0.1:{airflow_port}")
    try:
        make_dagster_storage(environment, folder)
        for one in dagster_programs(folder, folder / "dagster", port):
            programs.start(f"dagster-{one.name}", one.command, environment, folder)
        airflow_programs.set_up(ROOT, variables)
        write_dags(folder, environment)
        for name in airflow_programs.programs(ROOT):
            if name != "scheduler":  # `begun` starts it, when there is something to do
                made.start_airflow(name)
        wait_for("Airflow", lambda: programs.all_run() and len(made.api("GET", "/dags")["dags"]) == 4)
        assert made.api("GET", "/importErrors")["import_errors"] == []
        wait_for("Dagster", lambda: programs.all_run() and serves(dagster))
        yield made
    finally:
        programs.end()
        running_sandbox.reset_faults()


def serves(dagster: Dagster) -> bool:
    """Does it answer, with the definitions loaded?"""
    from kumo_airflow import operations
    from kumo_airflow.errors import DagsterFailed, Unreachable

    with contextlib.suppress(DagsterFailed, Unreachable):
        return bool(dagster.do(operations.find_job(JOB)))
    return False


def project(folder: Path) -> None:
    """A Dagster project of the shipped query, clocked by Airflow. Its gates warn about drift, which is nobody's subject
    here and which two thousand made-up baskets have; Kumo's own warnings and broken keys block."""
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
        "config": {"dequeue_interval_seconds": 1},
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
