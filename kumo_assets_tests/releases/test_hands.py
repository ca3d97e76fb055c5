"""What a person's hand can write where our own commands then work: another query's table, a document of another
environment, impossible dates, the plain-text copy. And the one order that releases have."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kumo_sandbox.testing.releases import BUCKET, put_raw

from kumo_assets.automation.notifications import alarms_of_releases
from kumo_assets.errors import ConfigError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import holds_on
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import next_candidate, next_promotion, promote
from kumo_assets.releases.operations.reconcile import reconcile
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.states import releases
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.support.memory_aws import Memory
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop


def drop(names: list[str]) -> None:
    """No warehouse here."""


def days(found: MemoryShop, first: int, last: int) -> list[str]:
    built = []
    for day in range(first, last + 1):
        built.append(found.build(f"2017-11-{day}"))
        promote(found.ctx, None, by="sensor")
    return built


def point_at(found: MemoryShop, table: str) -> None:
    """A person changes the table, and nothing else."""
    current = found.ctx.pointers.read()
    assert current is not None
    found.edit(lambda text: text.replace(f'"table": "{current.pointer.table}"', f'"table": "{table}"', 1))


def pointer_document(found: MemoryShop) -> dict[str, Any]:
    raw = found.ctx.pointers.peek()
    assert raw is not None
    document: dict[str, Any] = json.loads(raw.data)
    return document


def lift_all(found: MemoryShop) -> None:
    """End every hold there is, the hand edit's too."""
    for _ in range(3):
        current = found.ctx.pointers.read()
        assert current is not None
        for one in holds_on(found.ctx, current)[:1]:
            unhold(found.ctx, preview_unhold(found.ctx, of=one.by), by="ann")


# ---- one order


@pytest.mark.parametrize("first_is_greater", [False, True])
def test_rollback_takes_the_release_of_a_day_that_was_sealed_last(first_is_greater: bool) -> None:
    found = memory_shop()
    low, high = "0" * 32, "f" * 32
    found.build("2017-11-28", root=high if first_is_greater else low)
    promote(found.ctx, None, by="sensor")
    repaired = found.build("2017-11-28", root=low if first_is_greater else high)
    promote(found.ctx, None, by="sensor")
    days(found, 29, 29)
    assert rollback(found.ctx, by="ann", reason="odd").pointer.release_id == repaired


def test_a_release_that_only_the_ledger_knows_has_its_place_in_the_same_order() -> None:
    """Out of `previous` since a person put an old document back: still nearer than what stands there."""
    found = memory_shop()
    *_, third, _ = days(found, 26, 29)
    document = pointer_document(found)
    document["previous"] = [item for item in document["previous"] if item["release_id"] != third]
    put_raw(found.ctx, json.dumps(document).encode())
    unhold(found.ctx, preview_unhold(found.ctx), by="ann")
    assert rollback(found.ctx, by="ann", reason="odd").pointer.release_id == third


def test_the_release_that_vouches_for_an_asset_is_the_one_that_s3_saw_opened_last() -> None:
    found = memory_shop()
    first = found.open("2017-11-28")
    second = found.open("2017-11-28")
    for opened in (first, second):
        found.artefact(opened, "predictions", "T")
    key = found.ctx.names.release_prefix(first.release_id) + "opened.json"
    behind = first.model_copy(update={"opened_at": "2031-01-01T00:00:00.000Z"})  # that machine's clock is years ahead
    found.memory.objects[key] = (behind.to_json(), found.memory.objects[key][1])
    assert memory_shop(found.memory, found.query).ctx.store.newest_with("2017-11-28", "predictions") == (
        second.release_id
    )


