"""A partition looked at: each release judged at each age from what it served and what happened, or said not to be, and why.

S3 and DynamoDB are in memory, Snowflake is embedded; releases, ledger and samples are made by the operations themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.documents import LedgerEntry, Outcome, Served, ServedDropped
from kumo_assets.errors import WarehouseError
from kumo_assets.outcomes.due import History, partitions_due, read_history, samples_over
from kumo_assets.outcomes.looking import Look, look
from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.support.embedded_warehouse import Embedded
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

EVENTS = {"log": "transactions", "entity": "HOUSEHOLD_ID", "class": "PRODUCT_ID"}
LISTS = {"ENTITY": "NUMBER", "CLASS": "NUMBER", "SCORE": "FLOAT", "RANK": "NUMBER"}
LOG = {"HOUSEHOLD_ID": "NUMBER", "PRODUCT_ID": "NUMBER", "TS": "TIMESTAMP_NTZ"}
# Noon, UTC, of the first day after 2017-11-20.
NOON = datetime(2017, 11, 21, 12, tzinfo=UTC)


def on_time(moment: datetime) -> str:
    return ""


@dataclass
class World:
    """One query with a log; releases go live day by day."""

    shop: MemoryShop
    snowflake: Embedded
    definition: QueryDefinition
    releases: list[str] = field(default_factory=list)

    def buy(self, *events: tuple[int, int, datetime]) -> None:
        for household, product, at in events:
            self.snowflake.run(f"INSERT INTO TRANSACTIONS VALUES ({household}, {product}, '{at:%Y-%m-%d %H:%M:%S}')")

    def release(
        self, day: str, lists: dict[int, Sequence[int]], at: datetime | None = None, task: str = "ranking"
    ) -> str:
        """A release of a day that serves these lists, live from `at` on."""
        release = self.shop.build(day)
        table = self.shop.ctx.names.served_table(release)
        rows = [(e, item, 1 / rank, rank) for e, items in lists.items() for rank, item in enumerate(items, 1)]
        self.snowflake.put(LISTS, rows, table)
        self.keep(release, day, table, len(lists), task)
        if at is not None:
            self.goes_live(release, at)
        self.releases.append(release)
        return release

    def keep(self, release: str, day: str, table: str, entities: int, task: str) -> None:
        self.shop.ctx.store.write_served(
            Served.model_validate(
                {
                    "query": self.shop.query,
                    "release_id": release,
                    "partition": day,
                    "task": task,
                    "top_k": 2,
                    "table": table,
                    "database": "KUMO",
                    "schema": "PUBLIC",
                    "entities": entities,
                    "share": 1,
                    "taken_at": "2017-11-20T01:00:00.000Z",
                }
            )
        )

    def goes_live(self, release: str, at: datetime, action: Any = "promote") -> None:
        """The ledger's entry of a move, at a time of this test's own."""
        moves = self.shop.ctx.ledger.moves()
        self.shop.ctx.ledger.append(
            LedgerEntry(
                query=self.shop.query,
                at=at.isoformat(),
                action=action,
                by="a test",
                from_release=moves[-1].to_release if moves else "",
                to_release=release,
                generation=len(moves) + 1,
            )
        )

    def look(self, day: str, now: datetime, late: Callable[[datetime], str] = on_time) -> Look:
        ctx = self.shop.another_context()
        return look(ctx, self.snowflake.warehouse, self.definition, day, late, run_id="r", by="a test", now=now)

    def outcome(self, release: str, age: int) -> Outcome | None:
        return self.shop.another_context().store.outcome(release, age)


def world_of(snowflake: Embedded, folder: Path = Path("/nowhere"), **attributes: Any) -> World:
    outcomes = {"horizon_days": 2, "ages": [1, 2], "patience_days": 3, "events": EVENTS}
    shop = memory_shop(**{"outcomes": outcomes, "top_k": 2, **attributes})
    assert shop.ctx.definition is not None
    raw = RawSource("transactions", None, "PUBLIC", RawTable(table="TRANSACTIONS", event_time="TS"))
    definition = replace(shop.ctx.definition, folder=folder, sources={"transactions": raw})
    snowflake.put(LOG, [], "TRANSACTIONS")
    return World(shop, snowflake, definition)


@pytest.fixture
def world(snowflake: Embedded) -> World:
    return world_of(snowflake)


def judged(found: Look) -> list[tuple[str, int, bool]]:
    return [(one.release, one.age, one.outcome is not None and one.outcome.judged) for one in found.results]


def test_a_release_is_judged_at_each_age_once_its_days_are_over_beside_the_release_before(world: World) -> None:
    first = world.release("2017-11-19", {1: (10, 11), 2: (12, 13), 3: (10, 12)}, NOON - timedelta(hours=34))
    second = world.release("2017-11-20", {1: (20, 10), 2: (12, 13), 4: (1, 2)}, NOON - timedelta(hours=10))
    world.buy((1, 20, NOON), (1, 11, NOON), (2, 13, NOON), (9, 9, NOON), (2, 12, NOON + timedelta(days=1)))
    assert world.look("2017-11-20", NOON).results == [], "its first day is not over"
    found = world.look("2017-11-20", NOON + timedelta(hours=12))
    assert judged(found) == [(second, 1, True)]
    outcome = world.outcome(second, 1)
    assert outcome is not None
    assert (outcome.window_start, outcome.window_end) == ("2017-11-21T00:00:00.000Z", "2017-11-22T00:00:00.000Z")
    assert outcome.hours_live == 22
    assert (outcome.entities, outcome.active) == (3, 2)
    assert outcome.figures["mean_hits"].value == pytest.approx(2 / 3)
    before = outcome.rivals["before"]
    assert before.release_id == first
    assert before.figures["mean_hits"].value == 1, "household 1 and 2, which both have, took one each"
    assert before.differences["mean_hits"].value == 0
    assert outcome.rivals["fallback"].figures["mean_hits"].value == 0
    assert world.look("2017-11-20", NOON + timedelta(hours=13)).results == [], "written once"
    later = world.look("2017-11-20", NOON + timedelta(hours=36))
    assert judged(later) == [(second, 2, True)]
    second_age = world.outcome(second, 2)
    assert second_age is not None
    assert second_age.figures["mean_hits"].value == pytest.approx(1)


def test_a_candidate_that_was_never_live_is_not_judged_and_one_live_for_two_hours_is(world: World) -> None:
    first = world.release("2017-11-19", {1: (10, 11)}, NOON - timedelta(hours=34))
    world.release("2017-11-20", {1: (1, 2)})
    bad = world.release("2017-11-20", {1: (3, 4)}, NOON - timedelta(hours=10))
    world.goes_live(first, NOON - timedelta(hours=8), "rollback")
    world.buy((1, 10, NOON))
    found = world.look("2017-11-20", NOON + timedelta(hours=12))
    assert judged(found) == [(bad, 1, True)]
    outcome = world.outcome(bad, 1)
    assert outcome is not None
    assert outcome.hours_live == 2
    assert outcome.rivals["before"].differences["mean_hits"].value == -1
    following = world.release("2017-11-21", {1: (10, 11)}, NOON + timedelta(hours=14))
    assert history_of(world, NOON + timedelta(days=1)).before(following) == first, "not the one that was left"


def test_late_logs_are_not_judged_and_tried_again_until_patience_is_over(world: World) -> None:
    release = world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    world.buy((1, 10, NOON))

    def late(moment: datetime) -> str:
        return f"transactions reach noon, and not {moment.isoformat()}"

    now = NOON + timedelta(hours=13)
    found = world.look("2017-11-20", now, late)
    assert judged(found) == [(release, 1, False)]
    assert "have not arrived: transactions reach noon" in found.results[0].reason
    assert world.outcome(release, 1) is None
    history = history_of(world, now)
    assert partitions_due(world.definition, history, now) == ["2017-11-20"]
    assert judged(world.look("2017-11-20", now)) == [(release, 1, True)], "they came"
    given_up = world.look("2017-11-20", NOON + timedelta(days=6), late)
    assert judged(given_up) == [(release, 2, False)]
    outcome = world.outcome(release, 2)
    assert outcome is not None
    assert not outcome.judged
    assert "have not arrived" in outcome.reason
    assert "waited for until 2017-11-26" in outcome.reason


@pytest.mark.parametrize(
    "change", ["DROP TABLE TRANSACTIONS", "ALTER TABLE TRANSACTIONS RENAME COLUMN PRODUCT_ID TO SKU"]
)
def test_an_event_table_that_changed_is_reported_and_tried_again(world: World, change: str) -> None:
    release = world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    world.snowflake.run(change)
    found = world.look("2017-11-20", NOON + timedelta(hours=12))
    assert found.results[0].outcome is None
    assert "TRANSACTIONS: no column" in found.results[0].reason
    assert world.outcome(release, 1) is None


def test_a_day_on_which_nobody_did_anything_is_not_a_day_of_no_hits(world: World) -> None:
    world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    world.buy((1, 10, NOON + timedelta(days=1)))
    [result] = world.look("2017-11-20", NOON + timedelta(hours=12)).results
    assert result.outcome is None
    assert "no entity of the sample has an event" in result.reason


def test_a_release_of_another_task_is_not_judged_for_good(world: World) -> None:
    before = world.release("2017-11-19", {1: (10, 11)}, NOON - timedelta(hours=34), task="multiclass_classification")
    release = world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    world.buy((1, 10, NOON - timedelta(days=1)), (1, 10, NOON))
    world.look("2017-11-19", NOON)
    other = world.outcome(before, 1)
    assert other is not None
    assert not other.judged
    assert "task multiclass_classification" in other.reason
    world.look("2017-11-20", NOON + timedelta(hours=12))
    outcome = world.outcome(release, 1)
    assert outcome is not None
    assert outcome.judged
    assert outcome.rivals["before"].figures == {}
    assert "task multiclass_classification" in outcome.rivals["before"].reason


def test_a_release_without_a_sample_is_not_judged_for_good(world: World) -> None:
    release = world.shop.build("2017-11-20")
    world.goes_live(release, NOON - timedelta(hours=10))
    world.look("2017-11-20", NOON + timedelta(hours=12))
    outcome = world.outcome(release, 1)
    assert outcome is not None
    assert not outcome.judged
    assert "no sample" in outcome.reason


def test_a_sample_goes_after_the_last_age_of_all_that_are_compared_with_it(world: World) -> None:
    first = world.release("2017-11-19", {1: (10, 11)}, NOON - timedelta(hours=34))
    second = world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    unused = world.release("2017-11-19", {1: (10, 11)})
    world.buy(*[(1, 10, NOON + timedelta(days=day)) for day in (-1, 0, 1)])
    found = world.look("2017-11-19", NOON + timedelta(hours=12))
    assert judged(found) == [(first, 1, True), (first, 2, True)]
    assert found.dropped == [], "the second release is still compared with it"
    later = world.look("2017-11-20", NOON + timedelta(hours=36))
    assert judged(later) == [(second, 1, True), (second, 2, True)]
    assert later.dropped == [first], "the next release will be compared with the active one"
    assert unused in samples_over_in(world, datetime.now(UTC) + timedelta(days=10)), (
        "it never went live, and never will"
    )
    assert world.shop.another_context().store.served(first) is None
    with pytest.raises(WarehouseError):
        world.snowflake.warehouse.rows(f"SELECT * FROM {world.shop.ctx.names.served_table(first)}")
    third = world.release("2017-11-21", {1: (10, 11)}, NOON + timedelta(hours=37))
    world.buy((1, 10, NOON + timedelta(days=2)))
    assert judged(world.look("2017-11-21", NOON + timedelta(days=3))) == [(third, 1, True), (third, 2, True)]
    assert world.shop.another_context().store.served(second) is None


def samples_over_in(world: World, now: datetime) -> list[str]:
    ctx = world.shop.another_context()
    return list(samples_over(ctx, world.definition, read_history(ctx, world.definition, now), now))


def history_of(world: World, now: datetime) -> History:
    """As the schedule reads it."""
    return read_history(world.shop.another_context(), world.definition, now, whole=False)


def test_a_day_that_was_built_late_is_waited_for_from_when_it_went_live(world: World) -> None:
    late = NOON + timedelta(days=400)
    release = world.release("2017-11-20", {1: (10, 11)}, late)
    [result, _] = world.look("2017-11-20", late + timedelta(hours=1), lambda moment: "nothing is there").results
    assert result.outcome is None
    history = history_of(world, late + timedelta(hours=2))
    assert partitions_due(world.definition, history, late + timedelta(hours=2)) == ["2017-11-20"]
    assert release not in samples_over_in(world, late + timedelta(days=3))


def test_a_release_that_has_been_live_for_months_keeps_its_sample_for_the_next_one(world: World) -> None:
    release = world.release("2017-11-20", {1: (10, 11)})
    promote(world.shop.ctx, release, by="a test")
    later = datetime.now(UTC) + timedelta(days=100)
    assert world.shop.ctx.ledger.names_since(later - timedelta(days=40)) == []
    assert samples_over_in(world, later) == []
    following = world.release("2017-12-20", {1: (10, 11)}, later)
    assert history_of(world, later + timedelta(hours=1)).before(following) == release


def test_a_rival_whose_sample_is_gone_is_named_with_the_reason(world: World) -> None:
    first = world.release("2017-11-19", {1: (10, 11)}, NOON - timedelta(hours=34))
    release = world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    world.buy((1, 10, NOON))
    world.shop.ctx.store.mark_served_dropped(
        ServedDropped(query=world.shop.query, release_id=first, at="2017-11-21T00:00:00.000Z", by="a hand")
    )
    world.look("2017-11-20", NOON + timedelta(hours=12))
    outcome = world.outcome(release, 1)
    assert outcome is not None
    assert outcome.rivals["before"].release_id == first
    assert "no sample" in outcome.rivals["before"].reason


def test_a_release_of_before_the_query_asked_for_outcomes_is_not_due_for_ever(world: World) -> None:
    world.release("2017-11-20", {1: (10, 11)}, NOON - timedelta(hours=10))
    for days, due in ((3, ["2017-11-20"]), (10, []), (60, [])):
        now = NOON + timedelta(days=days)
        assert partitions_due(world.definition, history_of(world, now), now) == due


OWN = """
SELECT S.ENTITY, COUNT(T.PRODUCT_ID) AS VALUE
FROM {{ served }} S LEFT JOIN {{ transactions }} T
  ON T.HOUSEHOLD_ID = S.ENTITY AND T.TS >= {{ start }} AND T.TS < {{ end }}
