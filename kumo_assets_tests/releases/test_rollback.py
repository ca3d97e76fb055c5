"""Rollback: rules 5 and 9, from a good pointer, a damaged one and none at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kumo_sandbox.testing.releases import Shop, put_raw, shop
from kumo_serving import Reader, open_pointer

from kumo_assets.documents import Forcing, Rejection, Retirement, utc_now
from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import next_promotion, promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.resources.dynamodb import tables


def three(found: Shop) -> list[str]:
    """Three days, each promoted."""
    days = []
    for day in ("28", "29", "30"):
        days.append(found.build(f"2017-11-{day}"))
        promote(found.ctx, None, by="sensor")
    return days


def test_rollback_goes_to_the_release_before_rejects_what_it_leaves_and_holds(either: Shop) -> None:
    _, second, third = three(either)
    done = rollback(either.ctx, by="ann", reason="odd scores")
    assert (done.left, done.pointer.release_id, done.pointer.generation) == (third, second, 4)
    rejection = either.ctx.store.rejection(third)
    assert rejection is not None
    assert (rejection.by, rejection.reason) == ("ann", "odd scores")
    held = done.pointer.hold
    assert held is not None
    assert (held.by, held.reason, held.from_release, held.to_release) == ("ann", "odd scores", third, second)
    assert [entry.action for entry in either.ctx.ledger.history(1)] == ["rollback"]


def test_readers_follow_a_rollback(either: Shop) -> None:
    _, second, third = three(either)
    with Reader(either.query, open_pointer(either.ctx.pointers.uri), refresh_seconds=0.1) as reader:
        assert reader.get("1").release_id == third
        rollback(either.ctx, by="ann", reason="odd scores")
        assert reader.refresh(5)
        assert reader.get("1").predictions[0][0] == second


def test_no_reader_falls_back_to_a_release_that_was_rejected(store: Shop) -> None:
    first, _, third = three(store)
    done = rollback(store.ctx, by="ann", reason="odd scores")
    named = [item.release_id for item in done.pointer.previous]
    assert first in named
    assert third not in named


def test_a_second_rollback_while_held_must_name_its_target(either: Shop) -> None:
    first, second, third = three(either)
    rollback(either.ctx, by="ann", reason="odd scores")
    with pytest.raises(Refused) as refused:
        rollback(either.ctx, by="bob", reason="me too")
    assert f"ann rolled back from {third} to {second}" in str(refused.value)
    assert either.active() == second
    last, *_ = either.ctx.ledger.history()
    assert (last.action, last.by, last.from_release) == ("refuse", "bob", second)
    assert last.reason.startswith("rollback: it is on hold already")
    assert rollback(either.ctx, to=first, by="bob", reason="further back").pointer.release_id == first


def test_a_rollback_to_what_a_hand_edit_serves_rejects_what_the_edit_left(either: Shop) -> None:
    """As a person does who edited the pointer first, and then wants it made regular."""
    first, second, third = three(either)
    names = either.ctx.names
    either.edit(lambda text: text.replace(names.dynamodb_table(third), names.dynamodb_table(second), 1))
    rolled = rollback(either.ctx, to=second, by="ann", reason="odd scores")
    assert rolled.pointer.release_id == second
    assert rolled.left == third
    assert either.ctx.store.rejection(third) is not None
    assert either.ctx.store.rejection(second) is None
    assert third not in [item.release_id for item in rolled.pointer.previous]
    assert rollback(either.ctx, to=first, by="ann", reason="further").pointer.release_id == first


def test_a_release_put_live_by_hand_and_rolled_back_from_is_not_read_any_more(either: Shop) -> None:
    """It stood in `previous`, where a reader whose table is gone would go next."""
    first, second, third = three(either)
    names = either.ctx.names
    either.edit(lambda text: text.replace(names.dynamodb_table(third), names.dynamodb_table(second), 1))
    rolled = rollback(either.ctx, to=first, by="ann", reason="worse still")
    assert (rolled.left, rolled.pointer.release_id) == (second, first)
    assert second not in [item.release_id for item in rolled.pointer.previous]


def test_no_reader_is_sent_to_what_was_retired_before_an_old_document_came_back(store: Shop) -> None:
    first, second, third = three(store)
    raw = store.ctx.pointers.peek()
    assert raw is not None
    store.ctx.store.mark_retired(
        Retirement(query=store.query, release_id=first, at=utc_now(), by="daily", reason="old")
    )
    hold(store.ctx, by="ann", reason="looking")
    put_raw(store.ctx, raw.data)
    assert first in raw.data.decode()
    rolled = rollback(store.ctx, to=second, by="ann", reason="odd")
    assert (rolled.left, rolled.pointer.release_id) == (third, second)
    assert first not in [item.release_id for item in rolled.pointer.previous]


def test_a_forced_promotion_that_lost_its_race_did_not_go_live_by_force(store: Shop) -> None:
    _, second, _ = three(store)
    store.ctx.store.force(Forcing(query=store.query, release_id=second, at=utc_now(), by="ann", reason="I insist"))
    assert rollback(store.ctx, by="ann", reason="odd").pointer.release_id == second


def test_a_first_rollback_under_a_plain_hold_needs_no_target(store: Shop) -> None:
    _, second, _ = three(store)
    hold(store.ctx, by="ann", reason="looking at it")
    assert rollback(store.ctx, by="ann", reason="it is bad").pointer.release_id == second


def test_nothing_is_promoted_after_a_rollback_until_a_person_lifts_the_hold(either: Shop) -> None:
    _, second, third = three(either)
    rollback(either.ctx, by="ann", reason="odd scores")
    newer = either.build("2017-12-01")
    release, decision = next_promotion(either.ctx)
    assert (release, decision.outcome) == (newer, "refuse")
    with pytest.raises(Refused, match="on hold"):
        promote(either.ctx, newer, by="sensor")
    with pytest.raises(Refused, match="on hold"):
        promote(either.ctx, newer, by="bob", forced="I insist")
    preview = preview_unhold(either.ctx)
    assert preview.next_release == newer
    assert newer in preview.message
    unhold(either.ctx, preview, by="ann")
    assert either.active() == second
    assert promote(either.ctx, None, by="sensor").pointer.release_id == newer
    assert third not in (next_promotion(either.ctx)[0], either.active())


def test_the_rejected_release_never_comes_back(store: Shop) -> None:
    _, second, third = three(store)
    rollback(store.ctx, by="ann", reason="odd scores")
    unhold(store.ctx, preview_unhold(store.ctx), by="ann")
    assert promote(store.ctx, None, by="sensor").moved is False
    with pytest.raises(Refused, match="was rejected"):
        promote(store.ctx, third, by="bob", forced="I insist")
    with pytest.raises(Refused, match="was rejected"):
        rollback(store.ctx, to=third, by="bob", reason="it was not so bad")
    assert store.active() == second


def test_rollback_skips_a_forced_release(store: Shop) -> None:
    first = store.build("2017-11-28")
    promote(store.ctx, first, by="sensor")
    forced = store.build("2017-11-29", failed="volume")
    promote(store.ctx, forced, by="bob", forced="the drop is real")
    store.build("2017-11-30")
    promote(store.ctx, None, by="sensor")
    with pytest.raises(Refused, match="by force"):
        rollback(store.ctx, to=forced, by="ann", reason="odd")
    assert rollback(store.ctx, by="ann", reason="odd").pointer.release_id == first


def test_rollback_refuses_a_release_that_was_never_active(store: Shop) -> None:
    never = store.build("2017-11-27")
    three(store)
    with pytest.raises(Refused, match="never been active"):
        rollback(store.ctx, to=never, by="ann", reason="odd")


def test_rollback_skips_a_release_whose_table_is_gone_and_says_so_when_none_is_left(store: Shop) -> None:
    first, second, third = three(store)
    tables.delete(store.ctx.dynamodb, store.ctx.names.dynamodb_table(second))
    with pytest.raises(Refused, match="does not exist"):
        rollback(store.ctx, to=second, by="ann", reason="odd")
    assert rollback(store.ctx, by="ann", reason="odd").pointer.release_id == first
    with pytest.raises(Refused):
        rollback(store.ctx, to=third, by="ann", reason="odd")


def test_rollback_with_nothing_to_go_back_to_is_refused_and_leaves_no_rejection(store: Shop) -> None:
    only = store.build()
    promote(store.ctx, None, by="sensor")
    with pytest.raises(Refused, match="no earlier known good"):
        rollback(store.ctx, by="ann", reason="odd")
    assert store.ctx.store.rejection(only) is None
    assert store.ctx.ledger.history(1)[0].action == "refuse"


def test_a_target_whose_sampled_items_are_gone_is_not_gone_back_to(store: Shop) -> None:
    _, second, third = three(store)
    for entity in ("1", "2", "3"):
        store.ctx.dynamodb.delete_item(TableName=store.ctx.names.dynamodb_table(second), Key={"e": {"S": entity}})
    with pytest.raises(ReleaseError, match="3 of 3 trial lookups"):
        rollback(store.ctx, by="ann", reason="odd")
    assert store.active() == third
    assert store.ctx.store.rejection(third) is None


def test_the_release_before_is_by_partition_not_by_when_it_was_promoted(store: Shop) -> None:
    first, second, third = three(store)
    rollback(store.ctx, to=first, by="ann", reason="odd")
    unhold(store.ctx, preview_unhold(store.ctx), by="ann")
    assert promote(store.ctx, None, by="sensor").pointer.release_id == second
    # `previous` now begins with the older release; going back from here is to it, not to the rejected newer one.
    assert rollback(store.ctx, by="ann", reason="odd again").pointer.release_id == first
    assert third != first


def test_rollback_repairs_a_damaged_pointer(either: Shop) -> None:
    first, second, third = three(either)
    put_raw(either.ctx, b'{"schema_version": 1, "query": "' + either.query.encode() + b'", "tab')
    done = rollback(either.ctx, by="ann", reason="somebody broke it")
    assert done.pointer.release_id in (second, third)
    assert done.pointer.generation == 4
    assert done.left == ""
    named = rollback(either.ctx, to=first, by="ann", reason="that one, please").pointer
    assert (named.release_id, named.generation) == (first, 5)


def test_rollback_puts_back_a_deleted_pointer(store: Shop) -> None:
    _, second, _ = three(store)
    store.ctx.objects.client.delete_object(Bucket=store.ctx.names.bucket, Key=store.ctx.names.pointer_key)
    pointer = rollback(store.ctx, to=second, by="ann", reason="somebody deleted it").pointer
    assert (pointer.release_id, pointer.generation) == (second, 4)
    assert len(pointer.previous) == 2


def test_a_deleted_pointer_is_not_promoted_over(store: Shop) -> None:
    three(store)
    store.ctx.objects.client.delete_object(Bucket=store.ctx.names.bucket, Key=store.ctx.names.pointer_key)
    release, decision = next_promotion(store.ctx)
    assert decision.outcome == "refuse"
    assert "deleted" in decision.reason
    with pytest.raises(Refused, match="deleted"):
        promote(store.ctx, release, by="sensor")


def test_rollback_from_the_pointers_address_alone_needs_no_query_file(either: Shop) -> None:
    _, second, _ = three(either)
    ctx = ReleaseContext.from_pointer_uri(either.ctx.pointers.uri)
    try:
        assert rollback(ctx, by="ann", reason="no checkout at hand").pointer.release_id == second
    finally:
        ctx.close()
    assert either.active() == second


def test_a_rollback_that_died_after_the_rejection_is_finished_by_the_next(store: Shop) -> None:
    _, second, third = three(store)
    store.ctx.store.reject(Rejection(query=store.query, release_id=third, at=utc_now(), by="ann", reason="odd"))
    assert rollback(store.ctx, by="bob", reason="go on").pointer.release_id == second


def test_the_plain_text_copy_follows_promotion_and_rollback(aws: str) -> None:
    made = shop(pointer={"plain_text_copy": True})
    _, second, third = three(made)

    def text() -> str:
        names = made.ctx.names
        return (
            made.ctx.objects.client.get_object(Bucket=names.bucket, Key=names.pointer_text_key)["Body"].read().decode()
        )

    assert text() == made.ctx.names.dynamodb_table(third)
    rollback(made.ctx, by="ann", reason="odd")
    assert text() == made.ctx.names.dynamodb_table(second)


def test_what_is_written_is_a_pointer_by_the_written_contract(store: Shop) -> None:
    import jsonschema

    three(store)
    rollback(store.ctx, by="ann", reason="odd")
    raw = store.ctx.pointers.peek()
    assert raw is not None
    schema = json.loads((Path(__file__).parents[2] / "docs/contract/pointer-written.schema.json").read_text())
    jsonschema.validate(json.loads(raw.data), schema)