def test_history_is_by_s3s_clock_whatever_the_writers_said() -> None:
    found = memory_shop()
    days(found, 26, 28)
    entries = found.ctx.ledger.history()
    ahead = entries[0].model_copy(update={"at": "2031-01-01T00:00:00.000Z", "action": "refuse", "generation": 0})
    behind = entries[0].model_copy(update={"at": "2019-01-01T00:00:00.000Z", "action": "refuse", "generation": 0})
    found.ctx.ledger.append(ahead)
    found.ctx.ledger.append(behind)
    assert found.ctx.ledger.history() == [behind, ahead, *entries]
    assert found.ctx.ledger.history(1) == [behind]
    late = next(entry for entry in entries if entry.generation == 3).model_copy(
        update={"at": "2018-01-01T00:00:00.000Z", "generation": 4}
    )
    found.ctx.ledger.append(late)  # by a machine whose clock is years behind
    at = max(modified for _, modified in found.memory.objects.values())
    found.memory.objects = {key: (data, at) for key, (data, _) in found.memory.objects.items()}
    moves = [entry.generation for entry in found.ctx.ledger.history() if entry.generation]
    assert moves == [4, 3, 2, 1], "of one second, the generation says which was last"


def test_no_number_of_blocked_releases_hides_one_that_may_go_live() -> None:
    found = memory_shop()
    found.build("2017-10-01")
    promote(found.ctx, None, by="sensor")
    good = found.build("2017-10-02")
    blocked = [found.build(f"2017-11-{day:02d}", failed="volume") for day in range(1, 26)]
    release, decision = next_promotion(found.ctx)
    assert (release, decision.outcome) == (good, "promote")
    assert next_candidate(found.ctx, None)[0] == good
    assert promote(found.ctx, None, by="sensor").pointer.release_id == good
    assert next_promotion(found.ctx)[0] == blocked[-1]


# ---- another query's table


@pytest.fixture
def two() -> tuple[MemoryShop, MemoryShop, str]:
    """A query whose pointer a person edited to an old table of another, and that table."""
    memory = Memory()
    ours, theirs = memory_shop(memory), memory_shop(memory)
    days(ours, 25, 26)
    old, *_ = days(theirs, 21, 25)
    table = theirs.ctx.names.dynamodb_table(old)
    assert old in plan(theirs.ctx).going
    point_at(ours, table)
    return ours, theirs, table


def test_whose_the_table_is_that_is_served_is_said_by_status_and_unhold(
    two: tuple[MemoryShop, MemoryShop, str],
) -> None:
    ours, theirs, table = two
    assert any(theirs.query in problem and table in problem for problem in report(ours.ctx).problems)
    preview = preview_unhold(ours.ctx)
    assert theirs.query in preview.message
    assert unhold(ours.ctx, preview, by="ann").table == table
    assert any(theirs.query in problem for problem in report(ours.ctx).problems)


@pytest.mark.parametrize("lifted", [False, True])
def test_a_table_that_another_query_serves_is_not_retired(
    two: tuple[MemoryShop, MemoryShop, str], lifted: bool
) -> None:
    ours, theirs, table = two
    if lifted:
        unhold(ours.ctx, preview_unhold(ours.ctx), by="ann")
    release = theirs.ctx.names.release_of_table(table)
    assert release is not None
    assert plan(theirs.ctx).kept[release] == f"its table is named by {ours.ctx.pointers.uri}"
    assert release not in retire(theirs.ctx, drop, by="daily")
    assert table in theirs.memory.tables
    rollback(ours.ctx, to=ours.built[0], by="ann", reason="it is not ours")
    for day in range(12):  # until it is no previous one either
        ours.build(f"2017-12-{day + 1:02d}")
        if pointer_document(ours)["hold"]:
            unhold(ours.ctx, preview_unhold(ours.ctx), by="ann")
        promote(ours.ctx, None, by="sensor")
    assert release in retire(theirs.ctx, drop, by="daily")


@pytest.mark.parametrize("where", ["active.json", "active-table.txt"])
def test_a_table_that_a_damaged_pointer_or_a_plain_text_copy_names_is_not_retired(where: str) -> None:
    memory = Memory()
    theirs = memory_shop(memory)
    old, *_ = days(theirs, 21, 25)
    table = theirs.ctx.names.dynamodb_table(old)
    memory.objects[f"local/another/{where}"] = (f'{{"table": "{table}", '.encode(), memory.clock.tick())
    assert old in plan(theirs.ctx).kept
    assert old not in retire(theirs.ctx, drop, by="daily")
    memory.objects[f"local/another/{where}"] = (f"{table}-restored\n".encode(), memory.clock.tick())
    assert old in retire(theirs.ctx, drop, by="daily")


