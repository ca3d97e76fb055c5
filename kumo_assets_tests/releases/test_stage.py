"""A person's approval: what is staged beside the active release, who clears it, and what it never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kumo_sandbox.testing.releases import Shop, put_raw
from kumo_serving.pointer import Pointer

from kumo_assets.assets.active_pointer import pointer_metadata
from kumo_assets.cli.look import _page
from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry, Rejection, utc_now
from kumo_assets.errors import ConfigError, GateBlocked, LostRace, Refused, ReleaseError
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import next_promotion, promote
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.stage import Staging, keep_staged, stage
from kumo_assets.releases.operations.states import releases
from kumo_assets.releases.operations.status import report
from kumo_assets.releases.operations.target import staged_of
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

CONTRACT = Path(__file__).parents[2] / "docs/contract"
# What version 0.1 knows; it reads an entry of another action as a damaged one, and its pointer as one that a hand wrote.
OLD_ACTIONS = {"promote", "rollback", "hold", "unhold", "refuse", "hand_edit", "retire", "force"}


@pytest.fixture
def live(memory: MemoryShop) -> MemoryShop:
    """Two days promoted, and a third that waits."""
    for day in ("27", "28"):
        memory.build(f"2017-11-{day}")
        promote(memory.ctx, None, by="sensor")
    memory.build("2017-11-29")
    return memory


def read(shop: Shop) -> VersionedPointer:
    found = shop.ctx.pointers.read()
    assert found is not None
    return found


def staged(shop: Shop) -> str | None:
    pointer = read(shop).pointer
    return pointer.staged.release_id if pointer.staged is not None else None


def tick(shop: Shop) -> VersionedPointer:
    """What the sensor does about a query that only a person promotes."""
    return keep_staged(shop.ctx, read(shop), by="sensor")


def edit(shop: Shop, change: Any) -> None:
    raw = shop.ctx.pointers.peek()
    assert raw is not None
    document = json.loads(raw.data)
    change(document)
    put_raw(shop.ctx, json.dumps(document).encode())


def conforms(document: Any, schema: str) -> None:
    jsonschema.validate(document, json.loads((CONTRACT / f"{schema}.schema.json").read_text()))


def test_a_staged_release_is_named_beside_what_is_live_and_changes_nothing_else(live: MemoryShop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    before = read(live).pointer
    done = stage(live.ctx, live.built[-1], by="bob")
    assert done.moved
    assert done.pointer.staged is not None
    assert done.pointer.staged.table == live.ctx.names.dynamodb_table(live.built[-1])
    assert done.pointer.replace(staged=None, generation=before.generation) == before
    assert done.pointer.generation == before.generation + 1
    raw = live.ctx.pointers.peek()
    assert raw is not None
    conforms(json.loads(raw.data), "pointer-written")
    assert json.loads(raw.data)["schema_version"] == 1
    again = stage(live.ctx, live.built[-1], by="bob")
    assert (again.moved, again.pointer.generation) == (False, done.pointer.generation)


def test_the_ledger_has_it_in_words_that_every_version_reads(live: MemoryShop) -> None:
    stage(live.ctx, None, by="bob")
    entry = live.ctx.ledger.history(1)[0]
    assert (entry.shown_action, entry.stages, entry.by) == ("stage", live.built[-1], "bob")
    assert (entry.from_release, entry.to_release) == (live.built[1], live.built[1])
    document = json.loads(entry.to_json())
    conforms(document, "ledger-entry")
    assert document["action"] in OLD_ACTIONS - {"promote", "rollback", "force", "hand_edit"}
    assert "unstages" not in document
    assert [move.generation for move in live.ctx.ledger.moves()] == [1, 2, 3]
    assert not report(live.ctx).problems


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        ({"failed": "volume"}, GateBlocked),
        ({"missing": "volume"}, GateBlocked),
        ({"whole": False}, Refused),
        ({"seal": False}, Refused),
        ({"table": False}, Refused),
    ],
    ids=["blocked", "no verdict", "short", "unsealed", "no table"],
)
def test_what_may_not_go_live_is_not_staged(live: MemoryShop, build: dict[str, Any], kind: type[Exception]) -> None:
    bad = live.build("2017-11-30", **build)
    with pytest.raises(kind):
        stage(live.ctx, bad, by="bob")
    assert staged(live) is None
    assert live.ctx.ledger.history(1)[0].reason.startswith("stage: ")
    tick(live)
    assert staged(live) == live.built[2], "the newest that may go live"


def test_neither_an_older_the_active_nor_a_rejected_release_is_staged(live: MemoryShop) -> None:
    live.ctx.store.reject(Rejection(query=live.query, release_id=live.built[2], at=utc_now(), by="ann", reason="odd"))
    for release in live.built:
        with pytest.raises(Refused):
            stage(live.ctx, release, by="bob")
    with pytest.raises(Refused):
        stage(live.ctx, None, by="bob")
    with pytest.raises(ConfigError):
        stage(live.ctx, "yesterday", by="bob")
    assert staged(live) is None


def test_one_whose_table_gives_no_answer_is_not_staged(live: MemoryShop) -> None:
    live.ctx.trial = lambda seal, sample: {"1": "TimedOut"}
    with pytest.raises(ReleaseError, match="trial lookups"):
        stage(live.ctx, None, by="bob")
    with pytest.raises(ReleaseError, match="trial lookups"):
        tick(live)
    assert staged(live) is None


def test_before_anything_is_live_nothing_is_staged(memory: MemoryShop) -> None:
    memory.build()
    with pytest.raises(Refused, match="nothing is active yet"):
        stage(memory.ctx, None, by="bob")


def test_promotion_and_rollback_clear_it(live: MemoryShop) -> None:
    stage(live.ctx, None, by="bob")
    newer = live.build("2017-11-30")
    promote(live.ctx, newer, by="ann")
    assert staged(live) is None
    stage_and_roll_back = live.build("2017-12-01")
    stage(live.ctx, stage_and_roll_back, by="bob")
    rollback(live.ctx, by="ann", reason="odd")
    assert staged(live) is None


def test_hold_unhold_and_retirement_keep_it(live: MemoryShop) -> None:
    for day in ("2017-11-30", "2017-12-01"):
        promote(live.ctx, None, by="ann")
        live.build(day)
    stage(live.ctx, None, by="bob")
    hold(live.ctx, by="ann", reason="looking")
    unhold(live.ctx, preview_unhold(live.ctx, by="ann"), by="ann")
    assert retire(live.ctx, lambda names: None, by="daily") == [live.built[0]]
    assert staged(live) == live.built[4]
    promote(live.ctx, live.built[4], by="ann")
    assert (read(live).pointer.served_release_id, staged(live)) == (live.built[4], None)


def test_the_sensor_stages_the_newest_once_and_a_newer_one_in_its_place(live: MemoryShop) -> None:
    first = tick(live)
    assert staged(live) == live.built[2]
    assert tick(live) == first, "nothing moves while nothing is new"
    live.build("2017-11-30", failed="volume")
    assert tick(live) == first
    newer = live.build("2017-12-01")
    hold(live.ctx, by="ann", reason="looking")
    tick(live)
    assert staged(live) == newer, "under a hold too: nothing that is served changes"
    assert read(live).pointer.served_release_id == live.built[1]
    assert read(live).pointer.hold is not None


def test_a_staged_release_that_was_rejected_is_taken_back(live: MemoryShop) -> None:
    tick(live)
    live.ctx.store.reject(Rejection(query=live.query, release_id=live.built[2], at=utc_now(), by="ann", reason="odd"))
    hold(live.ctx, by="ann", reason="looking")
    assert staged(live) is None, "no move of ours carries it on"
    other = memory_shop(live.memory, live.query)
    unhold(other.ctx, preview_unhold(other.ctx, by="ann"), by="ann")
    newest = other.build("2017-11-30")
    tick(other)
    other.ctx.store.reject(Rejection(query=live.query, release_id=newest, at=utc_now(), by="ann", reason="odd"))
    found = tick(other)
    assert found.pointer.staged is None
    assert found.move is not None
    assert (found.move.shown_action, found.move.unstages) == ("unstage", newest)
    conforms(json.loads(found.move.to_json()), "ledger-entry")


def test_a_table_that_is_busy_for_a_moment_takes_nothing_back(live: MemoryShop) -> None:
    older = live.built[2]
    newest = live.build("2017-11-30")
    tick(live)
    del live.memory.tables[live.ctx.names.dynamodb_table(newest)]
    tick(live)
    assert staged(live) == newest
    assert older != newest


def test_a_hand_that_takes_it_out_loses_the_staging_and_nothing_else(live: MemoryShop) -> None:
    for taken_out in (lambda document: document.pop("staged"), lambda document: document.update(staged=None)):
        stage(live.ctx, live.built[2], by="bob")
        before = read(live)
        edit(live, taken_out)
        found = read(live)
        assert not found.hand_edited, "it is not a hold"
        assert found.pointer == before.pointer.replace(staged=None)
        assert report(live.ctx).hold is None
        assert next_promotion(live.ctx)[1].outcome == "promote"
        assert tick(live).pointer.staged is None, "the sensor does not repeat what a person took out"
        hold(live.ctx, by="ann", reason="looking")
        unhold(live.ctx, preview_unhold(live.ctx, by="ann"), by="ann")
    assert [move.generation for move in live.ctx.ledger.moves()] == list(range(1, read(live).pointer.generation + 1))
    tick(live)
    assert staged(live) == live.built[2]


@pytest.mark.parametrize("field", ["table", "generation", "unstaged_digest", "hold"])
def test_a_hand_that_changes_anything_besides_holds_as_before(live: MemoryShop, field: str) -> None:
    stage(live.ctx, None, by="bob")
    values = {
        "table": live.ctx.names.dynamodb_table(live.built[0]),
        "generation": 7,
        "unstaged_digest": "0" * 16,
        "hold": {"reason": "wait"},
    }

    def change(document: dict[str, Any]) -> None:
        del document["staged"]
        document[field] = values[field]

    edit(live, change)
    assert read(live).hand_edited
    assert report(live.ctx).hold is not None


def test_what_a_hand_stages_is_no_staging_of_ours(live: MemoryShop) -> None:
    """Readers that ask are answered from it, as from any table that a person writes; no move of ours carries it on."""
    stage(live.ctx, None, by="bob")
    strange = "local-other_query-20171130-0a0b0c0d"
    edit(live, lambda document: document["staged"].update(table=strange))
    found = read(live)
    assert found.hand_edited
    assert found.pointer.staged is not None
    assert found.pointer.staged.table == strange
    assert tick(live).pointer == found.pointer, "under a hand edit nothing is staged"
    with pytest.raises(Refused, match="edited by hand"):
        stage(live.ctx, None, by="bob")
    hold(live.ctx, by="ann", reason="looking")
    assert staged(live) is None


def test_over_a_pointer_that_was_put_back_nothing_is_staged(live: MemoryShop) -> None:
    raw = live.ctx.pointers.peek()
    assert raw is not None
    hold(live.ctx, by="ann", reason="looking")
    unhold(live.ctx, preview_unhold(live.ctx, by="ann"), by="ann")
    put_raw(live.ctx, raw.data)
    with pytest.raises(Refused, match="put back"):
        stage(live.ctx, None, by="bob")
    assert tick(live).pointer.staged is None


def test_of_two_stagings_at_once_one_loses(live: MemoryShop) -> None:
    current = read(live)
    tick(live)
    with pytest.raises(LostRace):
        keep_staged(live.ctx, current, by="another sensor")


# ---- retirement


def point_at(shop: Shop, **changes: Any) -> Pointer:
    """A document of ours that says this besides."""
    found = read(shop)
    pointer = found.pointer.replace(generation=found.pointer.generation + 1, **changes)
    entry = LedgerEntry(query=shop.query, at=utc_now(), action="retire", by="a test", generation=pointer.generation)
    entry = entry.model_copy(update={"from_release": pointer.release_id, "to_release": pointer.release_id})
    written = shop.ctx.pointers.write(pointer, entry, found.version)
    shop.ctx.ledger.append(entry, written.mark)
    return pointer


@pytest.fixture
def old(live: MemoryShop) -> MemoryShop:
    """Four days promoted, of which the first may go."""
    live.build("2017-11-30")
    for release in live.built[2:]:
        promote(live.ctx, release, by="sensor")
    assert list(plan(live.ctx).going) == [live.built[0]]
    return live


def test_a_staged_release_is_never_retired(old: MemoryShop) -> None:
    sealed = old.ctx.store.sealed(old.built[0])
    assert sealed is not None
    point_at(old, staged=staged_of(sealed))
    planned = plan(old.ctx)
    assert planned.going == {}
    assert "staged" in planned.kept[old.built[0]]


def test_one_that_is_staged_after_the_plan_is_not_retired(old: MemoryShop) -> None:
    planned = plan(old.ctx)
    sealed = old.ctx.store.sealed(old.built[0])
    assert sealed is not None
    point_at(old, staged=staged_of(sealed))
    with pytest.raises(Refused, match="names"):
        retire(old.ctx, lambda names: None, by="daily", planned=planned)
    assert old.ctx.names.dynamodb_table(old.built[0]) in old.memory.tables
    assert old.ctx.store.retirement(old.built[0]) is None


def test_a_table_that_is_staged_under_another_id_is_not_deleted(old: MemoryShop) -> None:
    """Of a document in which a person changed the table alone: the release is the one in the table's name."""
    sealed = old.ctx.store.sealed(old.built[0])
    assert sealed is not None
    staged_by_name = staged_of(sealed)
    point_at(old, staged=type(staged_by_name)("20171128-0a0b0c0d", "2017-11-28", staged_by_name.table))
    assert "staged" in plan(old.ctx).kept[old.built[0]]


