"""Promotion through real stores: rules 3, 4, 5, 6, 9, and what happens when something breaks in between."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from kumo_sandbox.testing.releases import GATES, Shop, client, shop

from kumo_assets.documents import IMPORT_GATE, GateRecord, utc_text
from kumo_assets.errors import ConfigError, GateBlocked, LostRace, Refused, ReleaseError
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import next_promotion, promote
from kumo_assets.releases.operations.reconcile import news, reconcile
from kumo_assets.resources.dynamodb import tables


def test_the_first_promotion_creates_the_pointer(either: Shop) -> None:
    release = either.build()
    done = promote(either.ctx, None, by="sensor", run_id="run-1")
    assert done.moved
    pointer = done.pointer
    assert (pointer.release_id, pointer.generation, pointer.previous) == (release, 1, ())
    assert (pointer.promoted.by, pointer.promoted.run_id) == ("sensor", "run-1")
    assert pointer.fallback is not None
    assert pointer.fallback.endswith(f"{release}/fallback.json")
    (entry,) = either.ctx.ledger.history()
    assert (entry.action, entry.to_release, entry.generation, entry.run_id) == ("promote", release, 1, "run-1")


def test_promoting_what_is_active_moves_nothing(either: Shop) -> None:
    release = either.build()
    promote(either.ctx, None, by="sensor")
    assert promote(either.ctx, release, by="sensor").moved is False
    assert promote(either.ctx, None, by="sensor").moved is False
    assert len(either.ctx.ledger.history()) == 1


def test_a_late_backfill_never_overtakes_a_newer_release(either: Shop) -> None:
    newer = either.build("2017-11-30")
    promote(either.ctx, None, by="sensor")
    late = either.build("2017-11-15")
    assert next_promotion(either.ctx)[0] is None
    with pytest.raises(Refused, match="older than the active"):
        promote(either.ctx, late, by="bob", forced="I insist")
    assert either.active() == newer


def test_the_same_partition_built_again_replaces_the_first(store: Shop) -> None:
    first = store.build()
    promote(store.ctx, None, by="sensor")
    # S3 dates objects by whole seconds; the id settles a tie, so this one must not lose it.
    second = store.build(root="f" * 32)
    assert promote(store.ctx, None, by="sensor").pointer.release_id == second
    with pytest.raises(Refused):
        promote(store.ctx, first, by="bob")


@pytest.mark.parametrize("gate", ["volume", "kumo_warnings"])
def test_a_failed_or_missing_verdict_stops_it_and_force_passes_it(store: Shop, gate: str) -> None:
    failed = store.build("2017-11-29", failed=gate)
    with pytest.raises(GateBlocked, match=f"gate {gate}"):
        promote(store.ctx, failed, by="bob")
    missing = store.build("2017-11-30", missing=gate)
    with pytest.raises(GateBlocked, match="no verdict"):
        promote(store.ctx, None, by="bob")
    pointer = promote(store.ctx, missing, by="bob", forced="looked at it").pointer
    assert pointer.forced is not None
    assert (pointer.forced.by, pointer.forced.reason) == ("bob", "looked at it")
    assert store.ctx.store.forcing(missing) is not None


@pytest.mark.parametrize("how", ["failed", "missing"])
def test_no_force_passes_the_imports_verdict(store: Shop, how: str) -> None:
    release = store.build(**{how: IMPORT_GATE})  # type: ignore[arg-type]
    with pytest.raises(GateBlocked):
        promote(store.ctx, release, by="bob", forced="I insist")
    assert store.ctx.pointers.read() is None


def test_no_force_passes_counts_that_disagree(store: Shop) -> None:
    release = store.build(whole=False)
    with pytest.raises(Refused, match="counts"):
        promote(store.ctx, release, by="bob", forced="I insist")


def test_force_needs_a_reason_and_a_release(store: Shop) -> None:
    release = store.build(failed="volume")
    for named, reason in ((release, " "), (None, "because")):
        with pytest.raises(ConfigError):
            promote(store.ctx, named, by="bob", forced=reason)


def test_verdicts_of_an_adopted_artefact_are_asked_of_the_release_it_comes_from(store: Shop) -> None:
    bad = store.build("2017-11-30", failed="volume", seal=False)
    adopter = store.build("2017-11-30", adopted={"predictions": bad, "postprocessed": bad})
    with pytest.raises(GateBlocked, match="volume is not fine"):
        promote(store.ctx, adopter, by="bob")


def test_a_verdict_of_another_release_counts_as_missing(store: Shop) -> None:
    good = store.build("2017-11-29")
    bad = store.build("2017-11-30", missing="volume")
    names, s3 = store.ctx.names, store.ctx.objects.client
    s3.copy_object(
        Bucket=names.bucket,
        Key=names.release_prefix(bad) + "verdicts/volume.json",
        CopySource={"Bucket": names.bucket, "Key": names.release_prefix(good) + "verdicts/volume.json"},
    )
    with pytest.raises(GateBlocked, match="no verdict"):
        promote(store.ctx, bad, by="bob")


def test_a_verdict_that_arrives_late_lets_the_release_go(store: Shop) -> None:
    opened = store.open()
    release = store.build(missing="volume", root=opened.root_run_id)
    assert next_promotion(store.ctx)[1].outcome == "blocked"
    store.verdict(opened, "volume")
    assert next_promotion(store.ctx)[0] == release
    assert promote(store.ctx, None, by="sensor").moved


def test_until_the_seal_a_new_verdict_takes_the_place_of_the_one_that_stands(store: Shop) -> None:
    opened = store.open()
    store.verdict(opened, "volume", passed=False)
    assert store.verdict(opened, "volume", passed=True).passed is True
    found = store.ctx.store.verdict(opened.release_id, "volume")
    assert found is not None
    assert found.passed is True


def test_a_verdict_is_frozen_by_the_seal(store: Shop) -> None:
    opened = store.open()
    store.build(failed="volume", root=opened.root_run_id)
    again = store.verdict(opened, "volume", passed=True)
    assert again.passed is False
    assert next_promotion(store.ctx)[1].outcome == "blocked"


def test_a_gate_relaxed_after_the_release_was_opened_still_blocks_it(store: Shop) -> None:
    opened = store.open(gates={"volume": GateRecord(asset="predictions", mode="block")})
    store.build(missing="volume", root=opened.root_run_id)
    store.verdict(opened, "volume", passed=False, mode="warn")
    with pytest.raises(GateBlocked, match="volume"):
        promote(store.ctx, None, by="sensor")


def test_a_blocked_release_does_not_hide_an_older_one_that_may_go_live(store: Shop) -> None:
    good = store.build("2017-11-29")
    store.build("2017-11-30", failed="volume")
    store.build("2017-12-01", table=False)
    assert promote(store.ctx, None, by="sensor").pointer.release_id == good


def test_a_table_that_is_gone_is_never_named(store: Shop) -> None:
    release = store.build()
    tables.delete(store.ctx.dynamodb, store.ctx.names.dynamodb_table(release))
    with pytest.raises(Refused, match="does not exist"):
        promote(store.ctx, release, by="bob", forced="I insist")


def test_a_replica_that_is_not_active_is_waited_for(aws: str) -> None:
    made = shop(table={"replicas": ["eu-west-1"]})
    release = made.build()
    with pytest.raises(Refused, match="replica in eu-west-1 that is absent"):
        promote(made.ctx, release, by="sensor")


def test_a_cold_table_is_not_given_more_reads_than_it_is_warm_for(aws: str) -> None:
    made = shop(table={"reads_per_second": 50_000})
    release = made.build()
    with pytest.raises(Refused, match="50,000 are wanted"):
        promote(made.ctx, release, by="sensor")


def test_a_reader_that_gets_no_answer_stops_the_promotion(store: Shop) -> None:
    release = store.build()
    store.ctx.dynamodb.delete_item(TableName=store.ctx.names.dynamodb_table(release), Key={"e": {"S": "2"}})
    with pytest.raises(ReleaseError, match="1 of 3 trial lookups"):
        promote(store.ctx, None, by="sensor")
    assert store.ctx.pointers.read() is None


def test_a_hold_stops_promotion_and_lifting_it_says_what_comes(either: Shop) -> None:
    first = either.build("2017-11-29")
    promote(either.ctx, None, by="sensor")
    held = hold(either.ctx, by="ann", reason="looking at it")
    assert (held.release_id, held.generation) == (first, 2)
    second = either.build("2017-11-30")
    with pytest.raises(Refused, match="looking at it"):
        promote(either.ctx, second, by="sensor")
    with pytest.raises(Refused, match="on hold already: looking at it"):
        hold(either.ctx, by="ann", reason="still looking")
    preview = preview_unhold(either.ctx)
    assert preview.next_release == second
    unhold(either.ctx, preview, by="ann")
    assert promote(either.ctx, None, by="sensor").pointer.release_id == second
    with pytest.raises(Refused, match="no hold"):
        preview_unhold(either.ctx)


def test_lifting_a_hold_that_changed_since_it_was_shown_is_refused(store: Shop) -> None:
    store.build("2017-11-29")
    promote(store.ctx, None, by="sensor")
    hold(store.ctx, by="ann", reason="looking at it")
    preview = preview_unhold(store.ctx)
    unhold(store.ctx, preview, by="bob")
    hold(store.ctx, by="ann", reason="now I mean it")
    with pytest.raises(LostRace):
        unhold(store.ctx, preview, by="ann")


def edited(found: Shop) -> tuple[str, str]:
    """Two days promoted, and a person who put the first back with an editor."""
    first = found.build("2017-11-29")
    promote(found.ctx, None, by="sensor")
    second = found.build("2017-11-30")
    promote(found.ctx, None, by="sensor")
    names = found.ctx.names
    found.edit(lambda text: text.replace(names.dynamodb_table(second), names.dynamodb_table(first), 1))
    return first, second


def test_a_hand_edit_is_served_recorded_and_counts_as_a_hold(either: Shop) -> None:
    first, second = edited(either)
    assert either.active() == first
    third = either.build("2017-12-01")
    for forced in (None, "I insist"):
        with pytest.raises(Refused, match="edited by hand"):
            promote(either.ctx, third, by="sensor", forced=forced)
    entry = reconcile(either.ctx)
    assert entry is not None
    assert (entry.action, entry.from_release, entry.to_release) == ("hand_edit", second, first)
    assert reconcile(either.ctx) is None
    assert [found.action for found in either.ctx.ledger.history()].count("hand_edit") == 1


def test_a_hand_edit_is_made_regular_by_unhold(either: Shop) -> None:
    first, _ = edited(either)
    third = either.build("2017-12-01")
    preview = preview_unhold(either.ctx)
    assert preview.next_release == third
    pointer = unhold(either.ctx, preview, by="ann")
    assert (pointer.table, pointer.release_id, pointer.generation) == (
        either.ctx.names.dynamodb_table(first),
        first,
        3,
    )
    assert first not in [item.release_id for item in pointer.previous]
    assert promote(either.ctx, None, by="sensor").pointer.release_id == third


def test_a_field_that_only_a_newer_version_knows_is_no_hand_edit(either: Shop) -> None:
    from kumo_sandbox.testing.releases import put_raw

    from kumo_assets.pointers.store import digest_of

    release = either.build("2017-11-29")
    promote(either.ctx, None, by="sensor")
    raw = either.ctx.pointers.peek()
    assert raw is not None
    document = json.loads(raw.data)
    document["canary"] = {"share": 0.1}
    document["move"]["ticket"] = "OPS-7"
    document["digest"] = digest_of(document)
    put_raw(either.ctx, json.dumps(document).encode())
    found = either.ctx.pointers.read()
    assert found is not None
    assert not found.hand_edited
    assert found.pointer.release_id == release


@pytest.mark.parametrize("at", ["yesterday", "2017-11-30T00:00:00", ""])
def test_a_hand_edit_of_our_own_fields_stops_nothing(either: Shop, at: str) -> None:
    first, _ = edited(either)
    raw = either.ctx.pointers.peek()
    assert raw is not None
    moved = json.loads(raw.data)["move"]["at"]
    either.edit(lambda text: text.replace(f'"at": "{moved}"', f'"at": "{at}"'))
    entry = reconcile(either.ctx)
    assert entry is not None
    assert entry.action == "hand_edit"
    pointer = unhold(either.ctx, preview_unhold(either.ctx), by="ann")
    assert pointer.release_id == first


def test_an_old_document_put_back_whole_is_a_hand_edit_too(either: Shop) -> None:
    from kumo_sandbox.testing.releases import put_raw

    first = either.build("2017-11-29")
    promote(either.ctx, None, by="sensor")
    old = either.ctx.pointers.peek()
    assert old is not None
    second = either.build("2017-11-30")
    promote(either.ctx, None, by="sensor")
    put_raw(either.ctx, old.data)
    assert either.active() == first
    with pytest.raises(Refused, match="was put back"):
        promote(either.ctx, second, by="sensor")
    entry = reconcile(either.ctx)
    assert entry is not None
    assert entry.action == "hand_edit"
    assert reconcile(either.ctx) is None
    pointer = unhold(either.ctx, preview_unhold(either.ctx), by="ann")
    assert pointer.generation == 3
    assert promote(either.ctx, None, by="sensor").pointer.generation == 4


def test_an_edit_that_changes_only_white_space_is_no_edit(store: Shop) -> None:
    store.build("2017-11-29")
    promote(store.ctx, None, by="sensor")
    store.edit(lambda text: text.replace("  ", "\t"))
    found = store.ctx.pointers.read()
    assert found is not None
    assert not found.hand_edited


def test_a_hold_typed_by_hand_holds(store: Shop) -> None:
    store.build("2017-11-29")
    promote(store.ctx, None, by="sensor")
    store.edit(lambda text: text.replace('"hold": null', '"hold": true'))
    with pytest.raises(Refused, match="on hold"):
        promote(store.ctx, store.build("2017-11-30"), by="sensor")


def test_a_move_whose_process_died_before_the_ledger_is_recorded_by_the_next(
    either: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = either.build()

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(either.ctx.ledger, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            promote(either.ctx, None, by="sensor", run_id="run-1")
    assert either.active() == release
    assert either.ctx.ledger.history() == []
    entry = reconcile(either.ctx)
    assert entry is not None
    assert (entry.action, entry.to_release, entry.run_id) == ("promote", release, "run-1")
    (only,) = either.ctx.ledger.history()
    assert only == entry


def test_a_ledger_that_is_down_does_not_hide_that_the_pointer_moved(
    store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.build()

    def down(*_: Any) -> None:
        raise ReleaseError("append to the ledger", found="503")

    monkeypatch.setattr(store.ctx.ledger, "append", down)
    done = promote(store.ctx, None, by="sensor")
    assert done.moved
    assert "503" in done.message


def test_moves_made_outside_dagster_are_told_once(store: Shop) -> None:
    begin = news(store.ctx, "")
    assert begin.entries == []
    store.build()
    promote(store.ctx, None, by="ann@laptop")
    found = news(store.ctx, begin.cursor)
    assert [record.entry.action for record in found.entries] == ["promote"]
    assert news(store.ctx, found.cursor).entries == []


def test_a_move_by_a_machine_whose_clock_is_behind_is_told_all_the_same(store: Shop) -> None:
    store.build()
    promote(store.ctx, None, by="sensor")
    seen = news(store.ctx, "").cursor
    entry = store.ctx.ledger.history()[0]
    store.ctx.ledger.append(entry.model_copy(update={"at": "2026-01-01T00:00:00.000Z", "by": "slow"}))
    assert news(store.ctx, seen).entries == []  # ten months behind is not a clock, and never told
    behind = utc_text(datetime.fromisoformat(entry.at) - timedelta(minutes=20))
    store.ctx.ledger.append(entry.model_copy(update={"at": behind, "by": "behind"}))
    assert [record.entry.by for record in news(store.ctx, seen).entries] == ["behind"]


def test_a_lost_race_is_in_the_ledger(store: Shop) -> None:
    first, second = store.build("2017-11-29"), store.build("2017-11-30")
    ahead: list[str] = []

    def overtake(model: Any, params: dict[str, Any], **_: Any) -> None:
        """Another promoter, between this one's last look at the pointer and its own move of it."""
        if model.name == "PutObject" and params["url_path"].endswith("/active.json") and not ahead:
            ahead.append(first)
            promote(store.ctx, first, by="ann")

    store.ctx.objects.client.meta.events.register("before-call.s3.PutObject", overtake)
    with pytest.raises(LostRace):
        promote(store.ctx, second, by="bob")
    told, moved = store.ctx.ledger.history(2)
    assert (told.action, told.by, told.to_release) == ("refuse", "bob", second)
    assert told.reason.startswith("promote: ")
    assert (moved.action, moved.by, moved.to_release) == ("promote", "ann", first)


