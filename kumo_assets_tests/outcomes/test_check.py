"""The check `realised_quality` as the asset reports it: once to people, with a hold where the query asks for one."""

from __future__ import annotations

import dagster as dg

from kumo_assets.assets.outcomes import check_of
from kumo_assets.outcomes.holding import CHECK
from kumo_assets.outcomes.looking import Look
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.outbox import Outbox
from kumo_assets_tests.outcomes.days import Days
from kumo_assets_tests.support.chat import Chat

THE_RUN, ANOTHER = "r", "another"


def checked(days: Days, release: str, run_id: str = THE_RUN) -> dg.AssetCheckResult:
    listing = days.listing(release)
    key = dg.AssetKey([days.shop.query, "outcomes"])
    look = Look([release], [], [])
    return check_of(
        days.shop.ctx, days.definition, days.history(), key, listing.partition, look, run_id, lambda line: None
    )


def held(days: Days) -> bool:
    found = days.shop.ctx.pointers.read()
    assert found is not None
    return found.pointer.hold is not None


def test_a_bad_release_is_a_warning_that_people_are_told_of_once(chat: Chat) -> None:
    days = Days("warn")
    good, bad = days.day(1.0), days.day(0.4, was=1.0)
    found = checked(days, bad)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert "60.0% worse" in str(found.description)
    assert f"rollback {days.shop.query} --to {good}" in str(found.metadata["next"].value)
    assert not held(days), "the mode is warn"
    [message] = chat.posted
    assert bad in str(message)
    assert f"--to {good}" in str(message)
    assert not checked(days, bad, ANOTHER).passed, "a later run, of the next age"
    assert len(chat.posted) == 1


def test_in_mode_hold_promotion_is_held_in_the_same_run(chat: Chat) -> None:
    days = Days("hold")
    days.day(1.0)
    bad = days.day(0.4, was=1.0)
    assert not checked(days, bad).passed
    assert held(days)
    assert "promotion is held" in str(chat.posted)


def test_a_release_that_a_person_has_rolled_back_already_holds_nothing_more(chat: Chat) -> None:
    days = Days("hold")
    days.day(1.0)
    bad = days.day(0.4, was=1.0)
    rollback(days.shop.ctx, by="ann", reason="people complain")
    assert not checked(days, bad).passed
    assert chat.posted == []
    found = days.shop.ctx.pointers.read()
    assert found is not None
    assert found.pointer.hold is not None
    assert found.pointer.hold.by == "ann"


def test_a_message_that_the_chat_did_not_take_waits_in_the_outbox(chat: Chat) -> None:
    chat.status = 500
    days = Days("warn")
    days.day(1.0)
    checked(days, days.day(0.4, was=1.0))
    names = days.shop.ctx.names
    assert [one.alarm.kind for one in Outbox(days.shop.ctx.objects, names.environment).kept(names.query)] == [CHECK]


def test_a_good_release_passes_and_says_by_how_much(chat: Chat) -> None:
    days = Days("hold")
    days.day(1.0)
    found = checked(days, days.day(1.02, was=1.0))
    assert found.passed
    assert "2.0% better" in str(found.description)
    assert not held(days)
    assert chat.posted == []


def test_what_was_not_judged_passes_with_the_reason_and_nobody_is_told(chat: Chat) -> None:
    days = Days("hold")
    release = days.shop.build("2017-11-10")
    found = checked(days, release)
    assert found.passed
    assert "not judged yet" in str(found.description)
    assert chat.posted == []
