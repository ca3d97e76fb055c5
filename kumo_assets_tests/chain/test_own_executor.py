"""The chain in a company's own Dagster project, which has an `s3`, a `snowflake` and an executor of its own. What a person
clicks there, and what the sensor requests, goes by that executor: each step in a process of its own.

Real processes: Dagster starts an interpreter for each step, some 3 s, so there is one good day here and one bad one.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.assets.active_pointer import RELEASE_TAG
from kumo_assets.assets.keys import key_of
from kumo_assets.config.names import CHAIN, POINTER_ASSET
from kumo_assets_tests.chain.conftest import DAY, NEXT_DAY, QUERY, QUIET, Chain, written

pytestmark = pytest.mark.timeout(900)

OURS = "offers"
PYPROJECT = """
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "PACKAGE"
"""
DEFINITIONS = """
import os
from pathlib import Path

import dagster as dg

from kumo_assets.definitions import shared_definitions


class Bucket(dg.ConfigurableResource):
    name: str


class Account(dg.ConfigurableResource):
    user: str


@dg.asset(deps=[["offers", "dynamodb_table"]])
def announced(s3: Bucket, snowflake: Account) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"bucket": s3.name, "user": snowflake.user, "process": os.getpid()})


@dg.asset(key=["ads", "active_pointer"])
def somebody_elses() -> None:
    raise AssertionError("not ours to run")


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions.merge(
        shared_definitions(),
        dg.Definitions(
            assets=[announced, somebody_elses],
            resources={"s3": Bucket(name="lake"), "snowflake": Account(user="acme")},
            executor=dg.multiprocess_executor,
        ),
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
    )
"""


@dataclass
class Project:
    """A Dagster project of files, with an instance and an environment of its own."""

    chain: Chain
    folder: Path
    module: str

    def run(self, assets: Sequence[dg.AssetKey], tags: Mapping[str, str]) -> dg.JobExecutionResult:
        """A run of these assets and their checks out of the job that Dagster keeps for all assets, found by the project's
        module: what a run's process does after a click, or after the sensor's request."""
        name = self.chain.definitions.resolve_implicit_global_asset_job_def().name
        with dg.execute_job(
            ReconstructableRepository.for_module(self.module, "defs", str(self.folder)).get_reconstructable_job(name),
            instance=self.chain.instance,
            asset_selection=list(assets),
            tags={"user": "ann", **tags},
            run_config=QUIET,
            raise_on_error=False,
        ) as result:
            return result

    def build(self, day: str, *more: dg.AssetKey) -> dg.JobExecutionResult:
        return self.run([*(key_of(OURS, asset) for asset in CHAIN), *more], {"dagster/partition": day})

    def tick(self) -> dg.SensorResult:
        repository = self.chain.definitions.get_repository_def()
        resources = self.chain.definitions.resources or {}
        with dg.build_sensor_context(
            instance=self.chain.instance,
            repository_def=repository,
            resources={name: resources[name] for name in ("kumo_assets_releases", "kumo_assets_s3")},
        ) as context:
            found = repository.get_sensor_def("promotion_sensor")(context)
        assert isinstance(found, dg.SensorResult)
        return found


@pytest.fixture(scope="module")
def project(logs: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder, package = tmp_path_factory.mktemp("acme"), "acme_" + uuid.uuid4().hex[:8]
    (folder / package / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.replace("PACKAGE", package))
    for place in (folder / package, folder / package / "defs"):
        (place / "__init__.py").write_text("")
    (folder / package / "definitions.py").write_text(DEFINITIONS)
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test() as instance:
        for name, value in {**logs.env, "KUMO_ASSETS_ENV": "e" + uuid.uuid4().hex[:10]}.items():
            patch.setenv(name, value)
        patch.syspath_prepend(folder)
        logs.reset_faults()
        ours = Chain(logs, instance, None, None, os.environ["KUMO_ASSETS_ENV"])  # type: ignore[arg-type]
        ours.definition = written(ours, folder / package / "defs", OURS).definition
        module = f"{package}.definitions"
        ours.definitions = import_module(module).defs()
        yield Project(ours, folder, module)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def materialized(result: dg.JobExecutionResult) -> dict[dg.AssetKey, Mapping[str, dg.MetadataValue]]:
    return {
        event.asset_key: event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }


def errors(result: dg.JobExecutionResult) -> str:
    return "\n".join(
        str(event.event_specific_data.error)  # type: ignore[union-attr]
        for event in result.all_events
        if event.is_step_failure
    )


def in_processes_of_their_own(result: dg.JobExecutionResult) -> bool:
    """Dagster's multiprocess executor says of every step that a process was started for it."""
    kinds = [event.event_type for event in result.all_events]
    steps = kinds.count(dg.DagsterEventType.STEP_START)
    return steps > 0 and kinds.count(dg.DagsterEventType.STEP_WORKER_STARTED) == steps


@pytest.fixture(scope="module")
def built(project: Project) -> dg.JobExecutionResult:
    return project.build(DAY, dg.AssetKey("announced"))


def test_a_day_clicked_in_another_project_is_built_gated_and_promoted_a_process_a_step(
    project: Project, built: dg.JobExecutionResult
) -> None:
    assert built.success, errors(built)
    assert in_processes_of_their_own(built)
    done = materialized(built)
    assert set(done) == {*(key_of(OURS, asset) for asset in CHAIN), dg.AssetKey("announced")}
    own = done[dg.AssetKey("announced")]
    assert (own["bucket"].value, own["user"].value) == ("lake", "acme")
    assert own["process"].value != os.getpid()
    release = project.chain.release(built)  # type: ignore[arg-type]
    opened = project.chain.ctx().store.opened(release)
    assert opened is not None
    assert opened.by == "ann"
    assert all(verdict.passed for verdict in project.chain.verdicts(release).values())

    (request,) = project.tick().run_requests or []
    assert request.asset_selection == [key_of(OURS, POINTER_ASSET)]
    promoted = project.run(request.asset_selection, request.tags)
    assert promoted.success, errors(promoted)
    assert in_processes_of_their_own(promoted)
    assert project.chain.active() == release
    after = project.tick()
    assert after.run_requests == []
    assert after.asset_events == [], "the run's own process reported it"


def test_a_failed_gate_withholds_the_rest_and_the_reason_comes_through_from_another_process(project: Project) -> None:
    tags = {"kumo_assets.partition": NEXT_DAY, "kumo_assets.environment": project.chain.environment}
    warnings = {"warnings": [{"title": "Distribution shift", "message": "column X"}]}
    project.chain.handle.kumo_faults(
        {"kind": "job_warnings", "with": warnings, "query": QUERY, "tags": tags, "times": 1}
    )
    before = project.chain.active()
    bad = project.build(NEXT_DAY)
    assert not bad.success
    assert set(materialized(bad)) == {key_of(OURS, "predictions")}
    release = project.chain.release(bad, NEXT_DAY)  # type: ignore[arg-type]
    assert project.chain.verdicts(release)["kumo_warnings"].blocks
    assert not [request for request in project.tick().run_requests or [] if request.tags[RELEASE_TAG] == release]
    forced = project.run([key_of(OURS, POINTER_ASSET)], {RELEASE_TAG: release})
    assert not forced.success
    assert in_processes_of_their_own(forced)
    assert "GateBlocked" in errors(forced)
    assert f"Could not promote {release} of {OURS}" in errors(forced)
    assert project.chain.active() == before
