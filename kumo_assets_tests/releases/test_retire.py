"""Retirement: rule 7. Each kept release has its reason, each guard its test."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from kumo_sandbox.testing.releases import Shop, now, put_raw, shop

from kumo_assets.documents import Opened, Retirement, utc_now
from kumo_assets.errors import LostRace, Refused, ReleaseError, WarehouseError
from kumo_assets.releases.operations.hold import preview_unhold, unhold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retention import IN_FLIGHT
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.states import releases
from kumo_assets.releases.run import RunIdentity, open_release
from kumo_assets.resources.dynamodb import tables

DAYS = ("25", "26", "27", "28", "29")


class Warehouse:
    """Notes what it is told to drop; fails when told so."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.down = False

    def __call__(self, names: list[str]) -> None:
        if self.down:
            raise WarehouseError("drop", to=names[0], found="it is down")
        self.dropped += names


def promoted(found: Shop, days: tuple[str, ...] = DAYS) -> list[str]:
    built = []
    for day in days:
        built.append(found.build(f"2017-11-{day}"))
        promote(found.ctx, None, by="sensor")
    return built


def table_of(found: Shop, release: str) -> str:
    return found.ctx.names.dynamodb_table(release)


def exists(found: Shop, release: str) -> bool:
    return tables.describe(found.ctx.dynamodb, table_of(found, release)) is not None


def exported(found: Shop, release: str) -> int:
    names = found.ctx.names
    answer = found.ctx.objects.client.list_objects_v2(Bucket=names.bucket, Prefix=names.export_prefix(release))
    return int(answer.get("KeyCount", 0))


def test_old_releases_go_and_the_active_the_previous_and_the_newest_stay(either: Shop) -> None:
    first, second, third, fourth, fifth = promoted(either)
    warehouse = Warehouse()
    planned = plan(either.ctx)
    assert planned.kept == {
        fifth: "active",
        fourth: "active before the active one",
        third: "one of the newest 1 known good ones",
    }
    assert retire(either.ctx, warehouse, by="ann") == [first, second]
    assert [exists(either, release) for release in (first, second, third, fourth, fifth)] == [False] * 2 + [True] * 3
    assert [exported(either, release) for release in (first, third)] == [0, 1]
    assert either.ctx.names.warehouse_table(first, "predictions") in warehouse.dropped
    assert {view.release_id: view.state for view in releases(either.ctx)} == {
        fifth: "active",
        fourth: "previous",
        third: "previous",
        second: "retired",
        first: "retired",
    }
    assert [entry.from_release for entry in either.ctx.ledger.history() if entry.action == "retire"][:2] == [
        second,
        first,
    ]
    assert retire(either.ctx, warehouse, by="ann") == []


def test_a_dry_run_changes_nothing(store: Shop) -> None:
    promoted(store)
    before = store.ctx.pointers.peek()
    assert len(plan(store.ctx).going) == 2
    assert store.ctx.pointers.peek() == before
    assert [view.state for view in releases(store.ctx)].count("retired") == 0


def test_no_reader_is_sent_to_a_retired_table(store: Shop) -> None:
    first, second, *_ = promoted(store)
    retire(store.ctx, Warehouse(), by="ann")
    found = store.ctx.pointers.read()
    assert found is not None
    assert not {first, second} & {item.release_id for item in found.pointer.previous}


def test_both_ends_of_a_hold_stay(store: Shop) -> None:
    first, second, third, _, fifth = promoted(store)
    rollback(store.ctx, to=second, by="ann", reason="odd")
    kept = plan(store.ctx).kept
    assert kept[second] == "active"
    assert kept[fifth] == "named by the hold"
    assert set(plan(store.ctx).going) <= {first, third}


def test_a_rejected_release_goes_once_the_hold_is_lifted(store: Shop) -> None:
    *_, fourth, fifth = promoted(store)
    rollback(store.ctx, by="ann", reason="odd")
    unhold(store.ctx, preview_unhold(store.ctx), by="ann")
    assert plan(store.ctx).going[fifth] == "rejected"
    assert plan(store.ctx).kept[fourth] == "active"


def test_what_waits_to_go_live_stays(store: Shop) -> None:
    promoted(store)
    waiting = store.build("2017-11-30", failed="volume")
    assert plan(store.ctx).kept[waiting].startswith("newer than the active one")


def test_a_release_that_another_adopted_stays_until_that_one_is_retired(store: Shop) -> None:
    home = store.build("2017-11-20")
    adopter = store.build("2017-11-29", adopted={"predictions": home, "postprocessed": home})
    promote(store.ctx, adopter, by="sensor")
    store.build("2017-11-30")
    promote(store.ctx, None, by="sensor")
    assert plan(store.ctx).kept[home] == f"adopted by {adopter}"


