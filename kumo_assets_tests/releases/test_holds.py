"""Holds of several people on one pointer: each ends by its own lifting, and today's and older tools read the rest."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from kumo_sandbox.testing.releases import Shop, put_raw

from kumo_assets.errors import ConfigError, Refused
from kumo_assets.pointers.limits import MOST_AUTHOR_BYTES, MOST_HOLDS, MOST_REASON_BYTES
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import next_promotion, promote
from kumo_assets.releases.operations.retention import plan
from kumo_assets.releases.operations.retire import retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import report
from kumo_assets.releases.operations.target import as_ours
from kumo_assets_tests.support.memory_shop import MemoryShop

WRITTEN = Path(__file__).parents[2] / "docs/contract/pointer-written.schema.json"


@pytest.fixture
def live(memory: MemoryShop) -> Shop:
    """Two days promoted, and a third that waits."""
    for day in ("28", "29"):
        memory.build(f"2017-11-{day}")
        promote(memory.ctx, None, by="sensor")
    memory.build("2017-11-30")
    return memory


def authors(found: Shop) -> list[str]:
    return [one["by"] for one in report(found.ctx).holds]


def lift(found: Shop, by: str, of: str | None = None) -> None:
    unhold(found.ctx, preview_unhold(found.ctx, by=by, of=of), by=by)


def waits(found: Shop) -> bool:
    return next_promotion(found.ctx)[1].outcome == "refuse"


def test_nobodys_rollback_and_unhold_take_away_anothers_hold(live: Shop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    rolled = rollback(live.ctx, by="bob", reason="odd")
    assert rolled.pointer.hold is not None
    assert (rolled.pointer.hold.by, rolled.pointer.hold.to_release) == ("bob", rolled.pointer.release_id)
    assert authors(live) == ["ann", "bob"]
    assert "ann" in rolled.message
    preview = preview_unhold(live.ctx, by="bob")
    assert preview.next_release is None
    assert "looking (ann" in preview.message
    lift(live, "bob")
    assert authors(live) == ["ann"]
    assert waits(live)
    lift(live, "ann")
    assert not waits(live)


def test_two_people_hold_and_each_lifts_their_own(live: Shop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    held = hold(live.ctx, by="bob", reason="me too")
    assert held.hold is not None
    with pytest.raises(Refused, match=r"2 people hold it.*looking \(ann.*me too \(bob.*--of AUTHOR"):
        preview_unhold(live.ctx, by="carl")
    with pytest.raises(Refused, match="dave holds nothing here"):
        preview_unhold(live.ctx, by="ann", of="dave")
    lift(live, "ann")
    assert authors(live) == ["bob"]
    lift(live, "carl", of="bob")
    assert not waits(live)


def test_one_that_a_person_placed_stays_when_a_hand_edit_is_lifted_and_the_reverse(live: Shop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    first, second, _ = (live.ctx.names.dynamodb_table(release) for release in live.built)
    live.edit(lambda text: text.replace(second, first, 1))
    assert authors(live) == ["ann", "a hand edit"]
    lift(live, "ann")
    assert authors(live) == ["a hand edit"]
    assert waits(live)
    hold(live.ctx, by="bob", reason="me too")
    lift(live, "bob", of="a hand edit")
    assert authors(live) == ["bob"]


def test_a_put_back_document_holds_until_it_is_lifted_whoevers_hold_ends(live: Shop) -> None:
    held = hold(live.ctx, by="ann", reason="looking")
    old = live.ctx.pointers.peek()
    lift(live, "ann")
    assert old is not None
    put_raw(live.ctx, old.data)
    assert authors(live) == ["ann", "a hand edit"]
    lift(live, "ann")
    assert authors(live) == ["a hand edit"]
    lift(live, "ann")
    assert not waits(live)
    assert held.release_id == live.active()


def test_a_hold_that_a_hand_takes_out_of_the_document_is_gone_and_the_others_are_not(live: Shop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    hold(live.ctx, by="bob", reason="me too")

    def without(text: str) -> str:
        return json.dumps({**json.loads(text), "hold": None})

    live.edit(without)
    assert authors(live) == ["ann", "a hand edit"]


def test_every_older_tool_sees_that_it_is_held_and_what_is_written_keeps_the_contract(live: Shop) -> None:
    rollback(live.ctx, by="ann", reason="odd")
    hold(live.ctx, by="bob", reason="me too")
    raw = live.ctx.pointers.peek()
    assert raw is not None
    document = json.loads(raw.data)
    jsonschema.validate(document, json.loads(WRITTEN.read_text()))
    assert document["hold"]["to_release"], "an older retirement keeps both ends of the rollback"
    assert [one["by"] for one in document["more_holds"]] == ["bob"]
    lift(live, "ann")
    raw = live.ctx.pointers.peek()
    assert raw is not None
    assert (json.loads(raw.data)["hold"]["by"], "more_holds" in json.loads(raw.data)) == ("bob", False)


def test_both_ends_of_every_rollback_stay_while_it_holds(live: Shop) -> None:
    first, second, third = live.built
    promote(live.ctx, None, by="sensor")
    rollback(live.ctx, by="ann", reason="odd")
    rollback(live.ctx, by="bob", reason="odder", to=first)
    assert authors(live) == ["ann", "bob"]
    kept = plan(live.ctx).kept
    assert (kept[second], kept[third]) == ("named by the hold", "named by the hold")


def test_there_is_room_for_so_many_people_and_a_rollback_always_finds_some(live: Shop) -> None:
    for number in range(MOST_HOLDS):
        hold(live.ctx, by=f"person {number}", reason="x" * MOST_REASON_BYTES)
    with pytest.raises(Refused, match=f"{MOST_HOLDS} people hold it already"):
        hold(live.ctx, by="one too many", reason="me too")
    rollback(live.ctx, by="ann", reason="odd")
    assert len(authors(live)) == MOST_HOLDS + 1
    assert live.active() == live.built[0]


def test_an_edit_that_is_made_regular_keeps_every_hold_that_it_shows(live: Shop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    hold(live.ctx, by="bob", reason="me too")
    first, second, _ = (live.ctx.names.dynamodb_table(release) for release in live.built)
    live.edit(lambda text: text.replace(second, first, 1))
    found = live.ctx.pointers.read()
    assert found is not None
    regular = as_ours(live.ctx, found, 9)
    assert (regular.hold, regular.more_holds) == (found.pointer.hold, found.pointer.more_holds)
    assert len(regular.more_holds) == 1


# ---- limits


TOO_LONG = {
    "a reason": ("ann", "x" * (MOST_REASON_BYTES + 1)),
    "a reason of long characters": ("ann", "é" * (MOST_REASON_BYTES // 2 + 1)),
    "a reason that JSON makes long": ("ann", "\x01" * (MOST_REASON_BYTES // 6 + 1)),
    "an author": ("a" * (MOST_AUTHOR_BYTES + 1), "because"),
    "no author": (" ", "because"),
    "no text": ("ann", "odd \udcff"),
}


@pytest.mark.parametrize("which", TOO_LONG)
def test_a_text_that_the_pointer_has_no_room_for_is_refused_before_anything_is_written(live: Shop, which: str) -> None:
    by, reason = TOO_LONG[which]
    before = sorted(item.key for item in live.ctx.objects.list(live.ctx.names.root))
    acts = [
        lambda: rollback(live.ctx, by=by, reason=reason),
        lambda: hold(live.ctx, by=by, reason=reason),
        lambda: promote(live.ctx, live.built[-1], by=by, forced=reason),
    ]
    for act in acts:
        with pytest.raises(ConfigError, match=r"--by|--reason|author"):
            act()
    assert sorted(item.key for item in live.ctx.objects.list(live.ctx.names.root)) == before


@pytest.mark.parametrize("by", [" ", "a" * (MOST_AUTHOR_BYTES + 1)], ids=["none", "too long"])
def test_who_lifts_a_hold_or_retires_says_who_they_are(live: Shop, by: str) -> None:
    hold(live.ctx, by="ann", reason="looking")
    preview = preview_unhold(live.ctx)
    for act in (lambda: unhold(live.ctx, preview, by=by), lambda: retire(live.ctx, lambda names: None, by=by)):
        with pytest.raises(ConfigError, match=r"--by|author"):
            act()
    assert authors(live) == ["ann"]
