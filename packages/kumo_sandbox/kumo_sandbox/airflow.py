"""A whole Airflow on this machine, for a person (`make airflow`) and for the tests of packages/kumo_airflow.

Its own environment (`.venv-airflow`, from requirements/airflow.lock), SQLite, everyone an admin, everything on the
loopback interface. Only its variables, set-up and programs are here; running them is `dev`'s or a test's business.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kumo_sandbox.errors import SandboxError, SandboxUsage

CONNECTION = "kumo_dagster_default"
# Local only, like everything of the sandbox: this Airflow answers on 127.0.0.1 and nowhere else.
LOCAL_SECRET = "kumo-sandbox-local-airflow"
SET_UP_SECONDS = 180
TALKATIVE = (
    "http.access", "uvicorn", "supervisor", "airflow.api_fastapi", "airflow.dag_processing", "airflow.executors",
    "airflow.jobs", "airflow.models", "airflow.sdk.api", "airflow.serialization",
)  # fmt: skip
EMPTY = Path(".venv-airflow", "empty")


def environment(
    home: Path, *, port: int, dags: Path, dagster_url: str, token: str = "", queries: Path | None = None
) -> dict[str, str]:
    """The variables of every Airflow program. `home` holds its database and logs; `port` is its web page's."""
    url = f"http://127.0.0.1:{port}"
    connection = {"conn_type": "kumo_dagster", "host": dagster_url, "password": token}
    set_to = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "2",
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__TEST_CONNECTION": "Enabled",
        "CORE__DEFAULT_TIMEZONE": "UTC",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": LOCAL_SECRET,
        "API_AUTH__JWT_SECRET": LOCAL_SECRET * 3,
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
        "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "SCHEDULER__USE_JOB_SCHEDULE": "True",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # A person's terminal has five programs more: of Airflow's own words only its trouble is shown there. What tasks and
        # triggers say is in their logs, whole.
        "LOGGING__NAMESPACE_LEVELS": " ".join(f"{name}=WARNING" for name in TALKATIVE),
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    found = {f"AIRFLOW__{name}": value for name, value in set_to.items()}
    found |= {"AIRFLOW_HOME": str(home), f"AIRFLOW_CONN_{CONNECTION.upper()}": json.dumps(connection)}
    if queries is not None:
        found["KUMO_AIRFLOW_QUERIES"] = str(queries)
    return found


def programs(folder: Path) -> dict[str, list[str]]:
    """Name -> command of the programs that make an Airflow 3. `folder` is the project's root.

    Raises SandboxUsage when the environment is not installed.
    """
    airflow = folder / ".venv-airflow" / "bin" / "airflow"
    if not airflow.exists():
        raise SandboxUsage("start Airflow", found=f"no {airflow}", next="make airflow, which installs it")
    return {
        "api-server": [str(airflow), "api-server"],
        "scheduler": [str(airflow), "scheduler", "--skip-serve-logs"],
        "processor": [str(airflow), "dag-processor"],
        "triggerer": [str(airflow), "triggerer", "--skip-serve-logs"],
    }


def set_up(folder: Path, variables: Mapping[str, str]) -> None:
    """Make the database of `AIRFLOW_HOME`, unless it is there: a copy of the empty one that was made with the
    environment. `variables`: a whole process environment. Raises SandboxError."""
    home = Path(variables["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "airflow.db").exists() and (folder / EMPTY / "airflow.db").exists():
        shutil.copy(folder / EMPTY / "airflow.db", home / "airflow.db")
    elif not (home / "airflow.db").exists():
        _migrate(folder, variables)


def _migrate(folder: Path, variables: Mapping[str, str]) -> None:
    command = [str(folder / ".venv-airflow" / "bin" / "airflow"), "db", "migrate"]
    done = subprocess.run(
        command, env=dict(variables), capture_output=True, text=True, timeout=SET_UP_SECONDS, check=False
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise SandboxError(
            "set up Airflow's database in",
            to=variables["AIRFLOW_HOME"],
            found=" ".join(last),
            next="remove that folder",
        )


def main() -> None:
    """`python -m kumo_sandbox.airflow FOLDER`: an empty database in FOLDER, for `set_up` to copy. The Makefile's."""
    home = Path(sys.argv[1]).absolute()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    variables = {**os.environ, **environment(home, port=0, dags=home, dagster_url="http://127.0.0.1")}
    _migrate(Path.cwd(), variables)


if __name__ == "__main__":
    main()
