"""A company's own Dagster project uses the Components without a fork: scaffold, load, list, and be told what is wrong.

Real `dg` processes in a project of a few files, as a user would type them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from kumo_assets import components

pytestmark = pytest.mark.slow

PYPROJECT = """
[project]
name = "acme"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "acme"
"""
DEFINITIONS = """
from pathlib import Path

import dagster as dg

from kumo_assets.definitions import shared_definitions


class Lake(dg.ConfigurableResource):
    name: str


@dg.asset
def report(s3: Lake, snowflake: Lake) -> None: ...


@dg.definitions
def defs() -> dg.Definitions:
    own = dg.Definitions(
        assets=[report],
        resources={"s3": Lake(name="ours"), "snowflake": Lake(name="ours too")},
        executor=dg.multiprocess_executor,
    )
    return dg.Definitions.merge(
        shared_definitions(), own, dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    )
"""


class Project:
    """A second, small Dagster project. It has an `s3`, a `snowflake` and an executor of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.defs = folder / "acme" / "defs"

    def dg(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dg ...` in the project, with no KUMO_*, SNOWFLAKE_* or AWS_* variable set: definitions need none (rule 10)."""
        bare = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KUMO_", "SNOWFLAKE_", "AWS_", "DAGSTER_"))
        }
        return subprocess.run(
            [str(Path(sys.executable).parent / "dg"), *arguments],
            cwd=self.folder,
            env={
                **bare,
                "PYTHONPATH": os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")]),
                "DAGSTER_DISABLE_TELEMETRY": "1",
                "DAGSTER_HOME": "",
                "COLUMNS": "300",
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("own_project")
    made = Project(folder)
    made.defs.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "acme" / "__init__.py").write_text("")
    (folder / "acme" / "definitions.py").write_text(DEFINITIONS)
    for component, name in (("RawLogs", "raw_logs"), ("PredictiveQuery", "next_offer")):
        done = made.dg("scaffold", "defs", f"kumo_assets.components.{component}", name)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_what_is_scaffolded_is_valid_commented_and_loads_as_it_stands(project: Project) -> None:
    text = (project.defs / "next_offer" / "defs.yaml").read_text()
    assert "type: kumo_assets.components.PredictiveQuery" in text
    assert text.count("#") > 20
    assert (project.defs / "next_offer" / "postprocess.sql.example").is_file()
    listed = project.dg("list", "defs", "--json")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    found = json.loads(listed.stdout)
    keys = {item["asset_key"] for item in found["assets"]}
    chain = ("predictions", "postprocessed", "s3_export", "dynamodb_table", "active_pointer")
    assert {f"next_offer/{asset}" for asset in chain} <= keys
    assert {"raw/raw_logs_events", "report"} <= keys
    assert "next_offer_daily" in {item["name"] for item in found["jobs"]}
    assert "next_offer_daily_schedule" in {item["name"] for item in found["schedules"]}
    assert [item["name"] for item in found["sensors"]] == ["promotion_sensor"]


def test_wrong_yaml_fails_the_check_with_file_field_value_and_what_is_allowed(project: Project) -> None:
    path = project.defs / "next_offer" / "defs.yaml"
    text = path.read_text()
    path.write_text(text.replace("task: ranking ", "task: rankng "))
    try:
        done = project.dg("check", "defs")
    finally:
        path.write_text(text)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    for words in ("next_offer/defs.yaml", "task", "rankng", "ranking", "multiclass_classification"):
        assert words in told, told


def test_the_components_are_registered_for_dg() -> None:
    registered = {point.value for point in entry_points(group="dagster_dg_cli.registry_modules")}
    assert "kumo_assets.components" in registered
    assert set(components.__all__) == {"PredictiveQuery", "RawLogs"}
