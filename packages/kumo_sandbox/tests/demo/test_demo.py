"""`kumo-sandbox demo` as a person types it: the whole path for a day, another day, a broken day, and a log of one's own."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from kumo_sandbox.demo.faults import BREAKS
from kumo_sandbox.demo.online import active_pointer
from kumo_sandbox.kumo.faults import KINDS
from kumo_sandbox.pytest_plugin import running_sandbox  # noqa: F401 - a fixture
from kumo_sandbox.testing import SandboxHandle

# A day is some 15 s of CPU; a busy machine makes minutes of it.
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]

QUERY = "next_best_product"
ROOT = Path(__file__).parents[4]
COMMAND = Path(sys.executable).parent / "kumo-sandbox"
# One kind shows the mechanism in every run of the tests; the gates themselves have tests of their own.
KINDS_RUN = sorted(BREAKS) if os.environ.get("KUMO_SOAK") else ["dupes"]


@dataclass(frozen=True)
class Ended:
    status: int
    document: dict[str, Any]
    words: str


@dataclass
class Demos:
    """A sandbox's demos, in the order they were run."""

    handle: SandboxHandle
    dagster_home: Path

    def run(self, *arguments: str, instance: bool = True, folder: Path = ROOT) -> Ended:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name != "DAGSTER_HOME"
        }
        environment |= {"COLUMNS": "120"}
        if instance:
            environment["DAGSTER_HOME"] = str(self.dagster_home)
        done = subprocess.run(
            [str(COMMAND), "demo", "--home", str(self.handle.settings.home), "--json", *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=500,
        )
        return Ended(done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr)


@pytest.fixture(scope="module")
def demos(running_sandbox: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> Demos:  # noqa: F811
    dagster_home = tmp_path_factory.mktemp("dagster")
    (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return Demos(running_sandbox, dagster_home)


@pytest.fixture(scope="module")
def first(demos: Demos) -> Ended:
    return demos.run("--days", "1")


def test_a_day_of_real_logs_becomes_an_online_answer(first: Ended) -> None:
    assert first.status == 0, first.words
    (release,) = first.document["releases"]
    assert release["partition"] == "2017-11-28"
    lookup = first.document["lookup"]
    assert lookup["release_id"] == release["release_id"]
    assert len(lookup["predictions"]) == 5
    assert release["release_id"] in first.words
    assert "What to look at next" in first.words


def test_figure_is_of_all_households_and_beats_popularity(first: Ended) -> None:
    found = first.document["evaluation"]
    assert (found["entities"], found["days"], found["listed"]) == (2463, 28, 5)
    assert found["mean_hits"] > found["popular_mean_hits"] > 0
    assert "kumo-assets outcomes next_best_product: what was served, compared with what happened" in first.words


def test_second_demo_goes_on_with_the_next_day(first: Ended, demos: Demos) -> None:
    second = demos.run("--days", "1", "--entity", "900")
    assert second.status == 0, second.words
    assert [release["partition"] for release in second.document["releases"]] == ["2017-11-29"]
    assert second.document["lookup"]["entity"] == "900"


@pytest.mark.parametrize("kind", KINDS_RUN)
def test_broken_day_ends_with_the_gates_words_and_the_pointer_unmoved(first: Ended, demos: Demos, kind: str) -> None:
    before = active_pointer(demos.handle.env, QUERY)
    broken = demos.run("--break", kind)
    assert broken.status == 3, broken.words
    assert active_pointer(demos.handle.env, QUERY) == before
    assert before is not None
    assert broken.document["blocked"]["active"] == before.release_id
    assert broken.document["blocked"]["message"]
    assert "blocked by a gate" in broken.words
    # The fault is taken back: Kumo is honest again.
    faults = httpx.get(demos.handle.url["kumo"] + "/_sandbox/faults", trust_env=False).json()["faults"]
    assert faults == []


def test_own_log_runs_through_a_project_of_its_own(demos: Demos, tmp_path: Path, first: Ended) -> None:
    file = tmp_path / "orders.parquet"
    duckdb.execute(
        f"""COPY (
          SELECT 'user-' || (i * 7919 % 211) AS who, 'sku-' || (i * i % 37) AS what, 1 + i % 3 - 1 AS qty,
                 TIMESTAMP '2024-01-01 00:00:00' + INTERVAL (i * 311 % 86400) SECOND + INTERVAL (i % 90) DAY AS at
          FROM range(40000) t(i)) TO '{file}' (FORMAT parquet)"""
    )
    options = ["--entity-column", "who", "--item-column", "what", "--time-column", "at", "--filter", "qty > 0"]
    # Outside the checkout, and without a Dagster instance of the user's: the demo brings one.
    own = demos.run("--events", str(file), *options, "--days", "1", instance=False, folder=tmp_path)
    assert own.status == 0, own.words
    assert own.document["query"] == "orders_next_item"
    # The first day that leaves a fifth of the log for what comes after; the filter leaves 2024-03-13 without an event.
    assert own.document["releases"][0]["partition"] == "2024-03-14"
    assert own.document["evaluation"]["entities"] == 211
    # The groceries' release is still what it was.
    grocery = active_pointer(demos.handle.env, QUERY)
    assert grocery is not None
    assert grocery.query == QUERY


def test_missing_column_is_named_before_anything_starts(demos: Demos, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("who,what,at\n1,a,2024-03-01\n")
    wrong = demos.run("--events", str(file), "--home", str(tmp_path / "new"))
    assert wrong.status == 2
    assert "'entity_id' (--entity-column)" in wrong.document["error"]["message"]
    assert "who, what, at" in wrong.document["error"]["message"]
    assert not (tmp_path / "new").exists()


def test_the_groceries_outside_the_checkout_are_refused_before_anything_starts(demos: Demos, tmp_path: Path) -> None:
    elsewhere = demos.run("--home", str(tmp_path / "new"), folder=tmp_path)
    assert elsewhere.status == 2
    assert "--events" in elsewhere.document["error"]["message"]
    assert not (tmp_path / "new" / "env").exists()


def test_second_demo_at_once_is_refused(demos: Demos) -> None:
    with (demos.handle.settings.home / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = demos.run("--days", "1")
    assert refused.status == 1
    assert "another one is running" in refused.words


def test_every_way_to_break_is_one_the_emulator_knows() -> None:
    assert {fault.kind for fault in BREAKS.values()} <= KINDS
