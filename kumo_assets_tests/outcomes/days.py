"""Releases that went live one after another, with their outcomes after a day: stored as the product stores them, and no
warehouse behind them."""

from __future__ import annotations

from typing import Any

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Figure, Outcome, RivalOutcome
from kumo_assets.outcomes.due import History, read_history
from kumo_assets.outcomes.holding import hold_for, judged_at_first_age, last_good, reason_of
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

EVENTS = {"log": "transactions", "entity": "HOUSEHOLD_ID", "class": "PRODUCT_ID"}


class Days:
    """Releases that went live one after another, with their outcomes after a day."""

    def __init__(self, mode: str = "warn") -> None:
        settings: dict[str, Any] = {"ages": [1, 7], "events": EVENTS, "realised_quality": {"mode": mode}}
        self.shop: MemoryShop = memory_shop(outcomes=settings)
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

    @property
    def definition(self) -> QueryDefinition:
        assert self.shop.ctx.definition is not None
        return self.shop.ctx.definition

    def history(self) -> History:
        return read_history(self.shop.ctx, self.definition, self.shop.ctx.now())

    def listing(self, release: str) -> Listing:
        return next(item for item in self.shop.ctx.store.listings() if item.release_id == release)

    def good_before(self, release: str) -> str:
        history = self.history()
        return last_good(self.shop.ctx, self.definition, history, self.listing(release))

    def failed(self, release: str) -> bool:
        found = judged_at_first_age(self.shop.ctx, self.definition, self.history(), self.listing(release))
        return found is not None and not found.quality.passed

    def hold(self, release: str) -> str:
        history = self.history()
        found = judged_at_first_age(self.shop.ctx, self.definition, history, self.listing(release))
        assert found is not None
        reason = reason_of(release, found.quality, self.shop.query, self.good_before(release))
        return hold_for(self.shop.ctx, release, reason, run_id="r")
