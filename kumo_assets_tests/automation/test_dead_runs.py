"""A run whose process is gone is told from one that lives, by its tags, on real processes; and ended, once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from kumo_assets.automation.dead_runs import heard, mark_dead_runs
from kumo_assets.resources.processes import (
    HEARD_TAG,
    PROCESS_TAG,
    SILENT_AFTER,
    STARTED_TAG,
    process_tags,
    state_of,
)
from kumo_assets.resources.processes import heard as heard_at

NOW = datetime.now(UTC)
HOST = socket.gethostname()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def child(code: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Another Python process and the tags that it has for its runs."""
    head = "import json; from kumo_assets.resources.processes import process_tags; print(json.dumps(process_tags()), flush=True)\n"
    process = subprocess.Popen([sys.executable, "-c", head + code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    import json

    return process, json.loads(process.stdout.readline())


def run_of(instance: dg.DagsterInstance, tags: dict[str, str], **more: object) -> str:
    status = more.pop("status", dg.DagsterRunStatus.STARTED)
    return create_run_for_test(instance, status=status, tags=tags, **more).run_id  # type: ignore[arg-type]


def status_of(instance: dg.DagsterInstance, run: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run)
    assert found is not None
    return found.status


def test_a_killed_process_is_dead_at_once_and_its_runs_are_ended_and_a_live_one_is_left(
    instance: dg.DagsterInstance,
) -> None:
    killed, tags = child("import time; time.sleep(60)")
    gone = run_of(instance, tags)
    cancelled = run_of(instance, tags, status=dg.DagsterRunStatus.CANCELING)
    mine = run_of(instance, process_tags())
    of_dagster = run_of(instance, {})
    assert mark_dead_runs(instance) == []
    killed.send_signal(signal.SIGKILL)
    # Not waited for: a zombie answers to its number, and is dead all the same.
    deadline = time.monotonic() + 20
    while state_of(tags, NOW) == "alive":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {run.run_id for run in mark_dead_runs(instance)} == {gone, cancelled}
    killed.communicate()
    assert status_of(instance, gone) is dg.DagsterRunStatus.FAILURE
    assert status_of(instance, cancelled) is dg.DagsterRunStatus.CANCELED
    assert status_of(instance, mine) is status_of(instance, of_dagster) is dg.DagsterRunStatus.STARTED
    assert mark_dead_runs(instance) == []
    [event] = instance.get_records_for_run(gone, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert "kumo-assets materialize" in event.event_log_entry.message


def test_slots_in_pools_that_a_dead_run_held_are_free_again(instance: dg.DagsterInstance) -> None:
    killed, tags = child("")
    killed.communicate()
    storage = instance.event_log_storage
    storage.set_concurrency_slots("kumo_jobs", 1)
    gone = run_of(instance, tags)
    storage.claim_concurrency_slot("kumo_jobs", gone, "predictions")
    assert storage.get_concurrency_info("kumo_jobs").active_slot_count == 1
    mark_dead_runs(instance)
    assert storage.get_concurrency_info("kumo_jobs").active_slot_count == 0


def test_what_dagster_launched_again_with_the_tags_of_a_dead_run_is_left(instance: dg.DagsterInstance) -> None:
    """The UI's re-execution copies every tag of its parent, the process's too."""
    killed, tags = child("")
    killed.communicate()
    parent = run_of(instance, tags, status=dg.DagsterRunStatus.FAILURE)
    again = run_of(instance, tags, parent_run_id=parent, root_run_id=parent)
    assert mark_dead_runs(instance) == []
    assert status_of(instance, again) is dg.DagsterRunStatus.STARTED


def _elsewhere(silent: timedelta) -> dict[str, str]:
    return process_tags(NOW - silent) | {PROCESS_TAG: "1@another-machine", STARTED_TAG: "boot/pid:[1]/7"}


@pytest.mark.parametrize(
    ("tags", "state"),
    [
        (process_tags(), "alive"),
        ({PROCESS_TAG: f"{os.getpid()}@{HOST}"}, "alive"),
        ({PROCESS_TAG: f"999999999@{HOST}"}, "dead"),
        ({PROCESS_TAG: "7@another-machine"}, "unknown"),
        ({}, "unknown"),
        ({PROCESS_TAG: "a word"}, "unknown"),
        ({PROCESS_TAG: f"x@{HOST}"}, "unknown"),
        ({PROCESS_TAG: f"\u00b2@{HOST}"}, "unknown"),
        ({PROCESS_TAG: f"{'9' * 5000}@{HOST}"}, "unknown"),
        (_elsewhere(timedelta(0)) | {HEARD_TAG: "2017-11-30T00:00:00"}, "unknown"),
        (_elsewhere(timedelta(0)), "alive"),
        (_elsewhere(SILENT_AFTER - timedelta(seconds=60)), "alive"),
        (_elsewhere(SILENT_AFTER + timedelta(seconds=60)), "dead"),
        (_elsewhere(timedelta(0)) | {HEARD_TAG: "soon"}, "unknown"),
        # The same number, and another process: begun at another time, in another container, after another boot.
        (process_tags() | {STARTED_TAG: process_tags()[STARTED_TAG] + "9"}, "dead"),
        (process_tags() | {STARTED_TAG: "other-boot/pid:[1]/7", HEARD_TAG: heard_at(NOW)}, "alive"),
        (process_tags() | {STARTED_TAG: "other-boot/pid:[1]/7", HEARD_TAG: heard_at(NOW - 2 * SILENT_AFTER)}, "dead"),
    ],
)
def test_the_tags_say_whether_a_process_lives(tags: dict[str, str], state: str) -> None:
    assert state_of(tags, datetime.now(UTC), NOW) == state


def test_a_number_that_went_to_a_younger_process_is_dead_in_runs_of_the_first_version_too() -> None:
    assert state_of({PROCESS_TAG: f"{os.getpid()}@{HOST}"}, NOW - timedelta(days=2)) == "dead"


def test_a_process_says_that_it_lives_for_those_who_look_from_elsewhere(instance: dg.DagsterInstance) -> None:
    mine = run_of(instance, process_tags(NOW - timedelta(hours=2)))
    other = run_of(instance, _elsewhere(timedelta(hours=2)))
    with heard(instance, every_seconds=0.05):
        deadline = time.monotonic() + 20
        while _heard(instance, mine) < NOW - timedelta(seconds=1):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert _heard(instance, other) < NOW - timedelta(hours=1)


def _heard(instance: dg.DagsterInstance, run: str) -> datetime:
    found = instance.get_run_by_id(run)
    assert found is not None
    return datetime.fromisoformat(found.tags[HEARD_TAG])