def test_a_release_being_built_stays_and_one_long_dead_goes(store: Shop) -> None:
    promoted(store)
    building = store.build("2017-11-20", seal=False)
    assert plan(store.ctx).kept[building] == "being built"
    assert plan(store.ctx, now() + IN_FLIGHT + timedelta(minutes=1)).going[building] == "never sealed"


def test_young_releases_stay(aws: str) -> None:
    made = shop(retention={"keep": 1, "min_age_hours": 2, "grace_minutes": 0})
    first, *_ = promoted(made)
    assert plan(made.ctx).kept[first] == "younger than 2 h"
    assert plan(made.ctx, now() + timedelta(hours=2, minutes=1)).going[first] == "old"


def test_a_release_that_was_active_a_moment_ago_stays_for_the_slowest_reader(aws: str) -> None:
    made = shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 30})
    first, *_ = promoted(made)
    assert plan(made.ctx).kept[first] == "stopped being active less than 30 minutes ago"
    assert first in plan(made.ctx, now() + timedelta(minutes=31)).going


def test_what_an_edit_may_have_named_stays_for_the_slowest_reader(aws: str) -> None:
    """Of two edits in a row the first is seen by readers, and by nobody of us."""
    made = shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 30})
    before, active = promoted(made, ("28", "29"))
    never_live = made.build("2017-11-20")
    assert plan(made.ctx).going == {never_live: "old"}
    made.edit(lambda text: text.replace(table_of(made, active), table_of(made, never_live), 1))
    made.edit(lambda text: text.replace(table_of(made, never_live), table_of(made, before), 1))
    rollback(made.ctx, to=before, by="ann", reason="odd")
    unhold(made.ctx, preview_unhold(made.ctx), by="ann")
    assert "edited by hand less than 30 minutes ago" in plan(made.ctx).kept[never_live]
    assert never_live in plan(made.ctx, now() + timedelta(minutes=31)).going


def test_what_a_hand_put_live_past_its_gates_takes_no_known_good_ones_place(store: Shop) -> None:
    _, good = promoted(store, ("25", "26"))
    blocked = store.build("2017-11-27", failed="volume")
    store.edit(lambda text: text.replace(table_of(store, good), table_of(store, blocked), 1))
    unhold(store.ctx, preview_unhold(store.ctx), by="ann")
    assert store.active() == blocked
    promoted(store, ("28", "29"))
    planned = plan(store.ctx)
    assert planned.kept[good] == "one of the newest 1 known good ones"
    assert planned.going[blocked] == "old"


def test_what_an_edit_named_that_was_taken_back_stays_too(aws: str) -> None:
    made = shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 30})
    _, active = promoted(made, ("28", "29"))
    never_live = made.build("2017-11-20")
    time.sleep(2.1)  # S3 tells time in whole seconds
    assert plan(made.ctx).going == {never_live: "old"}
    made.edit(lambda text: text.replace(table_of(made, active), table_of(made, never_live), 1))
    made.edit(lambda text: text.replace(table_of(made, never_live), table_of(made, active), 1))
    assert made.active() == active
    assert "edited by hand less than 30 minutes ago" in plan(made.ctx).kept[never_live]
    assert never_live in plan(made.ctx, now() + timedelta(minutes=31)).going


