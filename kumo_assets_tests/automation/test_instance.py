"""dagster.yaml and workspace.yaml, as they stand in the repository's root: what is retried, what never is, where it goes."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.tags import WILL_RETRY_TAG

ROOT = Path(__file__).parents[2]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def gated() -> dg.Definitions:
    @dg.asset
    def predictions() -> None:
        pass

    @dg.asset_check(asset=predictions, blocking=True)
    def volume() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    return dg.Definitions(
        assets=[predictions],
        asset_checks=[volume],
        jobs=[dg.define_asset_job("daily")],
        executor=dg.in_process_executor,
    )


def test_a_failed_gate_is_never_asked_twice(instance: dg.DagsterInstance) -> None:
    result = gated().resolve_job_def("daily").execute_in_process(instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert run.tags[WILL_RETRY_TAG] == "false"


def test_a_run_whose_worker_died_is_started_again(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(gated().resolve_job_def("daily"), status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(
        run,
        "the worker is gone",
        JobFailureData(error=None, failure_reason=RunFailureReason.RUN_EXCEPTION),
    )
    died = instance.get_run_by_id(run.run_id)
    assert died is not None
    assert died.tags[WILL_RETRY_TAG] == "true"
    assert instance.run_monitoring_enabled


def test_everything_dagster_writes_goes_under_one_ignored_folder(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    gated().resolve_job_def("daily").execute_in_process(instance=instance, raise_on_error=False)
    assert {path.name for path in tmp_path.iterdir()} == {"dagster.yaml", ".dagster"}
    assert ".dagster/" in (ROOT / ".gitignore").read_text().splitlines()
    assert not instance.telemetry_enabled


def test_the_workspace_names_the_definitions_of_this_repository() -> None:
    [entry] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    module = importlib.import_module(entry["python_module"]["module_name"])
    assert callable(module.defs)
