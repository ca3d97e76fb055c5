"""A query as code, with the vendor's unmodified SDK against the sandbox: saved once, trained once, compared by doctor.

The SDK runs in the conformance tests' environment, which is made once and kept (`.venv-conformance/`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.query_code import run_code, sdk_is_there

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "kumo_assets" / "defs"
_spec = importlib.util.spec_from_file_location(
    "conformance_environments", ROOT / "packages/kumo_sandbox/tests/kumo/conformance/environments.py"
)
assert _spec is not None
assert _spec.loader is not None
environments = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(environments)

PREPROCESS = "SELECT HOUSEHOLD_ID, PRODUCT_ID, TRANSACTION_TIMESTAMP FROM {{ transactions }} WHERE QUANTITY > 0;\n"
TRAINING = '''"""What is bought next."""

import kumoai as kumo


def predictive_query(sources):
    source = sources["sandbox_snowflake"][sources.view]
    events = kumo.Table.from_source_table(source, time_column="TRANSACTION_TIMESTAMP").infer_metadata()
    graph = kumo.Graph(tables={"events": events})
    text = "PREDICT LIST_DISTINCT(events.PRODUCT_ID, 0, 28, days) RANK TOP 12 FOR EACH events.HOUSEHOLD_ID"
    return kumo.PredictiveQuery(graph=graph, query=text)
'''


@dataclass
class Folder:
    """One query of one test: its folder, its environment, and the command line in it."""

    path: Path
    name: str
    env: dict[str, str]
    sandbox: SandboxHandle

    def run(self, *arguments: str) -> tuple[int, Any, str]:
        """(exit status, JSON of stdout, stderr) of `kumo-assets ... --json`."""
        done = subprocess.run(
            [sys.executable, "-m", "kumo_assets.cli.main", *arguments, "--json"],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.stdout.strip(), done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr

    def trainings(self) -> list[dict[str, Any]]:
        jobs = httpx.get(self.sandbox.url["kumo"] + "/_sandbox/jobs", trust_env=False).json()["jobs"]
        return [job for job in jobs if job["kind"] == "training" and job["query"] == self.name and job["tags"]]

    def code(self, **changes: str) -> Any:
        view = f"KUMO_{self.env['KUMO_ASSETS_ENV']}_{self.name}_INPUT".upper()
        return run_code("describe", self.path / "training.py", self.name, view=view, environ=self.env | changes)


@pytest.fixture
def folder(sandbox: SandboxHandle, tmp_path: Path) -> Folder:
    return _folder(sandbox, tmp_path, "current")


@pytest.fixture
def folder3(sandbox: SandboxHandle, tmp_path: Path) -> Folder:
    """A query of a tenant that speaks 3.0, with the vendor's beta."""
    made = _folder(sandbox, tmp_path, "v3")
    url = sandbox.url["kumo"] + "/v3/api"
    return replace(made, env={**made.env, "KUMO_API_DIALECT": "v3", "KUMO_API_URL": url})


def _folder(sandbox: SandboxHandle, tmp_path: Path, release: str) -> Folder:
    try:
        python = environments.python_of(release)
    except environments.EnvironmentMissing as missing:
        pytest.skip(f"no conformance environment: {missing}")
    name = "coded_" + uuid.uuid4().hex[:8]
    for shipped, target in (("raw_logs", "raw_logs"), ("next_best_product", name)):
        document = yaml.safe_load((SHIPPED / shipped / "defs.yaml").read_text())
        if target == name:
            document["attributes"]["source"]["kumo"] |= {"predictive_query_id": name}
            document["attributes"]["source"]["kumo"].pop("graph_id")
            document["attributes"]["raw_logs"] = ["transactions"]
        path = tmp_path / "defs" / target
        path.mkdir(parents=True)
        (path / "defs.yaml").write_text(yaml.safe_dump(document))
    (path / "preprocess.sql").write_text(PREPROCESS)
    (path / "training.py").write_text(TRAINING)
    _logs(sandbox)
    env = {
        **os.environ,
        **sandbox.env,
        "KUMO_ASSETS_ENV": "t" + uuid.uuid4().hex[:8],
        "KUMO_ASSETS_DEFS": str(tmp_path / "defs"),
        "KUMO_SDK_PYTHON": str(python),
    }
    return Folder(path, name, env, sandbox)


