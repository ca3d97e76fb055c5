"""A definition that is edited after a run of the day died: the edit is never ignored, and what it does not touch is adopted."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import yaml
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.config.environment import Environment
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.run import ROOT_RUN_TAG
from kumo_assets_tests.chain.conftest import DAY, NEXT_DAY, QUERY, QUIET, SHIPPED, failure
from kumo_assets_tests.cli.conftest import Done, kumo_assets
from kumo_assets_tests.cli.test_materialize import kumo_jobs

RANKED = """SELECT ENTITY, CLASS, SCORE, ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC, CLASS) AS RANK
FROM {{{{ predictions }}}} {where} QUALIFY RANK <= {keep}"""
NO_IMPORT = {"operation": "ImportTable", "status": 400, "code": "AccessDeniedException", "times": -1}


def no_record(asset: str) -> dict[str, object]:
    """S3 refuses the record of an artefact, which was made."""
    return {"operation": "PutObject", "match": f"artefacts/{asset}.json", "status": 403, "code": "AccessDenied"}


@dataclass(frozen=True)
class Project:
    """A Dagster project with the shipped query, whose definition a test edits."""

    folder: Path
    package: str
    handle: SandboxHandle

    @property
    def query(self) -> Path:
        return self.folder / self.package / "defs" / QUERY

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        path = self.query / "defs.yaml"
        document = yaml.safe_load(path.read_text())
        change(document["attributes"])
        path.write_text(yaml.safe_dump(document))

    def sql(self, where: str = "", keep: str = "{{ top_k }}") -> None:
        (self.query / "postprocess.sql").write_text(RANKED.format(where=where, keep=keep))

    def materialize(self, day: str, *options: str) -> Done:
        """The command as a new process would run it: the definition is read anew."""
        self._forget()
        return kumo_assets("materialize", QUERY, "--partition", day, "--json", *options)

    def rerun(self, day: str, root: str) -> dg.ExecuteInProcessResult:
        """The run whose root is `root`, re-executed by Dagster."""
        self._forget()
        module = __import__(f"{self.package}.definitions", fromlist=["defs"])
        with dg.DagsterInstance.get() as instance:
            return (
                module.defs()
                .resolve_job_def(f"{QUERY}_daily")
                .execute_in_process(
                    instance=instance,
                    partition_key=day,
                    tags={ROOT_RUN_TAG: root},
                    run_config=QUIET,
                    raise_on_error=False,
                )
            )

    def _forget(self) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]

    def ctx(self) -> ReleaseContext:
        return ReleaseContext.from_environment(
            DefinitionsIndex(self.query.parent).query(QUERY), Environment.from_variables()
        )

    def releases(self, day: str) -> list[str]:
        """The day's releases, the oldest first."""
        ctx = self.ctx()
        opened = [ctx.store.opened(item.release_id) for item in ctx.store.listings() if item.partition == day]
        return [item.release_id for item in sorted(filter(None, opened), key=lambda item: item.opened_at)]

    def jobs(self, day: str) -> int:
        return len([job for job in kumo_jobs(self.handle) if job["tags"]["kumo_assets.partition"] == day])

    def objects(self, release: str) -> dict[str, str]:
        """ETag of each object of a release."""
        ctx = self.ctx()
        pages = boto3.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=ctx.names.bucket, Prefix=ctx.names.release_prefix(release))
        return {item["Key"]: item["ETag"] for page in found for item in page.get("Contents", [])}

    def lists(self, table: str) -> list[list[str]]:
        """The classes of each list that a table serves."""
        items = boto3.client("dynamodb").scan(TableName=table)["Items"]
        return [[name for name, _ in json.loads(item["p"]["S"])] for item in items]