def test_a_pointer_edited_between_the_plan_and_the_delete_still_keeps_its_table() -> None:
    memory = Memory()
    ours, theirs = memory_shop(memory), memory_shop(memory)
    days(ours, 25, 26)
    first, second, *_ = days(theirs, 21, 25)

    def edit(names: list[str]) -> None:
        if first.replace("-", "_").upper() in names[0]:
            point_at(ours, theirs.ctx.names.dynamodb_table(second))

    with pytest.raises(Exception, match="names table"):
        retire(theirs.ctx, edit, by="daily")
    assert theirs.ctx.names.dynamodb_table(second) in memory.tables
    assert theirs.ctx.names.dynamodb_table(first) not in memory.tables


def test_a_rollback_from_another_querys_table_rejects_nothing_of_ours() -> None:
    """Even where both were built in one run, and so have releases of one id."""
    memory = Memory()
    ours, theirs = memory_shop(memory), memory_shop(memory)
    before, active = days(ours, 26, 27)
    root = ours.ctx.store.opened(active)
    assert root is not None
    same = theirs.build("2017-11-27", root=root.root_run_id)
    assert same == active
    point_at(ours, theirs.ctx.names.dynamodb_table(same))
    shown = report(ours.ctx)
    assert (shown.release_id, shown.hand_edited) == (None, True)
    entry = reconcile(ours.ctx)
    assert entry is not None
    assert (entry.action, entry.from_release, entry.to_release) == ("hand_edit", active, "")
    done = rollback(ours.ctx, to=before, by="ann", reason="not ours")
    assert done.left == ""
    assert ours.ctx.store.rejection(active) is None
    assert theirs.ctx.store.rejection(same) is None


# ---- a document of another environment


def test_by_its_address_a_document_copied_from_elsewhere_is_not_worked_on() -> None:
    memory = Memory()
    ours = memory_shop(memory)
    days(ours, 26, 28)
    raw = ours.ctx.pointers.peek()
    assert raw is not None
    document = json.loads(raw.data)
    names = ours.ctx.names
    addresses = {
        f"s3://{BUCKET}/staging/{ours.query}/active.json": document,
        f"s3://{BUCKET}/{names.root}copy-of-active.json": document,
        f"s3://elsewhere/{names.pointer_key}": document,
        f"s3://{BUCKET}/local/another/active.json": document | {"query": "another"},
        ours.ctx.pointers.uri: document | {"environment": "prod"},
        f"s3://{BUCKET}/{names.root}active.json": document | {"releases": f"s3://{BUCKET}/prod/{ours.query}/releases/"},
    }
    for address, copied in addresses.items():
        key = address.removeprefix("s3://").partition("/")[2]
        memory.objects[key] = (json.dumps(copied).encode(), memory.clock.tick())
        before = dict(memory.objects)
        with pytest.raises(ConfigError, match="copied or edited"):
            ReleaseContext.from_pointer_uri(address, s3=memory.s3(), dynamodb=memory.dynamodb())
        assert memory.objects == before
    put_raw(ours.ctx, raw.data)
    ctx = ReleaseContext.from_pointer_uri(ours.ctx.pointers.uri, s3=memory.s3(), dynamodb=memory.dynamodb())
    ctx.trial = ours.ctx.trial
    assert rollback(ctx, by="ann", reason="odd").left == ours.built[2]


# ---- impossible dates

ODD = "20171131-0a0b0c0d"


