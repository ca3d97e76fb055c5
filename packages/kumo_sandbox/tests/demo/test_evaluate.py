"""The honest figure, counted by hand on a log small enough to see."""

from __future__ import annotations

import io
import re
from datetime import date
from pathlib import Path

import pytest
from kumo_sandbox.demo.evaluate import days_after, evaluate
from kumo_sandbox.demo.history import busiest_entity, entities_until, items_before_and_after
from kumo_sandbox.demo.show import Show
from kumo_sandbox.grocery import Columns, EventLog, own_log
from rich.console import Console

DAY = date(2024, 3, 10)


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    rows = [
        # up to the 10th: "milk" is the most popular, then "bread"
        *[(user, "milk", "2024-03-09 08:00:00") for user in ("ann", "ben", "cem", "dee")],
        *[(user, "bread", "2024-03-10 23:59:59") for user in ("ann", "ben")],
        ("ann", "tea", "2024-03-08 08:00:00"),
        # after it
        ("ann", "tea", "2024-03-11 00:00:00"),
        ("ann", "bread", "2024-03-12 10:00:00"),
        ("ben", "milk", "2024-03-13 10:00:00"),
        ("cem", "salt", "2024-03-13 10:00:00"),
        # beyond a horizon of three days, and somebody new
        ("dee", "milk", "2024-03-15 10:00:00"),
        ("eve", "milk", "2024-03-12 10:00:00"),
        ("eve", "milk", "2024-03-20 10:00:00"),
    ]
    file = tmp_path / "shop.csv"
    file.write_text("entity_id,item_id,timestamp\n" + "".join(f"{','.join(row)}\n" for row in rows))
    return own_log(file, Columns())


def test_hits_are_counted_within_the_horizon_and_only_after_the_day(log: EventLog) -> None:
    lists = {"ann": ["tea", "bread"], "ben": ["bread", "milk"], "cem": ["milk", "tea"], "dee": ["milk", "tea"]}
    found = evaluate(log, DAY, lists, horizon=3)
    assert (found.entities, found.active, found.days, found.listed) == (4, 3, 3, 2)
    # ann 2, ben 1, cem 0, dee 0 (too late)
    assert found.predicted.mean_hits == pytest.approx(3 / 4)
    assert found.predicted.hit_share == pytest.approx(2 / 4)
    # milk and bread for everybody: ann 1 (bread), ben 1 (milk), cem 0, dee 0
    assert found.popular.mean_hits == pytest.approx(2 / 4)


def test_the_table_says_what_each_figure_is_over(log: EventLog) -> None:
    lists = {"ann": ["tea", "bread"], "ben": ["bread", "milk"], "cem": ["milk", "tea"], "dee": ["milk", "tea"]}
    console = Console(file=io.StringIO(), width=200)
    Show(console).figure(evaluate(log, DAY, lists, horizon=3), "users")
    shown = " ".join(console.file.getvalue().split())
    # 3 hits of 4 users: over the 3 who came back it would be 1.00
    assert re.search(r"this release\W+0\.75\W+50%", shown)
    assert "Both columns are over all 4 users with a list; 3 of them were active in those days." in shown


def test_a_log_that_ends_says_how_many_days_there_were(log: EventLog) -> None:
    assert days_after(log, DAY) == 10
    assert days_after(log, date(2024, 3, 20)) == 0


def test_only_entities_seen_by_then_are_asked_for(log: EventLog) -> None:
    assert entities_until(log, DAY) == ["ann", "ben", "cem", "dee"]
    assert busiest_entity(log, DAY) == "ann"


def test_history_counts_days_before_and_says_whether_it_was_taken_after(log: EventLog) -> None:
    assert items_before_and_after(log, "ann", DAY, 3) == {"milk": (1, False), "bread": (1, True), "tea": (1, True)}


def test_figure_of_no_lists_at_all_is_zero(log: EventLog) -> None:
    found = evaluate(log, DAY, {"ann": []}, horizon=3)
    assert (found.listed, found.predicted.mean_hits, found.popular.mean_hits) == (0, 0.0, 0.0)