def test_one_that_another_query_stages_is_not_retired(old: MemoryShop) -> None:
    table = old.ctx.names.dynamodb_table(old.built[0])
    other = QueryNames(old.ctx.names.environment, "other_query", old.ctx.names.bucket)
    document = {"query": "other_query", "table": "local-other_query-20171130-0a0b0c0d", "staged": {"table": table}}
    old.ctx.objects.put(other.pointer_key, json.dumps(document).encode())
    assert "other_query" in plan(old.ctx).kept[old.built[0]]


# ---- what is shown


def test_status_releases_history_and_the_ui_show_it(live: MemoryShop) -> None:
    done: Staging = stage(live.ctx, None, by="bob")
    release = live.built[2]
    found = report(live.ctx)
    assert found.staged == {
        "release_id": release,
        "partition": "2017-11-29",
        "table": live.ctx.names.dynamodb_table(release),
    }
    assert f"staged    {release}" in _page(found)
    assert {one.release_id: one.state for one in releases(live.ctx)}[release] == "staged"
    assert pointer_metadata(done.pointer, done.where)["staged"] == release
    promote(live.ctx, release, by="ann")
    assert report(live.ctx).staged is None
    assert pointer_metadata(read(live).pointer, done.where)["staged"] == "none"


def test_status_says_that_a_person_promotes(live: MemoryShop) -> None:
    manual = memory_shop(live.memory, live.query, promotion="manual")
    found = report(manual.ctx)
    assert "waits for a person's approval" in found.candidate_words
    assert found.next_command == f"kumo-assets promote {live.query} {live.built[2]}"
