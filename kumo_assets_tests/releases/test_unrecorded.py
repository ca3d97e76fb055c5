"""A ledger that cannot be written for a while: no move is lost, nothing that retirement goes by is forgotten, and what is lost
all the same stays visible until a person accepts it. In memory; the real AWS's answers are in `chaos`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from kumo_sandbox.testing.releases import Shop, put_raw
from kumo_serving.pointer import MAX_BYTES, parse_pointer

from kumo_assets.automation.looking import Before, look
from kumo_assets.automation.notifications import alarms_of_releases
from kumo_assets.documents import LedgerEntry, utc_now
from kumo_assets.errors import ConfigError, Refused, ReleaseError
from kumo_assets.pointers.limits import MOST_HOLDS, MOST_REASON_BYTES
from kumo_assets.pointers.store import MOST_UNRECORDED
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.moves import faults, history, read_or_raw
from kumo_assets.releases.operations.accept import accept_hole
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.reconcile import ledger_problems, reconcile, record_moves
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.releases.test_holds import WRITTEN
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop


def generations(ctx: ReleaseContext) -> list[int]:
    return [entry.generation for entry in ctx.ledger.moves()]


def document(found: Shop) -> dict[str, Any]:
    raw = found.ctx.pointers.peek()
    assert raw is not None
    read: dict[str, Any] = json.loads(raw.data)
    return read


@pytest.fixture
def out(memory: MemoryShop) -> MemoryShop:
    """Two days promoted, the second while the ledger could not be written, then one of each of what people do."""
    memory.build("2017-11-28")
    promote(memory.ctx, None, by="sensor")
    memory.build("2017-11-29")
    memory.refuse("/ledger/")
    assert "the next command or sensor tick" in promote(memory.ctx, None, by="sensor").message
    hold(memory.ctx, by="ann", reason="looking")
    unhold(memory.ctx, preview_unhold(memory.ctx), by="ann")
    rollback(memory.ctx, by="ann", reason="odd")
    assert generations(memory.ctx) == [1]
    return memory


LATER: dict[str, Callable[[ReleaseContext], Any]] = {
    "tick": reconcile,
    "status": report,
    "promote": lambda ctx: promote(ctx, None, by="sensor"),
    "hold": lambda ctx: hold(ctx, by="bob", reason="me too"),
    "unhold": lambda ctx: unhold(ctx, preview_unhold(ctx), by="ann"),
    "rollback": lambda ctx: rollback(ctx, by="bob", reason="again", to="20171128-00000000"),
    "retire": lambda ctx: retire(ctx, lambda names: None, by="daily"),
}


@pytest.mark.parametrize("which", LATER)
def test_any_later_command_or_tick_records_what_the_ledger_could_not_take(out: MemoryShop, which: str) -> None:
    assert [entry["generation"] for entry in document(out)["unrecorded"]] == [2, 3, 4]
    out.refuse("")
    ctx = out.another_context()
    try:
        LATER[which](ctx)
    except Refused:
        assert which in ("promote", "rollback")
    assert generations(ctx)[:5] == [1, 2, 3, 4, 5]
    assert [entry.action for entry in ctx.ledger.moves()][:5] == ["promote", "promote", "hold", "unhold", "rollback"]
    assert report(ctx).problems == []


def test_what_the_ledger_could_not_take_is_carried_no_longer_than_it_must(out: MemoryShop) -> None:
    out.refuse("")
    hold(out.ctx, by="bob", reason="me too")
    assert "unrecorded" not in document(out)
    assert len(generations(out.ctx)) == len(set(generations(out.ctx))) == 6


def test_readers_and_the_contract_take_a_document_that_carries_moves(out: MemoryShop) -> None:
    raw = out.ctx.pointers.peek()
    assert raw is not None
    assert parse_pointer(raw.data, out.query).generation == 5
    jsonschema.validate(document(out), json.loads(WRITTEN.read_text()))


def test_status_and_history_tell_of_moves_that_are_not_in_the_ledger(out: MemoryShop) -> None:
    (problem,) = report(out.another_context()).problems
    assert problem.startswith("4 moves are in the pointer, and not yet in the ledger")
    assert "AccessDenied" in problem
    ctx = out.another_context()
    assert [entry.generation for entry in history(ctx, read_or_raw(ctx))] == [5, 4, 3, 2, 1]
    assert [entry.generation for entry in history(ctx, read_or_raw(ctx), limit=2)] == [5, 4]


def test_a_release_that_stopped_being_active_a_moment_ago_is_not_retired_because_the_ledger_was_out() -> None:
    found = memory_shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 60})
    days = [found.build(f"2017-11-{day}") for day in ("26", "27", "28", "29")]
    found.memory.clock.tick(7_200)
    promote(found.ctx, days[0], by="sensor")
    found.refuse("/ledger/")
    for day in days[1:]:
        promote(found.ctx, day, by="sensor")
    assert plan(found.another_context()).going == {}, "readers may still be on the tables of all of them"
    found.memory.clock.tick(3_700)
    assert set(plan(found.another_context()).going) == {days[0]}


def test_a_release_that_went_live_by_force_is_not_known_good_because_the_ledger_was_out(memory: MemoryShop) -> None:
    first = memory.build("2017-11-27")
    promote(memory.ctx, None, by="sensor")
    forced = memory.build("2017-11-28", failed="volume")
    memory.refuse("/ledger/")
    promote(memory.ctx, forced, by="bob", forced="I insist")
    memory.build("2017-11-29")
    promote(memory.ctx, None, by="sensor")
    with pytest.raises(Refused, match="by force"):
        rollback(memory.ctx, by="ann", reason="odd", to=forced)
    assert rollback(memory.ctx, by="ann", reason="odd").pointer.release_id == first


def test_a_release_that_was_forced_is_not_known_good_when_the_move_that_says_so_was_lost(memory: MemoryShop) -> None:
    memory.build("2017-11-27")
    promote(memory.ctx, None, by="sensor")
    forced = memory.build("2017-11-28", failed="volume")
    promote(memory.ctx, forced, by="bob", forced="I insist")
    memory.verdict_again(forced, "volume")
    memory.build("2017-11-29")
    promote(memory.ctx, None, by="sensor")
    lost = sorted(key for key in memory.memory.objects if "/ledger/" in key)[1]
    del memory.memory.objects[lost]
    with pytest.raises(Refused, match="by force"):
        rollback(memory.another_context(), by="ann", reason="odd", to=forced)


def test_a_typed_hold_is_a_hands_and_is_lifted_with_the_edit(memory: MemoryShop) -> None:
    memory.build("2017-11-27")
    promote(memory.ctx, None, by="sensor")
    memory.edit(lambda text: text.replace('"hold": null', '"hold": "wait for me"'))
    assert [(one["by"], one["reason"][:6]) for one in report(memory.ctx).holds] == [
        ("a hand edit", "wait f"),
        ("a hand edit", "edited"),
    ]
    unhold(memory.ctx, preview_unhold(memory.ctx), by="ann")
    assert report(memory.ctx).holds == []


@pytest.mark.parametrize("how", ["edited", "damaged"])
def test_a_hand_on_the_document_loses_none_of_the_moves_that_it_still_tells_of(out: MemoryShop, how: str) -> None:
    tables = [out.ctx.names.dynamodb_table(release) for release in out.built]
    if how == "edited":
        out.edit(lambda text: text.replace(tables[0], tables[1], 1))
    else:
        out.edit(lambda text: text.replace('"region": "us-east-1"', '"region": 7', 1))
    rollback(out.ctx, by="ann", reason="somebody broke it", to=out.built[0])
    told = [entry["generation"] for entry in document(out)["unrecorded"] if entry["action"] != "hand_edit"]
    assert told == [2, 3, 4, 5]
    assert document(out)["generation"] == 6
    out.refuse("")
    reconcile(out.another_context())
    assert generations(out.ctx) == [1, 2, 3, 4, 5, 6]


# ---- no more room


@pytest.fixture
def full(memory: MemoryShop) -> MemoryShop:
    """As many moves as a pointer has room for, and none in the ledger."""
    memory.build("2017-11-28")
    memory.refuse("/ledger/")
    promote(memory.ctx, None, by="sensor")
    toggle(memory, MOST_UNRECORDED - 1)
    return memory


def toggle(found: Shop, times: int) -> None:
    for _ in range(times):
        if report(found.ctx).hold is None:
            hold(found.ctx, by="ann", reason="looking")
        else:
            unhold(found.ctx, preview_unhold(found.ctx), by="ann")


def test_with_no_more_room_promotion_is_refused_and_what_people_do_is_not(full: MemoryShop) -> None:
    if report(full.ctx).hold is not None:
        toggle(full, 1)
    newer = full.build("2017-11-29")
    for forced in (None, "I insist"):
        with pytest.raises(Refused, match=f"{MOST_UNRECORDED} moves are not in the ledger.*AccessDenied.*rollback"):
            promote(full.ctx, newer, by="sensor", forced=forced)
    assert full.ctx.store.forcing(newer) is None
    toggle(full, 3)
    kept = document(full)["unrecorded"]
    newest = document(full)["generation"]
    assert [entry["generation"] for entry in kept] == list(range(newest - MOST_UNRECORDED + 1, newest))
    full.refuse("")
    if report(full.ctx).hold is not None:
        toggle(full, 1)
    assert promote(full.ctx, newer, by="sensor").moved


def test_with_no_more_room_nothing_is_retired() -> None:
    found = memory_shop()
    for day in ("26", "27", "28", "29"):
        found.build(f"2017-11-{day}")
        promote(found.ctx, None, by="sensor")
    found.refuse("/ledger/")
    toggle(found, MOST_UNRECORDED)
    assert plan(found.ctx).going.keys() == {found.built[0]}
    with pytest.raises(Refused, match=f"{MOST_UNRECORDED} moves are not in the ledger"):
        retire(found.ctx, lambda names: None, by="daily")
    assert found.ctx.store.retirement(found.built[0]) is None


def test_what_a_pointer_has_no_room_for_is_a_hole_that_stops_retirement_until_it_is_accepted(full: MemoryShop) -> None:
    toggle(full, 3)
    full.refuse("")
    ctx = full.another_context()
    assert [problem[:48] for problem in report(ctx).problems] == ["the ledger has no entry of generation 1 to 3: mo"]
    assert f"kumo-assets doctor {full.query} --accept-hole 1 --reason" in report(ctx).problems[0]
    planned = plan(ctx)
    assert planned.going == {}
    assert "--accept-hole 1" in planned.kept[full.built[0]]
    with pytest.raises(Refused, match="nothing is wrong with generation 4"):
        accept_hole(ctx, 4, by="ann", reason="the bucket's policy was wrong")
    with pytest.raises(ConfigError, match="no reason"):
        accept_hole(ctx, 2, by="ann", reason=" ")
    assert accept_hole(ctx, 2, by="ann", reason="the bucket's policy was wrong") == (1, 3)
    assert report(full.another_context()).problems == []
    assert "--accept-hole" not in str(plan(ctx).kept)
    newest = ctx.ledger.history(1)[0]
    assert newest.reason == "accepts generation 1 to 3: the bucket's policy was wrong"
    assert newest.accepts == (1, 3)


def test_a_move_that_a_hand_took_out_of_the_document_is_a_hole(out: MemoryShop) -> None:
    told = document(out)
    for name in ("move", "unrecorded", "digest"):
        told.pop(name)
    put_raw(out.ctx, json.dumps(told).encode())
    out.refuse("")
    assert faults(out.ctx, out.ctx.pointers.read()).holes == ((2, 5),)


def test_a_generation_that_a_hand_wrote_leaves_one_hole_and_room_to_go_on(memory: MemoryShop) -> None:
    memory.build("2017-11-28")
    promote(memory.ctx, None, by="sensor")
    memory.edit(lambda text: text.replace('"generation": 1,', '"generation": 9007199254740990,', 1))
    held = hold(memory.ctx, by="ann", reason="who did that")
    assert held.generation == 2
    assert accept_hole(memory.ctx, 7, by="ann", reason="a typing error") == (3, 9007199254740990)
    assert report(memory.ctx).problems == []


def test_documents_with_the_longest_texts_still_fit_and_lose_the_oldest_moves_first(memory: MemoryShop) -> None:
    memory.build("2017-11-28")
    memory.refuse("/ledger/")
    promote(memory.ctx, None, by="sensor")
    long = "é" * (MOST_REASON_BYTES // 2)
    people = [f"{number:0200}" for number in range(MOST_HOLDS)]
    for who in people:
        hold(memory.ctx, by=who, reason=long)
    for who in people[:12]:
        unhold(memory.ctx, preview_unhold(memory.ctx, by=who), by=who)
        hold(memory.ctx, by=who, reason=long)
    raw = memory.ctx.pointers.peek()
    assert raw is not None
    assert MAX_BYTES - 4_000 < len(raw.data) <= MAX_BYTES
    carried = [entry["generation"] for entry in document(memory)["unrecorded"]]
    assert MOST_UNRECORDED // 2 < len(carried) < MOST_UNRECORDED - 1
    assert carried == list(range(carried[0], document(memory)["generation"]))


# ---- forks


def test_two_entries_of_one_generation_are_a_problem_until_they_are_accepted(memory: MemoryShop) -> None:
    """As a store that ignores conditional writes leaves them."""
    first = memory.build("2017-11-28")
    promote(memory.ctx, None, by="sensor")
    entry = LedgerEntry(query=memory.query, at=utc_now(), action="promote", by="bob", to_release=first, generation=1)
    memory.ctx.ledger.append(entry)
    (problem,) = report(memory.ctx).problems
    assert problem.startswith("the ledger has two entries of generation 1: two writers both won")
    assert accept_hole(memory.ctx, 1, by="ann", reason="the old store") == (1, 1)
    assert report(memory.ctx).problems == []


def test_a_hole_far_back_is_found_by_who_looks_at_everything(memory: MemoryShop) -> None:
    memory.build("2017-11-28")
    promote(memory.ctx, None, by="sensor")
    for generation in [*range(2, 30), *range(31, 130)]:
        entry = LedgerEntry(query=memory.query, at=utc_now(), action="hold", by="bob", generation=generation)
        memory.ctx.ledger.append(entry)
    assert ledger_problems(memory.ctx, memory.ctx.pointers.read()) == []
    assert faults(memory.ctx, memory.ctx.pointers.read(), newest=None).holes == ((30, 30),)
    assert len(ledger_problems(memory.ctx, memory.ctx.pointers.read(), newest=1_000)) == 1


def test_a_retry_of_what_the_ledger_has_already_says_nothing(
    memory: MemoryShop, caplog: pytest.LogCaptureFixture
) -> None:
    memory.build("2017-11-28")
    promote(memory.ctx, None, by="sensor")
    with caplog.at_level(logging.WARNING):
        report(memory.another_context())
    assert caplog.records == []


def test_a_hole_and_a_fork_are_alarms_and_cost_a_tick_nothing_while_the_pointer_is_still(
    full: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    toggle(full, 2)
    full.refuse("")
    record_moves(full.ctx, full.ctx.pointers.read())
    fork = LedgerEntry(query=full.query, at=utc_now(), action="hold", by="bob", generation=20)
    full.ctx.ledger.append(fork)
    ctx = full.another_context()
    assert ctx.definition is not None

    def sent() -> list[str]:
        found = ctx.pointers.read()
        decision = Decision("wait", "nothing is newer")
        return [
            one.title
            for one in alarms_of_releases(ctx, ctx.definition, found, None, decision, ctx.now())
            if one.kind == "ledger"
        ]

    first = sent()
    assert [title[:50] for title in first] == [
        "the ledger has no entry of generation 1 to 2: move",
        "the ledger has two entries of generation 20: two w",
    ]
    monkeypatch.setattr(ctx.ledger, "listed_since", lambda moment=None: pytest.fail("the ledger was listed again"))
    assert sent() == first


@pytest.mark.parametrize("raised", [ReleaseError("append", found="503"), RuntimeError("odd")], ids=["ours", "any"])
def test_no_querys_error_ends_the_tick_of_the_others(
    memory: MemoryShop, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    """The sensor looks at each query by itself; whatever is raised is that query's reason."""

    def fails(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr("kumo_assets.automation.looking.next_promotion", fails)
    releases = SimpleNamespace(context=lambda definition: memory.ctx)
    view = look(releases, memory.ctx.definition, Before())  # type: ignore[arg-type]
    assert view.release is None
    assert str(raised) in view.reason