def _logs(sandbox: SandboxHandle) -> None:
    with connect(sandbox.env) as connection:
        rows = ", ".join(
            f"({1 + n % 30}, 1, {n}, {100 + n * n % 17}, {n % 9}, 2.5, "
            f"'2017-{10 + n % 2}-{1 + n % 30:02d} 12:00:00'::TIMESTAMP_NTZ)"
            for n in range(400)
        )
        cursor = connection.cursor()
        cursor.execute('CREATE SCHEMA IF NOT EXISTS "KUMO"."RAW"')
        cursor.execute(
            'CREATE TABLE IF NOT EXISTS "KUMO"."RAW"."TRANSACTIONS" (HOUSEHOLD_ID NUMBER, STORE_ID NUMBER, BASKET_ID '
            "NUMBER, PRODUCT_ID NUMBER, QUANTITY NUMBER, SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)"
        )
        if cursor.execute('SELECT COUNT(*) FROM "KUMO"."RAW"."TRANSACTIONS"').fetchall()[0][0] == 0:
            cursor.execute(f'INSERT INTO "KUMO"."RAW"."TRANSACTIONS" VALUES {rows}')


@pytest.mark.timeout(600)
def test_train_saves_and_trains_once_and_doctor_tells_a_tenant_that_differs(folder: Folder) -> None:
    # Nothing is there yet: that is a difference, too. The view is made by `train`.
    status, first, _ = folder.run("train", folder.name)
    assert status == 0, first
    assert first["in_use"] is True
    assert first["view"].endswith("_INPUT")
    assert folder.code().differences == []
    status, second, stderr = folder.run("train", folder.name)
    assert status == 0, second
    assert second["adopted"] is True
    assert "--again" in stderr
    assert second["training_job_id"] == first["training_job_id"]
    [trained] = folder.trainings()
    assert trained["config"]["graph_snapshot_id"].startswith(first["graph_id"])
    # The repository moves on: doctor names the difference and the command.
    text = (folder.path / "training.py").read_text()
    (folder.path / "training.py").write_text(text.replace("28, days", "14, days"))
    status, found, _ = folder.run("doctor")
    assert status == 1
    [finding] = [item for item in found["findings"] if item["what"] == f"query as code: {folder.name}"]
    assert finding["ok"] is False
    assert "0, 28, days" in finding["seen"]
    assert "0, 14, days" in finding["seen"]
    assert finding["fix"].startswith(f"kumo-assets train {folder.name}")
    status, shown, _ = folder.run("model", folder.name)
    assert shown["in_use"]["training_job_id"] == first["training_job_id"]


@pytest.mark.timeout(600)
def test_kumo_3_0_is_trained_from_the_folder_and_compared_with_it(folder3: Folder) -> None:
    status, first, stderr = folder3.run("train", folder3.name)
    assert status == 0, stderr
    assert first["in_use"] is True
    [trained] = folder3.trainings()
    assert trained["config"]["graph_snapshot_id"].startswith(first["graph_id"])
    assert folder3.code().differences == []


@pytest.mark.timeout(600)
def test_mistakes_in_training_py_are_told_with_file_and_line(folder: Folder) -> None:
    file = folder.path / "training.py"
    assert sdk_is_there(folder.env)
    file.write_text(TRAINING.replace('sources["sandbox_snowflake"]', 'sources["nowhere"]'))
    with pytest.raises(
        KumoRefused, match=r"training.py, line 7.*no Kumo connector is named 'nowhere'.*sandbox_snowflake"
    ):
        folder.code()
    file.write_text("x = 1\n")
    with pytest.raises(KumoRefused, match="defines no function predictive_query"):
        folder.code()
    # A Python without the SDK, and no key: both are configuration, and say what to install or set.
    file.write_text(TRAINING)
    with pytest.raises(ConfigError, match=r"kumo-assets\[kumoai\]"):
        folder.code(KUMO_SDK_PYTHON=sys.executable)
    with pytest.raises(ConfigError, match="KUMO_API_KEY"):
        folder.code(KUMO_API_KEY="")
    with pytest.raises(KumoRefused) as refused:
        folder.code(KUMO_API_KEY="acme:not-this-tenants-key")
    assert "not-this-tenants-key" not in str(refused.value)