def test_a_wrong_clock_here_retires_nothing(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shop(retention={"keep": 1, "min_age_hours": 2, "grace_minutes": 0})
    promoted(made)
    import kumo_assets.releases.context as module

    class Ahead(module.datetime):  # type: ignore[misc, name-defined]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now() + timedelta(days=400)

    monkeypatch.setattr(module, "datetime", Ahead)
    assert plan(made.ctx).going == {}


def test_nothing_goes_while_the_pointer_is_edited_by_hand(store: Shop) -> None:
    first, *_, fourth, fifth = promoted(store)
    store.edit(lambda text: text.replace(table_of(store, fifth), table_of(store, first), 1))
    assert plan(store.ctx).going == {}
    assert retire(store.ctx, Warehouse(), by="ann") == []
    assert exists(store, first)
    assert exists(store, fourth)


def test_nothing_goes_while_an_old_pointer_is_put_back(store: Shop) -> None:
    promoted(store, DAYS[:2])
    raw = store.ctx.pointers.peek()
    assert raw is not None
    promoted(store, ("28", "29", "30"))
    put_raw(store.ctx, raw.data)
    assert plan(store.ctx).going == {}


def test_nothing_goes_without_a_pointer(store: Shop) -> None:
    promoted(store)
    store.ctx.objects.client.delete_object(Bucket=store.ctx.names.bucket, Key=store.ctx.names.pointer_key)
    assert plan(store.ctx).going == {}


def test_the_pointer_is_read_again_before_each_delete(store: Shop) -> None:
    """An edit by hand between the marks and the deletes: the warehouse, asked after the first table, is our way in."""
    first, second, *_, fifth = promoted(store)

    def edit(names: list[str]) -> None:
        if first.replace("-", "_").upper() in names[0]:
            store.edit(lambda text: text.replace(table_of(store, fifth), table_of(store, second), 1))

    with pytest.raises(ReleaseError, match="edited by hand"):
        retire(store.ctx, edit, by="ann")
    assert not exists(store, first)
    assert exists(store, second)


def test_a_rollback_decided_before_the_marks_loses_its_race(store: Shop) -> None:
    """The narrowest one: it has read pointer and release, and writes once retirement has begun to delete."""
    first, *_ = promoted(store)
    read, retired = threading.Event(), threading.Event()
    outcome: list[BaseException | str] = []
    late = shop(query=store.query)
    write = late.ctx.pointers.write

    def slow(*arguments: Any) -> Any:
        read.set()
        assert retired.wait(30)
        return write(*arguments)

    late.ctx.pointers.write = slow  # type: ignore[method-assign]

    def go() -> None:
        try:
            outcome.append(rollback(late.ctx, to=first, by="ann", reason="far back").pointer.release_id)
        except Refused as error:
            outcome.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    assert read.wait(30)
    retire(store.ctx, Warehouse(), by="bob")
    retired.set()
    thread.join(30)
    assert isinstance(outcome[0], LostRace)
    assert store.active() != first


def test_a_release_that_went_live_before_it_was_marked_is_going_no_longer(store: Shop) -> None:
    """A rollback that was decided and done between the plan and the marks: the other order of the one above."""
    first, second, *_ = promoted(store)
    mark = store.ctx.store.mark_retiring
    other = shop(query=store.query)

    def gone_back_to_first(note: Retirement) -> Retirement:
        if other.ctx.store.rejection(other.active()) is None and other.active() != first:
            rollback(other.ctx, to=first, by="ann", reason="far back")
        return mark(note)

    store.ctx.store.mark_retiring = gone_back_to_first  # type: ignore[method-assign]
    with pytest.raises(Refused, match=f"the pointer names {first} now"):
        retire(store.ctx, Warehouse(), by="bob")
    store.ctx.store.mark_retiring = mark  # type: ignore[method-assign]
    assert store.active() == first
    assert store.ctx.store.retirement(first) is None, "nobody could ever go back to it"
    assert store.ctx.store.retirement(second) is not None, "another retirement may go by that one"


def test_a_half_retired_release_that_was_live_since_keeps_its_grace(aws: str) -> None:
    made = shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 60})
    first = made.build("2017-11-25")
    promote(made.ctx, None, by="sensor")
    for day in ("26", "27"):
        made.build(f"2017-11-{day}")
        promote(made.ctx, None, by="sensor")
    made.ctx.store.mark_retiring(Retirement(query=made.query, release_id=first, at=utc_now(), by="bob", reason="old"))
    assert "less than 60 minutes ago" in plan(made.ctx).kept[first]
    assert plan(made.ctx, now() + timedelta(hours=2)).going[first] == "half retired before"


def test_a_run_that_continues_a_retired_release_is_told(store: Shop) -> None:
    first, *_ = promoted(store)
    opened = store.ctx.store.opened(first)
    definition = store.ctx.definition
    assert opened is not None
    assert definition is not None
    retire(store.ctx, Warehouse(), by="ann")
    run = RunIdentity(run_id=opened.run_id, root_run_id=opened.root_run_id, partition=opened.partition, by="ann")
    with pytest.raises(ReleaseError, match="it is being retired"):
        open_release(store.ctx.store, run, definition, "predictions", gates={}, code_version="test")


