"""Operations on releases as Dagster jobs, and what the sensor tells Dagster and people of moves made elsewhere: real jobs
and a real sensor tick on an ephemeral instance, S3 and DynamoDB on MiniStack, the webhook a real HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from kumo_assets.releases.operations.hold import hold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets_tests.support.chat import Chat
from kumo_assets_tests.support.releases import BUCKET, Shop, new_query, shop

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Dagster:
    """One query's definitions, as `dg` loads them, on an instance of this test's own."""

    shop: Shop
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    cursor: str | None = None

    def run(self, name: str, config: dict[str, Any] | None = None, op: str = "", **more: Any) -> Any:
        job = self.definitions.resolve_job_def(f"{self.shop.query}_{name}")
        ops = {"ops": {op or name: {"config": config}}} if config is not None else {}
        return job.execute_in_process(
            instance=self.instance, run_config={**QUIET, **ops}, raise_on_error=False, tags={"user": "ann"}, **more
        )

    def tick(self) -> dg.SensorResult:
        """One tick of the promotion sensor; its events are stored as the daemon stores them."""
        sensor = self.definitions.get_repository_def().get_sensor_def("promotion_sensor")
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
            resources={name: (self.definitions.resources or {})[name] for name in ("releases", "s3")},
        ) as context:
            found = sensor(context)
        assert isinstance(found, dg.SensorResult)
        self.cursor = found.cursor
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        return found

    def last(self) -> dg.AssetMaterialization:
        event = self.instance.get_latest_materialization_event(dg.AssetKey([self.shop.query, "active_pointer"]))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization


@pytest.fixture
def dagster(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dagster]:
    from kumo_assets.components.predictive_query import build_query
    from kumo_assets.components.raw_logs import build_raw_logs
    from kumo_assets.config.index import DefinitionsIndex
    from kumo_assets.definitions import shell

    shipped = Path(__file__).parents[2] / "kumo_assets" / "defs"
    query = new_query()
    for name, source in (("raw_logs", "raw_logs"), (query, "next_best_product")):
        folder = tmp_path / "defs" / name
        folder.mkdir(parents=True)
        document = yaml.safe_load((shipped / source / "defs.yaml").read_text())
        if name == query:
            document["attributes"].update(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 0})
        (folder / "defs.yaml").write_text(yaml.safe_dump(document))
    index = DefinitionsIndex(tmp_path / "defs")
    definition = index.query(query)
    definitions = dg.Definitions.merge(
        build_query(definition, index.raw_sources(definition)),
        build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
        shell(),
    )
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)
    with dg.instance_for_test() as instance:
        yield Dagster(shop(query=query), instance, definitions)


def two(dagster: Dagster) -> tuple[str, str]:
    first = dagster.shop.build("2017-11-29")
    promote(dagster.shop.ctx, first, by="ann")
    second = dagster.shop.build("2017-11-30")
    promote(dagster.shop.ctx, second, by="ann")
    return first, second


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


def test_a_move_made_outside_dagster_is_an_event_at_the_next_tick_once(dagster: Dagster) -> None:
    first, second = two(dagster)
    dagster.tick()
    rollback(dagster.shop.ctx, by="bob@laptop", reason="odd")
    (event,) = dagster.tick().asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.metadata["release"].value == first
    assert event.metadata["by"].value == "bob@laptop"
    assert event.metadata["left"].value == second
    assert dagster.last().metadata["action"].value == "rollback"
    assert dagster.tick().asset_events == []


def test_a_hold_is_an_observation_and_does_not_make_the_pointer_fresh(dagster: Dagster) -> None:
    two(dagster)
    dagster.tick()
    hold(dagster.shop.ctx, by="bob", reason="looking")
    (event,) = dagster.tick().asset_events
    assert isinstance(event, dg.AssetObservation)


def test_what_a_run_of_this_dagster_did_is_not_told_twice(dagster: Dagster) -> None:
    two(dagster)
    dagster.tick()
    dagster.run("rollback", {"reason": "odd"})
    assert dagster.tick().asset_events == []


def test_a_run_that_died_after_the_pointer_moved_is_told_by_the_ledger(dagster: Dagster) -> None:
    from dagster._core.test_utils import create_run_for_test

    run = create_run_for_test(dagster.instance, status=dg.DagsterRunStatus.STARTED)
    dagster.tick()
    release = dagster.shop.build("2017-11-29")
    promote(dagster.shop.ctx, release, by="sensor", run_id=run.run_id)
    assert dagster.tick().asset_events == [], "it may still tell it itself"
    dagster.instance.report_run_failed(run)
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == release


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
    dagster.shop.ctx.store.s3.delete_object(Bucket=store.bucket, Key=store.key)
    dagster.tick()
    dagster.tick()
    (message,) = chat.posted
    assert message["kind"] == "deleted"
    assert second in message["text"]


def test_what_a_tick_that_came_to_nothing_would_have_told_is_told_by_the_next(dagster: Dagster) -> None:
    two(dagster)
    dagster.tick()
    rollback(dagster.shop.ctx, by="bob", reason="odd")
    before = dagster.cursor
    (event,) = dagster.tick().asset_events
    dagster.cursor = before
    (again,) = dagster.tick().asset_events
    assert again.metadata["release"] == event.metadata["release"]


def test_a_stale_release_and_one_that_waits_are_told_once_each_with_the_reason(
    dagster: Dagster, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime, timedelta

    import kumo_assets.automation.promotion_sensor as sensor

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


def test_the_pointers_freshness_is_what_the_query_allows(dagster: Dagster) -> None:
    from datetime import timedelta

    key = dg.AssetKey([dagster.shop.query, "active_pointer"])
    policy = dagster.definitions.resolve_asset_graph().get(key).freshness_policy
    assert isinstance(policy, dg.FreshnessPolicy)
    assert policy.fail_window.to_timedelta() == timedelta(hours=30)  # type: ignore[attr-defined]
