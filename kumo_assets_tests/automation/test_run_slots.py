"""Promotions never wait behind builds, and a code server that is gone for a moment fails no queued build: Dagster's own
queue daemon over the shipped dagster.yaml, with a launcher that only notes what it was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEvent
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from kumo_assets.automation.run_slots import PROMOTION, Limits, crowded, limits_of, missing
from kumo_assets_tests.automation.test_schedules import definitions_of

ROOT = Path(__file__).parents[2]
QUEUED = dg.DagsterRunStatus.QUEUED
SERVER = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="kumo_assets")
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(SERVER, "__repository__"), "offers_daily")


def shipped(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dg.DagsterInstance:
    """An instance of the shipped dagster.yaml, whose launcher is Dagster's own stand-in."""
    document = yaml.safe_load((ROOT / "dagster.yaml").read_text()) | changes
    document["run_launcher"] = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(folder)
    return dg.DagsterInstance.from_config(str(folder))


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    with shipped(tmp_path, monkeypatch) as made:
        yield made


def queue(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> str:
    run = create_run_for_test(instance, status=QUEUED, tags=dict(tags), remote_job_origin=ORIGIN)
    instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
    return run.run_id


def dequeue(instance: dg.DagsterInstance) -> set[str]:
    """One iteration of the daemon, which is one each 5 s: the runs it launched."""
    launcher: Any = instance.run_launcher
    before = set(launcher._launched_run_ids)
    # All that the daemon asks of its workspace for runs that a stand-in launches.
    workspace: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    list(QueuedRunCoordinatorDaemon(interval_seconds=5).run_iteration(workspace))
    return set(launcher._launched_run_ids) - before


def test_with_every_slot_that_builds_may_have_full_a_promotion_and_an_operators_job_start_at_once(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    definitions = definitions_of(_folder(tmp_path), "UTC")
    daily, rollback = (definitions.resolve_job_def(f"offers_{name}").run_tags for name in ("daily", "rollback"))
    builds = {queue(instance, daily) for _ in range(12)}
    begun = dequeue(instance)
    assert begun
    assert begun < builds
    for run in begun:
        found = instance.get_run_by_id(run)
        assert found is not None
        instance.report_dagster_event(
            DagsterEvent(event_type_value="PIPELINE_START", job_name=found.job_name), run_id=run
        )
    waiting = {queue(instance, PROMOTION), queue(instance, rollback)}
    assert dequeue(instance) == waiting, "and no further build"


def test_a_build_in_a_terminal_counts_as_one_and_is_told_when_it_is_one_too_many(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    daily = definitions_of(_folder(tmp_path), "UTC").resolve_job_def("offers_daily").run_tags
    for _ in range(7):
        create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=dict(daily))
    queue(instance, daily)
    assert crowded(instance) == "", "a queued build has no slot"
    create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=dict(daily))
    assert crowded(instance).startswith("8 builds are under way, and this instance lets 8 run at once")
    assert dequeue(instance) == set(), "nor does the queue start another"


def test_what_a_person_clicks_and_what_a_schedule_fires_have_the_tags_of_their_work(tmp_path: Path) -> None:
    definitions = definitions_of(_folder(tmp_path), "UTC")
    tags = {name: definitions.resolve_job_def(f"offers_{name}").run_tags for name in ("daily", "hold", "retire")}
    assert tags["daily"]["kumo_assets/work"] == "build"
    assert tags["daily"]["dagster/max_retries"] == "2"
    assert tags["daily"]["dagster/retry_on_asset_or_op_failure"] == "false"
    assert all(tags[name]["dagster/priority"] == "10" for name in ("hold", "retire"))


def test_a_code_server_that_is_gone_for_a_moment_fails_no_queued_build(instance: dg.DagsterInstance) -> None:
    build = queue(instance, {})
    launcher: Any = instance.run_launcher
    launcher.bad_user_code_run_ids = {build}
    assert dequeue(instance) == set()
    found = instance.get_run_by_id(build)
    assert found is not None
    assert found.status is QUEUED
    launcher.bad_user_code_run_ids = set()
    assert dequeue(instance) == {build}


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "defs"
    folder.mkdir()
    return folder


GOOD = Limits(
    20,
    [
        {"key": "kumo_assets/work", "value": "build", "limit": 8},
        {"key": "kumo_assets/work", "value": "training", "limit": 2},
    ],
    60,
    True,
    True,
)


def test_the_shipped_instance_lacks_nothing(instance: dg.DagsterInstance) -> None:
    assert missing(limits_of(instance)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"by_tag": []}, "may fill all 20 run slots"),
        ({"by_tag": GOOD.by_tag[:1]}, "may fill all 20 run slots"),
        ({"slots": 11}, "may fill all 11 run slots"),
        ({"by_tag": [{"key": "another", "limit": 1}]}, "may fill all 20 run slots"),
        ({"launch_retries": 0}, "max_user_code_failure_retries"),
        ({"monitored": False}, "run_monitoring"),
        ({"retried": False}, "run_retries"),
    ],
)
def test_what_another_instance_lacks_is_named_with_the_lines_that_add_it(change: dict[str, Any], words: str) -> None:
    from dataclasses import replace

    [lack] = missing(replace(GOOD, **change))
    assert words in lack


@pytest.mark.parametrize(
    "change",
    [
        {"slots": None, "by_tag": []},
        {"slots": 12},
        {"by_tag": [{"key": "kumo_assets/work", "limit": 9}]},
        {"by_tag": [{"key": "kumo_assets/work", "value": {"applyLimitPerUniqueValue": True}, "limit": 4}]},
    ],
)
def test_limits_of_other_kinds_that_keep_slots_free_are_enough(change: dict[str, Any]) -> None:
    from dataclasses import replace

    assert missing(replace(GOOD, **change)) == []