@pytest.fixture
def project(
    home: Path, logs: SandboxHandle, sandbox: SandboxHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    package = f"edited_{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "project"
    (folder / package / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{package}"\nversion = "0.1.0"\n\n[tool.dg]\ndirectory_type = "project"\n\n'
        f'[tool.dg.project]\nroot_module = "{package}"\n'
    )
    for init in (folder / package, folder / package / "defs"):
        (init / "__init__.py").write_text("")
    (folder / package / "definitions.py").write_text(
        "from pathlib import Path\n\nimport dagster as dg\nfrom kumo_assets.definitions import shared_definitions\n\n\n"
        "@dg.definitions\ndef defs() -> dg.Definitions:\n"
        "    own = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
        "    return dg.Definitions.merge(shared_definitions(), own)\n"
    )
    for name in ("raw_logs", QUERY):
        (folder / package / "defs" / name).mkdir()
        text = (SHIPPED / name / "defs.yaml").read_text()
        (folder / package / "defs" / name / "defs.yaml").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("KUMO_ASSETS_DEFS", raising=False)
    made = Project(folder, package, sandbox)
    yield made
    made._forget()


def root_of(project: Project, release: str) -> str:
    opened = project.ctx().store.opened(release)
    assert opened is not None
    return opened.root_run_id


def test_sql_that_is_edited_after_a_late_failure_is_what_the_release_is_made_of(project: Project) -> None:
    """And limits that are edited after it was blocked by them are what it is judged by."""
    project.sql()
    project.handle.aws_faults(NO_IMPORT)
    assert project.materialize(DAY).status == 1
    project.handle.reset_faults()
    [first] = project.releases(DAY)
    before = project.objects(first)

    project.sql("WHERE CLASS <> '1000'", keep="2")
    rerun = project.rerun(DAY, root_of(project, first))
    assert not rerun.success
    assert "postprocess.sql has changed" in failure(rerun)
    assert f"kumo-assets materialize {QUERY} --partition {DAY}" in failure(rerun)
    assert project.ctx().store.sealed(first) is None

    blocked = project.materialize(DAY)
    assert blocked.status == 3, blocked.err
    assert "gate list_shape" in blocked.document["error"]["message"]
    assert blocked.err.count("postprocess.sql has changed") == 1
    assert f"{first} stays as it is" in blocked.err
    # Of the next edit the limits are judged by, and still too strict; the mode is that of when the release was opened.
    project.edit(lambda spec: spec.update(gates={"list_shape": {"mode": "warn", "warn": 0.8, "block": 0.9}}))
    assert project.materialize(DAY).status == 3
    project.edit(lambda spec: spec.update(gates={"list_shape": {"warn": 1, "block": 1}}))
    done = project.materialize(DAY)
    assert done.status == 0, done.err
    second = done.document["release_id"]
    assert project.releases(DAY) == [first, second]
    assert (done.document["resumed"], done.document["adopted"]) == (True, {"predictions": first})
    verdict = project.ctx().store.verdict(second, "list_shape")
    assert verdict is not None
    assert (verdict.passed, verdict.limits["block"]) == (True, 1)
    assert [(item.passed, item.limits["block"]) for item in verdict.earlier] == [(False, 0.5), (False, 0.9)]
    lists = project.lists(done.document["table"])
    assert lists
    assert not any("1000" in items for items in lists)
    assert project.jobs(DAY) == 1
    after = project.objects(first)
    assert {key: after[key] for key in before if "/verdicts/" not in key} == {
        key: tag for key, tag in before.items() if "/verdicts/" not in key
    }
    assert kumo_assets("promote", QUERY, second).status == 0


def test_what_was_begun_and_not_recorded_is_not_taken_for_what_the_definition_says_now(project: Project) -> None:
    """A table of the old SQL, and a Kumo job of the old parameters; both exist, and neither has its record yet."""
    project.sql()
    project.handle.aws_faults(no_record("postprocessed"))
    assert project.materialize(DAY).status == 1
    project.handle.reset_faults()
    project.sql("WHERE CLASS <> {{ excluded }}")
    broken = project.materialize(DAY)
    assert broken.status in (1, 2)
    assert "excluded" in broken.document["error"]["message"]
    project.sql("WHERE CLASS <> '1001'")
    project.edit(lambda spec: spec.update(top_k=3))
    done = project.materialize(DAY)
    assert done.status == 0, done.err
    post = project.ctx().store.artefact(done.document["release_id"], "postprocessed")
    assert post is not None
    assert post.name.endswith("_A2")
    assert {len(items) for items in project.lists(done.document["table"])} == {3}
    assert project.jobs(DAY) == 1

    project.handle.aws_faults(no_record("predictions"))
    assert project.materialize(NEXT_DAY).status == 1
    project.handle.reset_faults()
    project.edit(lambda spec: spec.update(top_k=9))
    refused = project.materialize(NEXT_DAY)
    assert refused.status == 4, refused.err
    message = refused.document["error"]["message"]
    assert "candidates was 8 and is 20" in message
    assert "--fresh" in message
    assert project.jobs(NEXT_DAY) == 1