@pytest.mark.parametrize(
    "edit",
    [
        {"table": "local-{query}-" + ODD},
        {"release_id": ODD},
        {"previous": [{"release_id": ODD, "partition": "2017-11-31", "table": "local-{query}-" + ODD}]},
        {"previous": [{"release_id": ODD, "table": "my-own-table"}], "table": "my-own-table"},
        {"previous": [{"release_id": "yesterday's", "table": "my-own-table"}], "table": "my-own-table"},
        {"table": "my-own-table", "release_id": "", "partition": "2017-13-45"},
        {"table": "my-own-table", "release_id": "", "partition": "zzz"},
        {"hold": {"from_release": ODD, "to_release": ODD, "reason": "odd"}},
        {"promoted": {"at": "2017-11-31T00:00:00Z"}},
        {"promoted": {"at": "0001-01-01T00:00:00+14:00"}},
        {"move": {"at": "0001-01-01T00:00:00+14:00", "action": "promote", "by": "eve"}},
        {"move": {"at": "9999-12-31T23:59:59-14:00", "action": "promote", "by": "eve", "to_release": ODD}},
        {"fallback": "s3://" + ODD},
    ],
    ids=str,
)
def test_a_hand_edit_with_an_impossible_date_is_of_no_release_and_everything_works(edit: dict[str, Any]) -> None:
    found = memory_shop(retention={"keep": 5, "min_age_hours": 0, "grace_minutes": 0})
    first, second, third = days(found, 26, 28)
    text = json.dumps(edit).replace("{query}", found.query)
    document = pointer_document(found)
    changed = json.loads(text)
    if "move" in changed:
        changed["move"] = document["move"] | changed["move"]
    document |= changed
    if document["table"] not in found.memory.tables:
        found.table(document["table"], first)
    put_raw(found.ctx, json.dumps(document).encode())
    shown = report(found.ctx)
    assert (shown.table, shown.hand_edited, shown.pointer) == (document["table"], True, found.ctx.pointers.uri)
    assert {view.release_id for view in releases(found.ctx)} == {first, second, third}
    assert next_promotion(found.ctx)[1].outcome in ("refuse", "wait")
    assert plan(found.ctx).going == {}
    if shown.hold is None or shown.hold["by"] == "a hand edit":
        hold(found.ctx, by="ann", reason="looking")
    lift_all(found)
    newer = found.build("2017-11-29")
    assert promote(found.ctx, None, by="sensor").pointer.release_id == newer
    retire(found.ctx, drop, by="daily")
    put_raw(found.ctx, json.dumps(document).encode())
    assert rollback(found.ctx, to=second, by="ann", reason="odd").pointer.release_id == second


def test_an_entry_that_names_no_release_is_gone_back_past() -> None:
    found = memory_shop()
    first, _ = days(found, 26, 27)
    entry = found.ctx.ledger.history(1)[0]
    found.ctx.ledger.append(entry.model_copy(update={"to_release": ODD, "from_release": "nothing"}))
    assert rollback(found.ctx, by="ann", reason="odd").pointer.release_id == first
    with pytest.raises(ConfigError):
        rollback(found.ctx, to=ODD, by="ann", reason="odd")
    with pytest.raises(ConfigError):
        promote(found.ctx, ODD, by="ann")


# ---- the plain-text copy


def test_an_edited_plain_text_copy_is_said_and_its_table_kept() -> None:
    found = memory_shop(pointer={"plain_text_copy": True})
    old, *_, active = days(found, 21, 25)
    key = found.ctx.names.pointer_text_key

    def told() -> list[str]:
        current = found.ctx.pointers.read()
        assert found.ctx.definition is not None
        decision = Decision("wait", "nothing")
        wrong = alarms_of_releases(found.ctx, found.ctx.definition, current, None, decision, datetime.now(UTC))
        return [alarm.title for alarm in wrong if alarm.kind == "copy_edit"]

    assert (report(found.ctx).problems, told()) == ([], [])
    assert old in plan(found.ctx).going
    found.ctx.objects.put(key, found.ctx.names.dynamodb_table(old).encode() + b"\n")
    (problem,) = report(found.ctx).problems
    assert key in problem
    assert old in problem
    assert told() == [problem]
    assert report(found.ctx).next_command.startswith("nothing")
    assert plan(found.ctx).kept[old] == f"its table is named by {found.ctx.objects.uri(key)}"
    del found.memory.objects[key]
    assert "is gone" in told()[0]
    found.ctx.objects.put(key, found.ctx.names.dynamodb_table(active).encode() + b"\n")
    assert told() == []


def test_a_copy_that_a_move_has_not_written_yet_is_no_edit() -> None:
    found = memory_shop(pointer={"plain_text_copy": True})
    days(found, 21, 22)
    key = found.ctx.names.pointer_text_key
    old = found.memory.objects[key]
    days(found, 23, 23)
    found.memory.objects[key] = old
    assert report(found.ctx).problems == []
