"""A release that failed the check: what is held, by whom, with which words, and that a lifted hold is not placed again."""

from __future__ import annotations

import pytest

from kumo_assets.outcomes.holding import CHECK, advice, judged_at_first_age, reason_of
from kumo_assets.pointers.limits import MOST_REASON_BYTES
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.outcomes.days import Days


@pytest.fixture
def days() -> Days:
    return Days()


def test_a_failed_release_holds_promotion_and_names_the_last_good_one_with_its_command(days: Days) -> None:
    good = days.day(1.0)
    bad = days.day(0.4, was=1.0)
    after = days.day(0.4, was=0.4)
    assert [days.failed(release) for release in (good, bad, after)] == [False, True, False]
    assert days.hold(bad).startswith("promotion is held")
    found = days.shop.ctx.pointers.read()
    assert found is not None
    assert found.pointer.hold is not None
    assert found.pointer.release_id == after, "nothing is rolled back by itself"
    assert found.pointer.hold.by == CHECK
    assert found.pointer.hold.from_release == found.pointer.hold.to_release == "", "a plain hold"
    assert f"realised quality of {bad}: mean hits 0.4: 60.0% worse than {good}" in found.pointer.hold.reason
    assert f"kumo-assets rollback {days.shop.query} --to {good} " in found.pointer.hold.reason
    assert CHECK in str(report(days.shop.ctx).holds)


def test_the_command_that_the_hold_names_works_at_once(days: Days) -> None:
    good, bad = days.day(1.0), days.day(0.4, was=1.0)
    days.hold(bad)
    done = rollback(days.shop.ctx, by="ann", reason="the check says so", to=days.good_before(bad))
    assert done.pointer.release_id == good
    again = days.good_before(bad)
    assert again == good


def test_the_first_rollback_under_the_hold_needs_no_target(days: Days) -> None:
    good, bad = days.day(1.0), days.day(0.4, was=1.0)
    days.hold(bad)
    assert rollback(days.shop.ctx, by="ann", reason="the check says so").pointer.release_id == good


def test_once_lifted_the_hold_is_not_placed_again_for_the_same_release(days: Days) -> None:
    days.day(1.0)
    bad = days.day(0.4, was=1.0)
    days.hold(bad)
    assert "not held again" in days.hold(bad), "a run that is started again"
    ctx = days.shop.ctx
    unhold(ctx, preview_unhold(ctx, by="ann", of=CHECK), by="ann")
    assert "not held again" in days.hold(bad)
    found = ctx.pointers.read()
    assert found is not None
    assert found.pointer.hold is None
    worse = days.day(0.1, was=0.4)
    assert days.hold(worse).startswith("promotion is held"), "another release may be held for"


def test_a_person_who_holds_already_keeps_their_hold(days: Days) -> None:
    days.day(1.0)
    bad = days.day(0.4, was=1.0)
    hold(days.shop.ctx, by="ann", reason="a sale")
    days.hold(bad)
    assert [one["by"] for one in report(days.shop.ctx).holds] == ["ann", CHECK]


def test_a_release_that_failed_or_was_rejected_is_not_the_last_good_one(days: Days) -> None:
    good, bad = days.day(1.0), days.day(0.4, was=1.0)
    worse = days.day(0.1, was=0.4)
    assert days.good_before(worse) == good
    assert days.good_before(good) == ""
    assert "no good release is known" in advice("q", days.good_before(good))
    assert days.good_before(bad) == good


def test_a_release_that_a_person_rejected_is_not_the_last_good_one_though_the_check_passed_it(days: Days) -> None:
    good, left = days.day(1.0), days.day(1.0, was=1.0)
    ctx = days.shop.ctx
    rollback(ctx, by="ann", reason="an offensive item")
    unhold(ctx, preview_unhold(ctx, by="ann"), by="ann")
    assert not days.failed(left)
    assert days.good_before(days.day(0.4, was=1.0)) == good


def test_a_reason_has_room_in_the_pointer(days: Days) -> None:
    days.day(1.0)
    bad = days.day(0.4, was=1.0)
    definition = days.shop.ctx.definition
    assert definition is not None
    found = judged_at_first_age(days.shop.ctx, definition, days.history(), days.listing(bad))
    assert found is not None
    assert len(reason_of(bad, found.quality, "q" * 2000, bad).encode()) <= MOST_REASON_BYTES
