"""Status and the list of releases: what a person reads first must be true."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kumo_sandbox.testing.releases import Shop, now, put_raw

from kumo_assets.documents import Rejection, utc_now
from kumo_assets.releases.operations.hold import hold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retention import plan
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import releases, report
from kumo_assets.resources.dynamodb import tables


def test_before_anything_was_promoted(store: Shop) -> None:
    found = report(store.ctx)
    assert (found.release_id, found.generation, found.hold, found.stale) == (None, 0, None, True)
    assert found.next_command.startswith(f"kumo-assets materialize {store.query} --partition 20")


def test_what_waits_is_named_with_the_command_that_promotes_it(store: Shop) -> None:
    waiting = store.build()
    found = report(store.ctx)
    assert found.candidate == waiting
    assert found.candidate_waits_hours is not None
    assert found.next_command == f"kumo-assets promote {store.query} {waiting}"


def test_a_good_day_asks_for_nothing(either: Shop) -> None:
    active = either.build()
    promote(either.ctx, None, by="sensor")
    found = report(either.ctx)
    assert (found.release_id, found.partition, found.table) == (
        active,
        "2017-11-30",
        either.ctx.names.dynamodb_table(active),
    )
    assert (found.problems, found.stale, found.hand_edited) == ([], False, False)
    assert found.active_age_hours == pytest.approx(0, abs=0.1)
    assert found.next_command.startswith("nothing")


def test_a_stale_release_is_called_stale(store: Shop) -> None:
    store.build()
    promote(store.ctx, None, by="sensor")
    found = report(store.ctx, now() + timedelta(hours=31))
    assert found.stale
    assert "31.0 h ago, and the limit is 30 h" in found.problems[0]
    assert "materialize" in found.next_command


def test_the_last_block_has_its_gates_words(store: Shop) -> None:
    store.build("2017-11-29")
    promote(store.ctx, None, by="sensor")
    blocked = store.build("2017-11-30", failed="volume", seal=False)
    found = report(store.ctx)
    assert found.last_block is not None
    assert found.last_block["release_id"] == blocked
    assert found.last_block["message"] == "volume is not fine at all"
    assert found.building == []
    assert found.next_command == f"kumo-assets gates {store.query} --partition 2017-11-30"
    assert {view.release_id: view.state for view in releases(store.ctx)}[blocked] == "blocked"


def test_a_block_that_a_newer_release_got_past_is_resolved(store: Shop) -> None:
    store.build("2017-11-29", failed="volume", seal=False)
    active = store.build("2017-11-30")
    promote(store.ctx, None, by="sensor")
    found = report(store.ctx)
    assert found.last_block is not None
    assert found.last_block["resolved"]
    assert found.release_id == active
    assert found.next_command.startswith("nothing")


def test_under_a_hold_it_shows_what_waits_and_why(store: Shop) -> None:
    store.build("2017-11-29")
    promote(store.ctx, None, by="sensor")
    hold(store.ctx, by="ann", reason="looking at it")
    waiting = store.build("2017-11-30")
    found = report(store.ctx)
    assert found.candidate == waiting
    assert "looking at it" in found.candidate_words
    assert found.hold is not None
    assert found.hold["by"] == "ann"
    assert found.next_command == f"kumo-assets unhold {store.query}"


def test_a_hand_edit_is_shown_as_a_hold(either: Shop) -> None:
    first = either.build("2017-11-29")
    promote(either.ctx, None, by="sensor")
    second = either.build("2017-11-30")
    promote(either.ctx, None, by="sensor")
    names = either.ctx.names
    either.edit(lambda text: text.replace(names.dynamodb_table(second), names.dynamodb_table(first), 1))
    found = report(either.ctx)
    assert (found.release_id, found.hand_edited) == (first, True)
    assert found.hold is not None
    assert "edited by hand" in found.hold["reason"]
    assert found.next_command == f"kumo-assets unhold {either.query}"


def test_a_damaged_pointer_is_a_finding_with_the_command_that_repairs_it(store: Shop) -> None:
    store.build()
    promote(store.ctx, None, by="sensor")
    put_raw(store.ctx, b"{")
    found = report(store.ctx)
    assert "not JSON" in found.problems[0]
    assert found.next_command == f"kumo-assets rollback {store.query} --reason 'WHY'"


def test_a_deleted_pointer_is_told_from_one_that_never_was(store: Shop) -> None:
    store.build()
    promote(store.ctx, None, by="sensor")
    store.ctx.objects.client.delete_object(Bucket=store.ctx.names.bucket, Key=store.ctx.names.pointer_key)
    assert "deleted" in report(store.ctx).problems[0]


def test_an_active_table_that_is_gone_is_the_first_problem(store: Shop) -> None:
    active = store.build()
    promote(store.ctx, None, by="sensor")
    tables.delete(store.ctx.dynamodb, store.ctx.names.dynamodb_table(active))
    found = report(store.ctx)
    assert "does not exist" in found.problems[0]
    assert "rollback" in found.next_command


def test_an_interrupted_rollback_is_shown(store: Shop) -> None:
    for day in ("29", "30"):
        store.build(f"2017-11-{day}")
        promote(store.ctx, None, by="sensor")
    active = store.active()
    store.ctx.store.reject(Rejection(query=store.query, release_id=active, at=utc_now(), by="ann", reason="odd"))
    found = report(store.ctx)
    assert "begun and not finished" in found.problems[0]
    assert found.next_command == f"kumo-assets rollback {store.query} --reason 'WHY'"


def test_every_state_has_its_name(store: Shop) -> None:
    names = {}
    for day in ("26", "27", "28"):
        names[day] = store.build(f"2017-11-{day}")
        promote(store.ctx, None, by="sensor")
    rollback(store.ctx, by="ann", reason="odd")
    blocked = store.build("2017-11-29", failed="volume", seal=False)
    candidate = store.build("2017-11-30")
    building = store.open("2017-12-01").release_id
    states = {view.release_id: view.state for view in releases(store.ctx)}
    assert states == {
        building: "building",
        candidate: "candidate",
        blocked: "blocked",
        names["28"]: "rejected",
        names["27"]: "active",
        names["26"]: "previous",
    }


def test_a_name_with_a_date_that_does_not_exist_is_no_release(store: Shop) -> None:
    active = store.build()
    promote(store.ctx, None, by="sensor")
    ctx, odd = store.ctx, "20171131-0a0b0c0d"
    for name in ("opened.json", "release.json", "artefacts/predictions.json"):
        ctx.objects.client.put_object(
            Bucket=ctx.names.bucket, Key=f"{ctx.names.releases_prefix}{odd}/{name}", Body=b"{}"
        )
    assert [item.release_id for item in ctx.store.listings()] == [active]
    assert ctx.store.newest_with("2017-11-31", "predictions") is None
    assert [view.release_id for view in releases(ctx)] == [active]
    store.edit(lambda text: text.replace(f"{ctx.query}-{active}", f"{ctx.query}-{odd}"))
    found = report(ctx)
    assert (found.release_id, found.hand_edited) == (None, True)
    assert found.table == f"{ctx.names.environment}-{ctx.query}-{odd}"
    assert plan(ctx).going == {}
