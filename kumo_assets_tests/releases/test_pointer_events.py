"""Moves of the pointer as events in Dagster: each is reported once, and what is active now is reported to any Dagster whose
storage does not know it. Real sensor ticks on an instance of the test's own; S3 and DynamoDB on MiniStack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from kumo_serving.pointer import Pointer, Promoted

from kumo_assets.assets.active_pointer import NO_RELEASE
from kumo_assets.automation.pointer_events import missing_report, shows
from kumo_assets.documents import utc_text
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets_tests.support.in_dagster import Dagster, two


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
    run = create_run_for_test(dagster.instance, status=dg.DagsterRunStatus.STARTED)
    dagster.tick()
    release = dagster.shop.build("2017-11-29")
    promote(dagster.shop.ctx, release, by="sensor", run_id=run.run_id)
    assert dagster.tick().asset_events == [], "it may still tell it itself"
    dagster.instance.report_run_failed(run)
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == release


def test_what_a_tick_that_came_to_nothing_would_have_told_is_told_by_the_next(dagster: Dagster) -> None:
    two(dagster)
    dagster.tick()
    rollback(dagster.shop.ctx, by="bob", reason="odd")
    before = dagster.cursor
    (event,) = dagster.tick().asset_events
    dagster.cursor = before
    (again,) = dagster.tick().asset_events
    assert again.metadata["release"] == event.metadata["release"]


def pointer_of(dagster: Dagster) -> VersionedPointer:
    found = dagster.shop.ctx.pointers.read()
    assert found is not None
    return found


def log_emptied(dagster: Dagster) -> None:
    """Runs, ticks and the cursor stay; a person wiped the asset, or the event log was lost."""
    dagster.instance.wipe_assets([dagster.pointer])


def storage_is_new(dagster: Dagster) -> None:
    """Another Dagster, which begins with nothing."""
    dagster.on_new_storage()
    dagster.cursor = None


def log_is_new(dagster: Dagster) -> None:
    """Another event log and other runs, under the cursor of before."""
    dagster.on_new_storage()


def test_the_first_tick_reports_the_move_that_is_active_and_no_earlier_one(dagster: Dagster) -> None:
    first, second = two(dagster)
    (event,) = dagster.tick().asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.metadata["release"].value == second
    assert event.metadata["action"].value == "promote"
    assert event.metadata["by"].value == "ann"
    assert event.metadata["left"].value == first
    assert event.metadata["table"].value == dagster.shop.ctx.names.dynamodb_table(second)
    assert dagster.tick().asset_events == []


def test_before_the_first_promotion_there_is_nothing_to_report(dagster: Dagster) -> None:
    dagster.shop.build("2017-11-29")
    assert dagster.tick().asset_events == []


@pytest.mark.parametrize("lost", [log_emptied, storage_is_new, log_is_new])
def test_whatever_dagster_lost_the_next_tick_reports_what_is_active_once(
    dagster: Dagster, lost: Callable[[Dagster], None]
) -> None:
    first, _ = two(dagster)
    dagster.tick()
    dagster.run("rollback", {"reason": "odd"})
    hold_of_a_person = pointer_of(dagster).pointer.hold
    assert hold_of_a_person is not None
    assert dagster.tick().asset_events == []
    lost(dagster)
    (event,) = dagster.tick().asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.metadata["release"].value == first
    assert event.metadata["action"].value == "rollback"
    assert event.metadata["hold"].value == "odd"
    assert dagster.last().metadata["release"].value == first
    assert dagster.tick().asset_events == []


@pytest.mark.parametrize("lost", [log_emptied, storage_is_new, log_is_new])
def test_an_active_release_is_reported_though_the_last_move_was_no_promotion(
    dagster: Dagster, lost: Callable[[Dagster], None]
) -> None:
    """The document then carries the hold's own entry, and says only since when the release is served, and by whom."""
    _, second = two(dagster)
    hold(dagster.shop.ctx, by="bob", reason="looking")
    dagster.tick()
    lost(dagster)
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == second
    assert event.metadata["by"].value == "ann"
    assert event.metadata["hold"].value == "looking"
    assert dagster.tick().asset_events == []


def test_a_log_restored_from_an_old_copy_learns_of_a_release_that_is_active_again(dagster: Dagster) -> None:
    """Release A, then B, then A again and a hold. The copy knows the first A: the same release, of another time."""
    first = dagster.shop.build("2017-11-29")
    promote(dagster.shop.ctx, first, by="ann")
    dagster.tick()
    old = dagster.last()
    promote(dagster.shop.ctx, dagster.shop.build("2017-11-30"), by="ann")
    rollback(dagster.shop.ctx, by="bob", reason="odd")
    unhold(dagster.shop.ctx, preview_unhold(dagster.shop.ctx), by="bob")
    dagster.tick()
    log_emptied(dagster)
    yesterday = {**old.metadata, "at": utc_text(datetime.now(UTC) - timedelta(days=1))}
    dagster.instance.report_runless_asset_event(dg.AssetMaterialization(dagster.pointer, metadata=yesterday))
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == first
    assert event.metadata["by"].value == "bob"
    assert dagster.tick().asset_events == []