def test_what_was_rejected_is_not_served_again_under_a_new_id(store: Shop) -> None:
    promoted(store, ("28",))
    bad = store.build("2017-11-29")
    promote(store.ctx, None, by="sensor")
    rollback(store.ctx, by="ann", reason="odd")
    definition = store.ctx.definition
    assert definition is not None
    for asset, words in (("dynamodb_table", "was rejected"), ("s3_export", "was rejected"), ("postprocessed", "")):
        run = RunIdentity(run_id=asset, root_run_id=f"{len(asset):08x}" * 4, partition="2017-11-29", by="ann")
        if words:
            with pytest.raises(ReleaseError, match=f"{bad}, whose .* {words}"):
                open_release(store.ctx.store, run, definition, asset, gates={}, code_version="test")
        else:
            opened = open_release(store.ctx.store, run, definition, asset, gates={}, code_version="test")
            assert opened.adopted == {"predictions": bad}, "another post-processing is a repair"


def test_a_run_that_adopts_what_is_being_retired_is_told(store: Shop) -> None:
    promoted(store)
    home = store.build("2017-11-25")
    run = RunIdentity(run_id="abcdef01" * 4, root_run_id="abcdef01" * 4, partition="2017-11-25", by="ann")
    definition = store.ctx.definition
    assert definition is not None
    write = store.ctx.store.open

    def retired_meanwhile(opened: Opened) -> Opened:
        note = Retirement(query=store.query, release_id=home, at=utc_now(), by="bob", reason="old")
        store.ctx.store.mark_retiring(note)
        return write(opened)

    store.ctx.store.open = retired_meanwhile  # type: ignore[method-assign]
    with pytest.raises(ReleaseError, match="being retired"):
        open_release(store.ctx.store, run, definition, "s3_export", gates={}, code_version="test")


def test_what_was_half_deleted_is_finished_next_time(store: Shop) -> None:
    first, second, *_ = promoted(store)
    warehouse = Warehouse()
    warehouse.down = True
    with pytest.raises(ReleaseError, match="0 are retired"):
        retire(store.ctx, warehouse, by="ann")
    assert {view.release_id: view.state for view in releases(store.ctx)}[first] == "retiring"
    warehouse.down = False
    assert plan(store.ctx).going == {first: "half retired before", second: "half retired before"}
    assert retire(store.ctx, warehouse, by="ann") == [first, second]
    assert exported(store, first) == 0


def test_a_retired_release_is_neither_promoted_nor_gone_back_to(store: Shop) -> None:
    first, *_ = promoted(store)
    retire(store.ctx, Warehouse(), by="ann")
    with pytest.raises(Refused, match="retired"):
        rollback(store.ctx, to=first, by="ann", reason="odd")
    with pytest.raises(Refused, match="retired"):
        promote(store.ctx, first, by="ann", forced="I insist")


def test_orphans_are_listed_and_left_alone(store: Shop) -> None:
    promoted(store)
    orphan = store.ctx.names.dynamodb_table("20171101-0a0b0c0d")
    store.table(orphan, "20171101-0a0b0c0d")
    store.ctx.objects.client.put_object(
        Bucket=store.ctx.names.bucket, Key=store.ctx.names.export_prefix("20171102-0a0b0c0d") + "part", Body=b""
    )
    retire(store.ctx, Warehouse(), by="ann")
    assert plan(store.ctx).orphans == [orphan, store.ctx.names.releases_uri + "20171102-0a0b0c0d/"]
    assert tables.describe(store.ctx.dynamodb, orphan) is not None


def test_a_table_that_appears_after_its_release_was_retired_is_an_orphan(store: Shop) -> None:
    first, *_ = promoted(store)
    assert first in retire(store.ctx, Warehouse(), by="ann")
    assert plan(store.ctx).orphans == []
    store.table(table_of(store, first), first)
    assert plan(store.ctx).orphans == [table_of(store, first)]


def test_the_table_of_a_failed_attempt_goes_and_the_one_that_was_sealed_stays(store: Shop) -> None:
    first, *_ = promoted(store, ("29",))
    failed = table_of(store, first) + "-a2"
    store.table(failed, first)
    assert plan(store.ctx).leftovers == [failed]
    retire(store.ctx, Warehouse(), by="ann")
    assert tables.describe(store.ctx.dynamodb, failed) is None
    assert exists(store, first)


def test_one_querys_retirement_never_touches_another_query_or_environment(store: Shop) -> None:
    promoted(store)
    other = shop(query=store.query + "_b")
    theirs = promoted(other)
    elsewhere = store.ctx.names.dynamodb_table("20171101-0a0b0c0d").replace("local-", "prod-", 1)
    store.table(elsewhere, "20171101-0a0b0c0d")
    retire(store.ctx, Warehouse(), by="ann")
    assert all(exists(other, release) for release in theirs)
    assert tables.describe(store.ctx.dynamodb, elsewhere) is not None
    assert elsewhere not in plan(store.ctx).orphans