def test_every_refusal_is_in_the_ledger(store: Shop) -> None:
    release = store.build(failed="volume")
    with pytest.raises(GateBlocked):
        promote(store.ctx, release, by="bob")
    (entry,) = store.ctx.ledger.history()
    assert (entry.action, entry.to_release, entry.by) == ("refuse", release, "bob")
    assert "volume" in entry.reason
    with pytest.raises(Refused):
        hold(store.ctx, by="ann", reason="looking")
    assert store.ctx.ledger.history(1)[0].reason == "hold: there is no active pointer"


def test_promotion_asks_few_questions_when_nothing_is_new(store: Shop) -> None:
    """A sensor asks this of a hundred queries every few seconds."""
    for day in ("28", "29", "30"):
        store.build(f"2017-11-{day}")
    promote(store.ctx, None, by="sensor")
    next_promotion(store.ctx)
    calls: list[str] = []
    store.ctx.objects.client.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    assert next_promotion(store.ctx)[0] is None
    reconcile(store.ctx)
    calls.clear()
    next_promotion(store.ctx)
    reconcile(store.ctx)
    assert sorted(calls) == ["GetObject", "GetObject", "ListObjectsV2"]


def test_gates_of_a_release_are_those_it_was_opened_with(store: Shop) -> None:
    assert set(store.ctx.store.required_verdicts(store.open())) == {*GATES, IMPORT_GATE}


def test_the_store_tells_a_wrong_bucket_from_an_empty_one(aws: str) -> None:
    made = shop()
    from kumo_assets.config.names import QueryNames
    from kumo_assets.releases.store import ReleaseStore
    from kumo_assets.resources.s3_objects import ObjectStore

    names = QueryNames(environment="local", query=made.query, bucket="no-such-bucket-here")
    with pytest.raises(ReleaseError, match="KUMO_ASSETS_BUCKET"):
        ReleaseStore(names, ObjectStore(names.bucket, client("s3"))).listings()
