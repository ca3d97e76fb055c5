"""Operations on releases as Dagster jobs, and what the sensor sends to people: real jobs and a real sensor tick on an
instance of the test's own, S3 and DynamoDB on MiniStack, the webhook a real HTTP server."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kumo_sandbox.testing.releases import GATES, new_query, shop

from kumo_assets.releases.operations.hold import hold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.resources.processes import PROCESS_TAG
from kumo_assets_tests.security.policies import recorded
from kumo_assets_tests.support.chat import Chat
from kumo_assets_tests.support.in_dagster import QUIET, Dagster, define, two


def test_rollback_in_the_ui_does_what_the_command_does(dagster: Dagster) -> None:
    first, second = two(dagster)
    assert dagster.run("rollback", {"reason": "odd"}).success
    found = dagster.shop.ctx.pointers.read()
    assert found is not None
    assert found.pointer.release_id == first
    assert found.pointer.hold is not None
    assert found.pointer.hold.by == "ann"
    assert dagster.shop.ctx.store.rejection(second) is not None
    assert dagster.last().metadata["release"].value == first
    again = dagster.run("rollback", {"reason": "again"})
    assert not again.success, "while held a second one must say where to"


def test_unhold_in_the_ui_says_first_what_goes_live_and_lifts_only_that(dagster: Dagster) -> None:
    two(dagster)
    hold(dagster.shop.ctx, by="ann", reason="looking")
    third = dagster.shop.build("2017-12-01")
    asked = dagster.run("unhold", {})
    assert not asked.success
    words = next(event for event in asked.all_events if event.is_step_failure).event_specific_data.error.message
    assert f"next_release: {third}" in words
    assert dagster.shop.ctx.pointers.read().pointer.hold is not None  # type: ignore[union-attr]
    assert not dagster.run("unhold", {"next_release": "20171201-00000000"}).success
    assert dagster.run("unhold", {"next_release": third}).success
    assert dagster.shop.ctx.pointers.read().pointer.hold is None  # type: ignore[union-attr]


def test_retirement_has_a_daily_schedule_and_a_dry_run(dagster: Dagster) -> None:
    schedule = dagster.definitions.get_repository_def().get_schedule_def(f"{dagster.shop.query}_retire_schedule")
    assert schedule.cron_schedule == "0 14 * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    two(dagster)
    for day in ("01", "02", "03"):
        promote(dagster.shop.ctx, dagster.shop.build(f"2017-12-{day}"), by="ann")
    result = dagster.run("retire", {"dry_run": True})
    assert result.success
    assert dagster.shop.ctx.store.retirement(dagster.shop.built[0]) is None


def test_a_hand_edit_is_an_event_and_a_message_once(dagster: Dagster, chat: Chat) -> None:
    first, second = two(dagster)
    dagster.tick()
    names = dagster.shop.ctx.names
    dagster.shop.edit(lambda text: text.replace(names.dynamodb_table(second), names.dynamodb_table(first), 1))
    (event,) = dagster.tick().asset_events
    assert event.metadata["action"].value == "hand_edit"
    dagster.tick()
    (message,) = chat.posted
    assert message["kind"] == "hand_edit"
    assert names.dynamodb_table(first) in message["text"]


def test_however_often_a_promotion_failed_it_is_asked_again_under_a_key_of_its_own(dagster: Dagster) -> None:
    from dagster._core.test_utils import create_run_for_test

    first = dagster.shop.build("2017-11-29")
    key = dagster.tick().run_requests[0].run_key
    tags = {"kumo_assets/query": dagster.shop.query, "kumo_assets/release": first, "kumo_assets/generation": "0"}
    keys = {key}
    for number in range(55):
        create_run_for_test(dagster.instance, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        if number > 48:
            keys.add(dagster.tick().run_requests[0].run_key)
    assert len(keys) == 7
    assert all(key is not None and key.startswith(f"{dagster.shop.query}:{first}:0:") for key in keys)


def test_a_damaged_pointer_is_told_once(dagster: Dagster, chat: Chat) -> None:
    two(dagster)
    dagster.tick()
    dagster.shop.edit(lambda text: text[:-20])
    dagster.tick()
    dagster.tick()
    (message,) = chat.posted
    assert message["kind"] == "damaged"
    assert "rollback" in message["text"]


def test_a_deleted_pointer_is_told_once_and_one_that_never_was_is_not(dagster: Dagster, chat: Chat) -> None:
    dagster.tick()
    _, second = two(dagster)
    dagster.tick()
    assert chat.posted == []
    store = dagster.shop.ctx.pointers
    dagster.shop.ctx.objects.client.delete_object(Bucket=store.objects.bucket, Key=store.key)
    dagster.tick()
    dagster.tick()
    (message,) = chat.posted
    assert message["kind"] == "deleted"
    assert second in message["text"]


def test_a_stale_release_and_one_that_waits_are_told_once_each_with_the_reason(
    dagster: Dagster, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime, timedelta

    import kumo_assets.automation.looking as sensor

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(hours=31)

    two(dagster)
    hold(dagster.shop.ctx, by="ann", reason="looking")
    waits = dagster.shop.build("2017-12-01")
    dagster.tick()
    assert chat.posted == []
    monkeypatch.setattr(sensor, "datetime", Later)
    dagster.tick()
    dagster.tick()
    assert sorted(message["kind"] for message in chat.posted) == ["stale", "waiting"]
    waiting = next(message["text"] for message in chat.posted if message["kind"] == "waiting")
    assert waits in waiting
    assert "on hold" in waiting


def test_a_dead_webhook_stops_no_promotion_and_its_address_is_in_no_log(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KUMO_ASSETS_WEBHOOK_URL", "http://127.0.0.1:9/services/T0/B0/sesame")
    first, second = two(dagster)
    names = dagster.shop.ctx.names
    dagster.shop.edit(lambda text: text.replace(names.dynamodb_table(second), names.dynamodb_table(first), 1))
    dagster.tick()
    assert "could not be reached" in caplog.text
    assert "sesame" not in caplog.text


def test_a_run_that_moves_nothing_does_not_make_the_pointer_look_fresh(dagster: Dagster) -> None:
    dagster.shop.build("2017-11-29")
    job = dagster.definitions.resolve_implicit_global_asset_job_def()

    def materialize() -> dg.ExecuteInProcessResult:
        return job.execute_in_process(instance=dagster.instance, asset_selection=[dagster.pointer], run_config=QUIET)

    first = materialize()
    assert len(first.asset_materializations_for_node(dagster.pointer.to_python_identifier())) == 1
    moved = dagster.instance.get_latest_materialization_event(dagster.pointer)
    again = materialize()
    assert again.success
    assert dagster.instance.get_latest_materialization_event(dagster.pointer) == moved
    [seen] = dagster.instance.fetch_observations(dagster.pointer, limit=1).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["moved"].value is False
    failures = dagster.instance.get_records_for_run(
        again.run_id, of_type=dg.DagsterEventType.ASSET_FAILED_TO_MATERIALIZE
    )
    assert failures.records == []
    assert dagster.tick().asset_events == []


def test_a_tick_ends_runs_whose_process_is_gone(dagster: Dagster) -> None:
    from dagster._core.test_utils import create_run_for_test

    tags = {PROCESS_TAG: f"999999999@{socket.gethostname()}"}
    gone = create_run_for_test(dagster.instance, status=dg.DagsterRunStatus.STARTED, tags=tags)
    dagster.tick()
    found = dagster.instance.get_run_by_id(gone.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE


def test_the_pointers_freshness_is_what_the_query_allows(dagster: Dagster) -> None:
    from datetime import timedelta

    key = dg.AssetKey([dagster.shop.query, "active_pointer"])
    policy = dagster.definitions.resolve_asset_graph().get(key).freshness_policy
    assert isinstance(policy, dg.FreshnessPolicy)
    assert policy.fail_window.to_timedelta() == timedelta(hours=30)  # type: ignore[attr-defined]


def test_a_second_tick_reads_each_pointer_and_lists_each_querys_releases_and_no_more(
    dagster: Dagster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written once is read at the first tick, by one sensor for as long as it lives: no other sensor knows of it."""
    queries = [dagster.shop.query, *(new_query() for _ in range(4))]
    for query in queries:
        made = shop(query=query)
        promote(made.ctx, made.build("2017-11-29"), by="ann")
        made.build("2017-11-30", failed="volume")

    def tick(sensor: Dagster) -> Counter[str]:
        with recorded(monkeypatch) as needs:
            sensor.tick()
        reads = (need.resource.rpartition("/")[2] for need in needs if need.action == "s3:GetObject")
        lists = (f"list {need.prefix.rsplit('/', 2)[1]}" for need in needs if need.prefix and not need.perhaps)
        return Counter([*reads, *lists])

    sensor = Dagster(dagster.shop, dagster.instance, define(tmp_path / "many", *queries))
    first = tick(sensor)
    assert (first["active.json"], first["opened.json"], first["release.json"]) == (5, 5, 10)
    verdicts = {f"{gate}.json": 5 for gate in (*GATES, "import_complete")}
    # The blocked release may be decided again, so its verdicts, and whether it was rejected or retired, are read each time.
    changing = {"rejected.json": 5, "retired.json": 5, "retiring.json": 5, **verdicts}
    assert tick(sensor) == Counter({"active.json": 5, "list releases": 5, "list .sealed": 1, **changing})
    another = Dagster(dagster.shop, dagster.instance, define(tmp_path / "another", *queries))
    assert tick(another)["opened.json"] == 5
