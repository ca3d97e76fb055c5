"""The demo's figure, out of what `kumo-assets outcomes` says; and what the log remembers."""

from __future__ import annotations

import io
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.demo.evaluate import Score, days_after, evaluation_of
from kumo_sandbox.demo.history import busiest_entity, items_before_and_after
from kumo_sandbox.demo.plan import horizon_of
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


def outcome(age: int, hits: float, *, judged: bool = True, before: bool = True) -> dict[str, Any]:
    """A document of `kumo-assets outcomes --json`."""

    def figures(mean: float, share: float) -> dict[str, Any]:
        return {"mean_hits": {"value": mean}, "hit_rate": {"value": share}}

    return {
        "release_id": "r1",
        "age_days": age,
        "judged": judged,
        "entities": 4,
        "active": 3,
        "top_k": 2,
        "figures": figures(hits, 0.5) if judged else {},
        "rivals": {
            "fallback": {"figures": figures(0.5, 0.25)},
            "before": {"figures": figures(0.7, 0.4) if before else {}, "reason": ""},
        },
    }


def test_the_figure_is_that_of_the_greatest_age_that_was_judged() -> None:
    other = outcome(3, 9.0) | {"release_id": "r2"}
    found = evaluation_of([outcome(28, 0, judged=False), outcome(1, 0.1), outcome(3, 0.75), other], "r1")
    assert found is not None
    assert (found.entities, found.active, found.days, found.listed) == (4, 3, 3, 2)
    assert (found.predicted, found.popular, found.before) == (Score(0.75, 0.5), Score(0.5, 0.25), Score(0.7, 0.4))
    assert evaluation_of([outcome(3, 0, judged=False), other], "r1") is None
    assert evaluation_of({"error": {}}, "r1") is None


def test_the_table_says_what_each_figure_is_over() -> None:
    found = evaluation_of([outcome(3, 0.75, before=False)], "r1")
    assert found is not None
    console = Console(file=io.StringIO(), width=200)
    Show(console).figure(found, "users")
    shown = " ".join(console.file.getvalue().split())
    # 3 hits of 4 users: over the 3 who came back it would be 1.00
    assert re.search(r"this release\W+0\.75\W+50%", shown)
    assert "Both columns are over all 4 users with a list; 3 of them were active in those days." in shown
    assert "the release before it" not in shown


def test_a_log_that_ends_says_how_many_days_there_were(log: EventLog) -> None:
    assert days_after(log, DAY) == 10
    assert days_after(log, date(2024, 3, 20)) == 0
    assert horizon_of(log, DAY) == 9, "the log's last day may have ended in the middle"
    assert horizon_of(log, date(2024, 3, 20)) == 0


def test_the_busiest_entity_is_the_one_with_most_events(log: EventLog) -> None:
    assert busiest_entity(log, DAY) == "ann"


def test_history_counts_days_before_and_says_whether_it_was_taken_after(log: EventLog) -> None:
    assert items_before_and_after(log, "ann", DAY, 3) == {"milk": (1, False), "bread": (1, True), "tea": (1, True)}