@pytest.mark.parametrize("lost", [log_emptied, storage_is_new, log_is_new])
def test_what_a_person_edited_is_reported_as_what_is_served(dagster: Dagster, lost: Callable[[Dagster], None]) -> None:
    first, second = two(dagster)
    dagster.tick()
    names = dagster.shop.ctx.names
    dagster.shop.edit(lambda text: text.replace(names.dynamodb_table(second), names.dynamodb_table(first), 1))
    dagster.tick()
    lost(dagster)
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == first
    assert event.metadata["by"].value == "a hand edit"
    assert dagster.tick().asset_events == []
    unhold(dagster.shop.ctx, preview_unhold(dagster.shop.ctx), by="bob")
    (lifted,) = dagster.tick().asset_events
    assert isinstance(lifted, dg.AssetObservation), "what is served has not changed"


def test_a_hold_written_by_hand_and_lifted_reports_no_second_promotion(dagster: Dagster) -> None:
    two(dagster)
    dagster.tick()
    dagster.shop.edit(lambda text: text.replace('"hold": null', '"hold": {"reason": "looking"}'))
    (edited,) = dagster.tick().asset_events
    assert edited.metadata["action"].value == "hand_edit"
    unhold(dagster.shop.ctx, preview_unhold(dagster.shop.ctx), by="bob")
    (lifted,) = dagster.tick().asset_events
    assert isinstance(lifted, dg.AssetObservation)


@pytest.mark.parametrize(
    ("event_at", "known"),
    [
        ("2026-01-01T10:10:00.900Z", True),
        ("2026-01-01T10:10:00.000Z", True),  # an edit in the same second, as S3 dates it
        ("2026-01-01T10:05:00.000Z", True),  # the edit that stands, where S3's clock is behind that of the promotion
        ("2026-01-01T10:09:59.000Z", False),
        ("2025-12-31T10:10:00.900Z", False),
        ("not a time", False),
    ],
)
def test_an_event_shows_the_active_release_only_since_it_went_live(event_at: str, known: bool) -> None:
    release = "20251231-0a1b2c3d"
    pointer = Pointer("q", f"local-q-{release}", release_id=release, promoted=Promoted("2026-01-01T10:10:00.900Z"))
    found = VersionedPointer(pointer, "etag", True, datetime(2026, 1, 1, 10, 5, tzinfo=UTC))
    event = dg.AssetMaterialization(["q", "active_pointer"], metadata={"release": release, "at": event_at})
    assert shows(event, found) == known


def test_a_table_of_no_release_is_reported_as_such_once(dagster: Dagster) -> None:
    _, second = two(dagster)
    dagster.tick()
    dagster.shop.edit(lambda text: text.replace(dagster.shop.ctx.names.dynamodb_table(second), "made_by_hand", 1))
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == NO_RELEASE
    assert dagster.tick().asset_events == []
    log_emptied(dagster)
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == NO_RELEASE
    assert event.metadata["table"].value == "made_by_hand"
    assert dagster.tick().asset_events == []


def test_an_old_document_put_back_is_one_event(dagster: Dagster) -> None:
    first = dagster.shop.build("2017-11-29")
    promote(dagster.shop.ctx, first, by="ann")
    old = dagster.shop.ctx.pointers.peek()
    assert old is not None
    promote(dagster.shop.ctx, dagster.shop.build("2017-11-30"), by="ann")
    dagster.tick()
    dagster.shop.edit(lambda _: old.data.decode())
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == first
    assert event.metadata["action"].value == "hand_edit"
    assert dagster.tick().asset_events == []


def test_a_run_that_is_under_way_reports_its_move_itself_to_a_storage_that_is_new(dagster: Dagster) -> None:
    run = create_run_for_test(dagster.instance, status=dg.DagsterRunStatus.STARTED)
    promote(dagster.shop.ctx, dagster.shop.build("2017-11-29"), by="sensor", run_id=run.run_id)
    assert dagster.tick().asset_events == []
    assert dagster.tick().asset_events == []


def test_a_run_that_ended_between_two_reads_of_one_tick_is_not_reported_twice(dagster: Dagster) -> None:
    """The first read found no event, for the run had not written it; then it did, and succeeded."""
    promote(dagster.shop.ctx, dagster.shop.build("2017-11-29"), by="sensor", run_id="a-run")
    found = pointer_of(dagster)
    succeeded = dg.DagsterRunStatus.SUCCESS
    missing = missing_report(found, "s3://b/k", None, latest=lambda: None, run_status=lambda _: succeeded)
    assert missing is not None, "a run that succeeded, whose event was lost since"
    again = missing_report(found, "s3://b/k", None, latest=lambda: missing, run_status=lambda _: succeeded)
    assert again is None


def test_an_event_of_version_01_which_has_no_time_shows_what_is_active(dagster: Dagster) -> None:
    two(dagster)
    pointer = pointer_of(dagster).pointer
    metadata = {"release": pointer.release_id, "generation": pointer.generation}
    dagster.instance.report_runless_asset_event(dg.AssetMaterialization(dagster.pointer, metadata=metadata))
    assert dagster.tick().asset_events == []
    found = pointer_of(dagster)
    earlier = replace(found, pointer=pointer.replace(generation=pointer.generation - 1))
    assert shows(dagster.last(), found)
    assert not shows(dagster.last(), earlier), "a generation that is not there any more"


def test_an_event_that_a_person_reported_by_hand_hides_nothing(dagster: Dagster) -> None:
    _, second = two(dagster)
    dagster.tick()
    dagster.instance.report_runless_asset_event(dg.AssetMaterialization(dagster.pointer))
    (event,) = dagster.tick().asset_events
    assert event.metadata["release"].value == second
