"""One stray or damaged object never stops a query, is said, and counts in nobody's favour; and the same of documents of
another release, query, environment or partition."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kumo_sandbox.testing.releases import GATES

from kumo_assets.automation.notifications import strange_objects
from kumo_assets.documents import IMPORT_GATE, Rejection, utc_now
from kumo_assets.errors import DamagedDocument, GateBlocked, Refused, ReleaseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.promote import next_promotion, promote
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.states import releases
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

GARBAGE = (b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"schema_version": 2}', b"9" * 5000, b"[" * 100_000)
Change = Callable[[dict[str, Any]], dict[str, Any]]


def drop(names: list[str]) -> None:
    """No warehouse here."""


def days(found: MemoryShop, first: int, last: int) -> list[str]:
    built = []
    for day in range(first, last + 1):
        built.append(found.build(f"2017-11-{day}"))
        promote(found.ctx, None, by="sensor")
    return built


@pytest.fixture
def found() -> MemoryShop:
    return memory_shop()


def fresh(found: MemoryShop) -> ReleaseContext:
    """Another process: nothing read before is remembered."""
    return memory_shop(found.memory, found.query).ctx


def key_of(found: MemoryShop, release: str, name: str) -> str:
    return found.ctx.names.release_prefix(release) + name


def put(found: MemoryShop, key: str, data: bytes) -> None:
    found.ctx.objects.put(key, data)


def change(found: MemoryShop, release: str, name: str, by: Change) -> None:
    key = key_of(found, release, name)
    document = json.loads(found.memory.objects[key][0])
    put(found, key, json.dumps(by(document)).encode())


def everything_works(found: MemoryShop, active: str, before: str) -> None:
    """Status, history, the list, promotion, rollback and retirement, each as another process would do it."""
    assert report(fresh(found)).release_id == active
    assert active in {view.release_id for view in releases(fresh(found))}
    assert fresh(found).ledger.history()
    assert next_promotion(fresh(found))[1].outcome in ("wait", "refuse", "blocked")
    plan(fresh(found))
    retire(fresh(found), drop, by="daily")
    assert rollback(fresh(found), by="ann", reason="odd").pointer.release_id == before


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:12]))
@pytest.mark.parametrize(
    "name",
    [
        *("opened.json", "release.json", "rejected.json", "forced.json", "retiring.json", "retired.json"),
        *("verdicts/volume.json", f"verdicts/{IMPORT_GATE}.json", "artefacts/dynamodb_table.json"),
    ],
)
def test_a_damaged_document_of_a_release_stops_that_release_and_nothing_else(
    found: MemoryShop, name: str, garbage: bytes
) -> None:
    before, active = days(found, 26, 27)
    bad = found.build("2017-11-28")
    put(found, key_of(found, bad, name), garbage)
    for forced in (None, "I insist"):
        with pytest.raises((Refused, GateBlocked)):
            promote(fresh(found), bad, by="bob", forced=forced)
    assert found.active() == active
    uri = found.ctx.objects.uri(key_of(found, bad, name))
    assert any(uri in problem for problem in report(fresh(found)).problems)
    (alarm,) = strange_objects(fresh(found), datetime.now(UTC))
    assert any(uri in line for line in alarm.lines)
    assert bad in plan(fresh(found)).kept
    everything_works(found, active, before)
    assert found.ctx.names.dynamodb_table(bad) in found.memory.tables


@pytest.mark.parametrize("name", ["release.json", "opened.json", "rejected.json", "verdicts/volume.json"])
def test_a_damaged_document_of_an_earlier_release_is_passed_by(found: MemoryShop, name: str) -> None:
    first, second, third = days(found, 26, 28)
    put(found, key_of(found, second, name), b"garbage")
    with pytest.raises(Refused, match="damaged"):
        rollback(fresh(found), to=second, by="ann", reason="odd")
    everything_works(found, third, first)


@pytest.mark.parametrize("name", ["release.json", "opened.json", "rejected.json", "forced.json"])
def test_a_damaged_document_of_the_active_release_stops_nothing(found: MemoryShop, name: str) -> None:
    first, second = days(found, 26, 27)
    put(found, key_of(found, second, name), b"garbage")
    third = found.build("2017-11-28")
    assert promote(fresh(found), None, by="sensor").pointer.release_id == third
    put(found, key_of(found, third, name), b"garbage")
    everything_works(found, third, first)


@pytest.mark.parametrize(
    "name",
    [
        "a note.txt",
        "README",
        "20171201T000000.000000Z-0a0b0c0d.json.bak",
        "20171131T000000.000000Z-0a0b0c0d.json",
        "x/y",
    ],
)
def test_a_note_in_the_ledger_is_foreign_and_stops_nothing(found: MemoryShop, name: str) -> None:
    before, active = days(found, 26, 27)
    put(found, found.ctx.names.ledger_prefix + name, b"remember the milk")
    assert any("foreign" in problem for problem in report(fresh(found)).problems)
    assert strange_objects(fresh(found), datetime.now(UTC))
    everything_works(found, active, before)


@pytest.mark.parametrize(
    "damage",
    [
        *GARBAGE,
        {"action": "reject all"},
        {"at": "yesterday"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"query": "another"},
        {"generation": 10**30},
        {"generation": -1},
    ],
    ids=lambda damage: str(damage)[:40],
)
def test_a_damaged_entry_of_the_ledger_stops_nothing(found: MemoryShop, damage: bytes | dict[str, Any]) -> None:
    before, active = days(found, 26, 27)
    entry = found.ctx.ledger.history(1)[0]
    data = damage if isinstance(damage, bytes) else json.dumps(entry.model_dump(mode="json") | damage).encode()
    put(found, found.ctx.names.ledger_prefix + "20291231T000000.000000Z-0a0b0c0d.json", data)
    assert any("20291231T" in problem for problem in report(fresh(found)).problems)
    everything_works(found, active, before)


def test_what_an_unreadable_entry_may_say_is_not_retired(found: MemoryShop) -> None:
    """It may be of a promotion, of a hand edit a moment ago, or of a forced promotion."""
    never_live = found.build("2017-11-20")
    old, *_ = days(found, 21, 25)
    assert set(plan(fresh(found)).going) >= {never_live, old}
    put(found, found.ctx.names.ledger_prefix + "20171231T000000.000000Z-0a0b0c0d.json", b"garbage")
    assert set(plan(fresh(found)).going) >= {never_live, old}, "older than all that is kept as known good"
    newer = found.build("2017-11-25")  # never live, as far as anybody can read
    days(found, 26, 27)
    assert plan(fresh(found)).kept[newer] == "may be known good: an entry of the ledger is damaged"


def test_within_the_grace_of_an_unreadable_entry_nothing_goes() -> None:
    found = memory_shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 30})
    days(found, 21, 25)
    found.memory.clock.tick(3600)
    assert plan(found.ctx).going
    put(found, found.ctx.names.ledger_prefix + "20171231T000000.000000Z-0a0b0c0d.json", b"garbage")
    assert plan(found.ctx).going == {}
    found.memory.clock.tick(3600)
    assert plan(found.ctx).going


@pytest.mark.parametrize("damage", [b"garbage", {"adopted": {}}, {"adopted": {"predictions": "20171119-00000000"}}])
def test_what_a_damaged_release_may_have_adopted_is_not_retired(found: MemoryShop, damage: Any) -> None:
    home = found.build("2017-11-20")
    adopter = found.build("2017-11-26", adopted={"predictions": home, "postprocessed": home})
    promote(found.ctx, adopter, by="sensor")
    days(found, 27, 28)
    assert plan(fresh(found)).kept[home] == f"adopted by {adopter}"
    if isinstance(damage, bytes):
        put(found, key_of(found, adopter, "opened.json"), damage)
    else:
        change(found, adopter, "opened.json", lambda document: document | damage)
    assert home in plan(fresh(found)).kept
    assert "damaged" in plan(fresh(found)).kept[adopter] or adopter in plan(fresh(found)).kept
    assert home not in retire(fresh(found), drop, by="daily")
    put(found, key_of(found, adopter, "retired.json"), b"garbage")
    assert home in plan(fresh(found)).kept, "a mark that cannot be read retires nothing"


@pytest.mark.parametrize("name", ["retiring.json", "retired.json", "rejected.json"])
def test_an_empty_mark_deletes_nothing(found: MemoryShop, name: str) -> None:
    first, second, third, fourth = days(found, 25, 28)
    assert second in plan(fresh(found)).kept
    put(found, key_of(found, second, name), b"")
    assert second in plan(fresh(found)).kept
    assert second not in retire(fresh(found), drop, by="daily")
    waiting = found.build("2017-11-29")
    put(found, key_of(found, waiting, name), b"")
    assert waiting in plan(fresh(found)).kept
    assert {first, third, fourth}


def test_whoever_looks_again_and_again_sees_what_changed_and_what_was_put_right(found: MemoryShop) -> None:
    """The sensor keeps one cache for as long as its code server lives."""
    first, *_ = days(found, 26, 28)
    now = datetime.now(UTC)
    ctx = found.ctx

    def told(minutes: int) -> list[str]:
        return [line for alarm in strange_objects(ctx, now + timedelta(minutes=minutes)) for line in alarm.lines]

    for minutes in range(0, 60, 10):
        assert told(minutes) == [], "ten objects a look, until all are read"
    key = key_of(found, first, "opened.json")
    whole = found.memory.objects[key][0]
    change(found, first, "opened.json", lambda document: document | {"gates": {}})
    assert told(53) == [], "not yet"
    assert any(key in line for line in told(70))
    days(found, 29, 30)
    assert any(key in line for line in told(80)), "new objects do not push it out"
    put(found, key, whole)
    assert told(90) == []


def test_a_rollback_rejects_past_a_damaged_rejection(found: MemoryShop) -> None:
    before, active = days(found, 26, 27)
    put(found, key_of(found, active, "rejected.json"), b"")
    assert rollback(fresh(found), by="ann", reason="odd").pointer.release_id == before


def test_status_shows_what_it_can_when_no_table_can_be_described(
    found: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, active = days(found, 26, 27)
    blocked = found.build("2017-11-28", failed="volume", seal=False)
    found.build("2017-11-29")
    ctx = fresh(found)

    def down(**_: Any) -> Any:
        raise OSError("no route to DynamoDB")

    monkeypatch.setattr(ctx.dynamodb, "describe_table", down)
    shown = report(ctx)
    assert (shown.release_id, shown.last_block and shown.last_block["release_id"]) == (active, blocked)
    assert any("no route to DynamoDB" in problem for problem in shown.problems)


# ---- whose a document is


def seal_of(**changes: Any) -> tuple[str, Change]:
    return "release.json", lambda document: document | changes


def verdict_of(name: str, /, **changes: Any) -> tuple[str, Change]:
    return f"verdicts/{name}.json", lambda document: document | changes


FORGED: dict[str, tuple[str, Change]] = {
    "gates emptied": ("opened.json", lambda document: document | {"gates": {}}),
    "a gate only warns": (
        "opened.json",
        lambda document: document | {"gates": document["gates"] | {"volume": {"asset": "predictions", "mode": "warn"}}},
    ),
    "adopted rewritten": ("opened.json", lambda document: document | {"adopted": {"predictions": "20171126-00000001"}}),
    "another root run": ("opened.json", lambda document: document | {"root_run_id": "f" * 32}),
    "opened of another query": ("opened.json", lambda document: document | {"query": "another"}),
    "opened in another environment": ("opened.json", lambda document: document | {"environment": "prod"}),
    "opened for another partition": ("opened.json", lambda document: document | {"partition": "2017-11-29"}),
    "sealed for another query": seal_of(query="another"),
    "sealed in another environment": seal_of(environment="prod"),
    "sealed for another partition": seal_of(partition="2017-12-31"),
    "the seal of another release": seal_of(release_id="20171128-00000001"),
    "a seal without opened": seal_of(opened=""),
    "another table": seal_of(table="local-other-20171128-00000001"),
    "another attempt's table": (
        "release.json",
        lambda document: document | {"table": document["table"] + "-a2"},
    ),
    "a seal that names two tables": seal_of(artefacts={"dynamodb_table": "local-other-20171128-00000001"}),
    "another fallback": seal_of(fallback="s3://elsewhere/prod/another/releases/20171128-00000001/fallback.json"),
    "a verdict of another query": verdict_of("volume", query="another"),
    "a verdict of another partition": verdict_of("volume", partition="2017-11-01"),
    "a verdict of another release": verdict_of("volume", release_id="20171128-00000001"),
    "a verdict of another gate": verdict_of("volume", gate="kumo_warnings"),
    "a verdict on another asset": verdict_of("volume", asset="postprocessed"),
    "passed with an error": verdict_of("volume", passed=True, severity="error"),
    "not passed and fine": verdict_of("list_shape", passed=False, severity="ok"),
    "an error that only warns": verdict_of("list_shape", passed=False, severity="error", mode="warn"),
    "an import that only warns": verdict_of(IMPORT_GATE, passed=False, severity="warn"),
    "an import whose counts disagree": verdict_of(IMPORT_GATE, evidence={"keys": 3, "exported": 3, "imported": 2}),
    "an import whose counts are no numbers": verdict_of(IMPORT_GATE, evidence={"keys": [3], "exported": [2]}),
    "an import with errors": verdict_of(IMPORT_GATE, evidence={"errors": 1}),
    "an import into another table": (
        "artefacts/dynamodb_table.json",
        lambda document: document | {"name": "local-other-20171128-00000001"},
    ),
    "an import of another release": (
        "artefacts/dynamodb_table.json",
        lambda document: document | {"release_id": "20171128-00000001"},
    ),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_document_of_something_else_never_goes_live(found: MemoryShop, forgery: str) -> None:
    name, forge = FORGED[forgery]
    before, active = days(found, 26, 27)
    bad = found.build("2017-11-28")
    change(found, bad, name, forge)
    assert next_promotion(fresh(found))[1].outcome in ("refuse", "blocked")
    for forced in (None, "I insist"):
        with pytest.raises((Refused, GateBlocked), match="damaged"):
            promote(fresh(found), bad, by="bob", forced=forced)
    everything_works(found, active, before)


@pytest.mark.parametrize("forgery", FORGED)
def test_a_document_of_something_else_is_not_gone_back_to(found: MemoryShop, forgery: str) -> None:
    name, forge = FORGED[forgery]
    first, second, third = days(found, 27, 29)
    change(found, second, name, forge)
    with pytest.raises(Refused, match="damaged"):
        rollback(fresh(found), to=second, by="ann", reason="odd")
    everything_works(found, third, first)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("query", "another"),
        ("environment", "prod"),
        ("partition", "2017-11-29"),
        ("release_id", "20171128-00000001"),
        ("root_run_id", "f" * 32),
        ("adopted", {"predictions": "20171131-0a0b0c0d"}),
        ("adopted", {"dynamodb_table": "20171127-0a0b0c0d"}),
    ],
)
def test_before_any_seal_the_fault_of_a_forged_opening_is_named(found: MemoryShop, field: str, value: object) -> None:
    release = found.build("2017-11-28", seal=False)
    change(found, release, "opened.json", lambda document: document | {field: value})
    with pytest.raises(DamagedDocument, match=field):
        fresh(found).store.opened(release)


@pytest.mark.parametrize("field", ["query", "release_id"])
def test_a_rejection_of_another_release_is_damaged_and_stops_both(found: MemoryShop, field: str) -> None:
    _, active = days(found, 26, 27)
    waiting = found.build("2017-11-28")
    note = Rejection(query=found.query, release_id=waiting, at=utc_now(), by="ann", reason="odd")
    data = note.model_copy(update={field: "20171127-00000001"}).to_json()
    put(found, key_of(found, waiting, "rejected.json"), data)
    with pytest.raises(DamagedDocument, match=field):
        fresh(found).store.rejection(waiting)
    with pytest.raises(Refused, match="damaged"):
        promote(fresh(found), waiting, by="bob")
    assert found.active() == active


def test_a_release_opened_by_an_earlier_version_and_sealed_by_this_one_goes_live(found: MemoryShop) -> None:
    """Its `opened.json` is laid out in another way and lacks a field that has a default today."""
    opened = found.open("2017-11-28", gates={"volume": GATES["volume"]})
    change(
        found,
        opened.release_id,
        "opened.json",
        lambda document: {name: value for name, value in document.items() if name != "adopted"},
    )
    release = found.build("2017-11-28", root=opened.root_run_id)
    assert promote(fresh(found), release, by="bob").moved


def test_damage_in_a_home_stops_whoever_adopted_from_it(found: MemoryShop) -> None:
    home = found.build("2017-11-27", seal=False)
    adopter = found.build("2017-11-28", adopted={"predictions": home})
    put(found, key_of(found, home, "verdicts/volume.json"), b"garbage")
    with pytest.raises(GateBlocked, match="damaged"):
        promote(fresh(found), adopter, by="bob", forced="I insist")


def test_counts_that_are_no_json_are_an_error_that_names_the_object(found: MemoryShop) -> None:
    release = found.build("2017-11-28")
    put(found, key_of(found, release, "statistics/predictions.json"), b"{")
    with pytest.raises(ReleaseError, match=r"statistics/predictions\.json"):
        found.ctx.store.statistics(release, "predictions")