GROUP BY S.ENTITY
"""


def test_what_happened_may_be_the_querys_own_sql_over_what_was_served(snowflake: Embedded, tmp_path: Path) -> None:
    world = world_of(snowflake, tmp_path, task="regression", outcomes={"horizon_days": 2, "ages": [2]})
    (tmp_path / "outcomes.sql").write_text(OWN)
    release = world.shop.build("2017-11-20")
    table = world.shop.ctx.names.served_table(release)
    snowflake.put({"ENTITY": "NUMBER", "TARGET_PRED": "FLOAT"}, [(1, 2.5), (2, 1.0)], table)
    world.keep(release, "2017-11-20", table, 2, "regression")
    world.goes_live(release, NOON - timedelta(hours=10))
    world.buy((1, 5, NOON), (1, 6, NOON + timedelta(days=1)), (1, 7, NOON + timedelta(days=2)))
    world.look("2017-11-20", NOON + timedelta(days=2))
    outcome = world.outcome(release, 2)
    assert outcome is not None
    assert outcome.figures["mean_absolute_error"].value == pytest.approx(0.75)
    assert outcome.figures["bias"].value == pytest.approx(0.75)
    assert outcome.rivals["fallback"].figures["mean_absolute_error"].value == pytest.approx((0.25 + 1.75) / 2)
