"""A release that failed the check: what is held, by whom, with which words, and that a lifted hold is not placed again."""

from __future__ import annotations

import pytest

from kumo_assets.documents import Figure, Outcome, RivalOutcome
from kumo_assets.outcomes.due import History, read_history
from kumo_assets.outcomes.holding import CHECK, advice, hold_for, judged_at_first_age, last_good, reason_of
from kumo_assets.pointers.limits import MOST_REASON_BYTES
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

EVENTS = {"log": "transactions", "entity": "HOUSEHOLD_ID", "class": "PRODUCT_ID"}


class Days:
    """Releases that went live one after another, with their outcomes after a day."""

    def __init__(self) -> None:
        self.shop: MemoryShop = memory_shop(outcomes={"ages": [1, 7], "events": EVENTS})
        self.releases: list[str] = []

    def day(self, hits: float, was: float | None = None) -> str:
        """A release with this many hits, where the release before had `was` on the same day."""
        release = self.shop.build(f"2017-11-{10 + len(self.releases)}")
        promote(self.shop.ctx, release, by="a test")
        before = self.releases[-1] if self.releases else None
        self.releases.append(release)

        def figure(value: float) -> dict[str, Figure]:
            return {"mean_hits": Figure(value=value, standard_error=0.01, entities=1000)}

        rival = RivalOutcome(reason="no release was live before it")
        if before is not None and was is not None:
            rival = RivalOutcome(release_id=before, figures=figure(was), differences=figure(hits - was))
        self.shop.ctx.store.write_outcome(
            Outcome(
                query=self.shop.query,
                release_id=release,
                partition=f"2017-11-{9 + len(self.releases)}",
                task="ranking",
                age_days=1,
                judged=True,
                window_start="",
                window_end="",
                judged_at="2017-12-01T00:00:00.000Z",
                run_id="r",
                hours_live=24,
                figures=figure(hits),
                rivals={"before": rival},
            )
        )
        return release

    def history(self) -> History:
        ctx = self.shop.ctx
        assert ctx.definition is not None
        return read_history(ctx, ctx.definition, ctx.now())

    def listing(self, release: str) -> Listing:
        return next(item for item in self.shop.ctx.store.listings() if item.release_id == release)

    def good_before(self, release: str) -> str:
        definition = self.shop.ctx.definition
        assert definition is not None
        history = self.history()
        return last_good(self.shop.ctx, definition, history, self.listing(release))

    def failed(self, release: str) -> bool:
        definition = self.shop.ctx.definition
        assert definition is not None
        found = judged_at_first_age(self.shop.ctx, definition, self.history(), self.listing(release))
        return found is not None and not found.quality.passed

    def hold(self, release: str) -> str:
        definition = self.shop.ctx.definition
        assert definition is not None
        history = self.history()
        found = judged_at_first_age(self.shop.ctx, definition, history, self.listing(release))
        assert found is not None
        reason = reason_of(release, found.quality, self.shop.query, self.good_before(release))
        return hold_for(self.shop.ctx, release, reason, run_id="r")


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


def test_a_reason_has_room_in_the_pointer(days: Days) -> None:
    days.day(1.0)
    bad = days.day(0.4, was=1.0)
    definition = days.shop.ctx.definition
    assert definition is not None
    found = judged_at_first_age(days.shop.ctx, definition, days.history(), days.listing(bad))
    assert found is not None
    assert len(reason_of(bad, found.quality, "q" * 2000, bad).encode()) <= MOST_REASON_BYTES
