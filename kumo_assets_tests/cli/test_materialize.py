"""`materialize`: a day built from the terminal, in every way it can end; and a process killed and typed again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.config.environment import Environment
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.releases.context import ReleaseContext
from kumo_assets_tests.chain.conftest import DAY, QUERY, SHIPPED
from kumo_assets_tests.cli.conftest import kumo_assets


@pytest.fixture(autouse=True)
def _logs(logs: SandboxHandle) -> None:
    """Raw logs are there."""


def ctx() -> ReleaseContext:
    return ReleaseContext.from_environment(DefinitionsIndex(SHIPPED).query(QUERY), Environment.from_variables())


def kumo_jobs(handle: SandboxHandle) -> list[dict[str, Any]]:
    jobs = httpx.get(handle.url["kumo"] + "/_sandbox/jobs", trust_env=False, verify=False).json()["jobs"]
    here = os.environ["KUMO_ASSETS_ENV"]
    return [job for job in jobs if job.get("tags", {}).get("kumo_assets.environment") == here]


def test_a_day_is_built_and_stdout_is_one_json_document(home: Path) -> None:
    done = kumo_assets("materialize", QUERY, "--partition", DAY, "--promote", "--by", "ann", "--json")
    assert done.status == 0, done.err
    found = done.document
    assert found["partition"] == DAY
    assert found["resumed"] is False
    assert found["promoted"] is True
    assert found["counts"]["entities"] == found["counts"]["imported"] > 0
    opened = ctx().store.opened(found["release_id"])
    assert opened is not None
    assert opened.by == "ann"
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs()
    assert run.tags["kumo_assets/work"] == "build", "it counts among the builds that the queue lets run"
    entry = kumo_assets("history", QUERY, "--json").document[0]
    assert (entry["action"], entry["by"], entry["to_release"]) == ("promote", "ann", found["release_id"])


@pytest.mark.parametrize(
    ("partition", "words"),
    [
        ("2017-13-01", "write it like 2017-11-30"),
        ("20171128", "write it like 2017-11-30"),
        ("yesterday", "write it like 2017-11-30"),
        ("2017-10-31", "before the query's first partition"),
        ((datetime.now(UTC) + timedelta(days=400)).date().isoformat(), "that day has not ended"),
    ],
    ids=["no-such-month", "no-dashes", "a-word", "before-the-start", "future"],
)
def test_a_wrong_partition_is_refused_before_anything_starts(home: Path, partition: str, words: str) -> None:
    done = kumo_assets("materialize", QUERY, "--partition", partition, "--json")
    assert done.status == 2
    assert words in done.document["error"]["message"]
    assert ctx().store.listings() == []


def test_without_a_dagster_home_it_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    done = kumo_assets("materialize", QUERY, "--partition", DAY)
    assert done.status == 2
    assert "DAGSTER_HOME" in done.err


def test_a_gate_that_blocks_is_status_3_with_its_words(home: Path, sandbox: SandboxHandle) -> None:
    warning = {"title": "Distribution shift", "message": "column X"}
    sandbox.kumo_faults({"kind": "job_warnings", "query": QUERY, "with": {"warnings": [warning]}})
    done = kumo_assets("materialize", QUERY, "--partition", DAY, "--json")
    assert done.status == 3
    assert done.document["error"]["kind"] == "GateBlocked"
    assert "Distribution shift" in done.document["error"]["message"]
    status = kumo_assets("status", QUERY, "--json").document
    assert status["release_id"] is None or status["release_id"] == ""
    assert status["last_block"]["gate"] == "kumo_warnings"


def test_a_day_that_failed_is_resumed_by_the_same_command(home: Path, sandbox: SandboxHandle) -> None:
    sandbox.kumo_faults({"kind": "done_without_table", "query": QUERY})
    failed = kumo_assets("materialize", QUERY, "--partition", DAY, "--json")
    assert failed.status == 1
    assert "no such table" in failed.document["error"]["message"]
    assert "run the same command again" in failed.document["error"]["message"]
    assert failed.document["error"]["message"].count("Next:") == 1
    assert "\n" not in failed.document["error"]["message"]
    again = kumo_assets("materialize", QUERY, "--partition", DAY, "--json")
    assert again.status == 0, again.err
    assert again.document["resumed"] is True
    assert len(ctx().store.listings()) == 1
    assert len(kumo_jobs(sandbox)) == 2
    fresh = kumo_assets("materialize", QUERY, "--partition", DAY, "--json")
    assert fresh.status == 0
    assert fresh.document["resumed"] is False
    assert len(ctx().store.listings()) == 2


def test_wrong_credentials_of_each_system_end_in_a_sentence_without_the_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, words in (
        ("SNOWFLAKE_PASSWORD", "log in to Snowflake"),
        ("KUMO_API_KEY", "KUMO_API_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "wrong:planted-secret-value")
            done = kumo_assets("materialize", QUERY, "--partition", DAY)
        assert done.status == 1
        assert words in done.err
        assert "planted-secret-value" not in done.out + done.err


def test_a_killed_process_is_resumed_by_the_same_command(home: Path, sandbox: SandboxHandle) -> None:
    """SIGKILL of the real command while Kumo works; typed again, it adopts the job and builds the same release."""
    command = [str(Path(sys.executable).parent / "kumo-assets"), "materialize", QUERY, "--partition", DAY, "--json"]
    root = Path(__file__).parents[2]
    sandbox.kumo_faults({"kind": "long_run", "query": QUERY, "with": {"seconds": 3}})
    killed = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not kumo_jobs(sandbox):
            assert killed.poll() is None, killed.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        killed.kill()
        killed.communicate()
    [begun] = ctx().store.listings()
    again = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode == 0, again.stderr
    found = json.loads(again.stdout)
    assert found["resumed"] is True
    assert found["release_id"] == begun.release_id
    assert f"Resuming release {begun.release_id}" in again.stderr
    assert len(kumo_jobs(sandbox)) == 1
    with dg.DagsterInstance.get() as instance:
        statuses = sorted(run.status.value for run in instance.get_runs())
    assert statuses == ["FAILURE", "SUCCESS"], "the killed run does not fill Dagster's queue for ever"
