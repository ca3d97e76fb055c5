"""What the stored counts of two releases say of each other, and which two are compared."""

from __future__ import annotations

from typing import Any

import pytest

from kumo_assets.assets.active_pointer import _what_changed
from kumo_assets.errors import Refused
from kumo_assets.gates.release_diff import default_pair, named, stored_diff
from kumo_assets.gates.release_diff_shown import markdown, page
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retire import retire
from kumo_assets.releases.operations.stage import stage
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop


def statistics(classes: dict[str, int], histogram: list[int], **more: Any) -> dict[str, Any]:
    served = sum(classes.values())
    lists = {"classes": classes, "served": served, "coverage": len(classes), **more.pop("lists", {})}
    return {"predictions": {"edges": [0.5, 1.0], "histogram": histogram, **more}, "postprocessed": lists}


@pytest.fixture
def days() -> tuple[MemoryShop, str, str]:
    """Two days promoted, the second counted against the first."""
    shop = memory_shop()
    first = shop.build("2017-11-28", statistics=statistics({"milk": 70, "tea": 30}, [10, 80, 10]))
    promote(shop.ctx, first, by="ann")
    marks = {"baselines": {"main": first, "active": first, "reference": ""}}
    continuity = {"old": 50, "lost": 5, "entries": 200, "changed": 30, "sample": 4}
    second = shop.build(
        "2017-11-29",
        statistics=statistics(
            {"milk": 20, "rum": 80},
            [1, 1, 1],
            against=[20, 70, 10],
            lists={"continuity": continuity, **marks},
            **marks,
        ),
    )
    promote(shop.ctx, second, by="ann")
    return shop, first, second


def test_the_stored_counts_say_what_moved(days: tuple[MemoryShop, str, str]) -> None:
    shop, first, second = days
    diff = stored_diff(shop.ctx, first, second)
    assert (diff.before.release_id, diff.after.release_id, diff.counted) == (first, second, "stored counts")
    assert [(one.label, one.before, one.after) for one in diff.classes_gained] == [("rum", 0.0, 0.8)]
    assert [(one.label, one.before, one.after) for one in diff.classes_lost] == [("milk", 0.7, 0.2), ("tea", 0.3, 0.0)]
    assert [(one.upto, one.before, one.after) for one in diff.scores] == [
        (0.5, 0.1, 0.2),
        (1.0, 0.8, 0.7),
        (None, 0.1, 0.1),
    ]
    assert (diff.lost, diff.changed, diff.sample) == (0.1, 0.15, 4)
    assert (diff.gained, diff.unchanged, diff.examples) == (None, None, [])
    assert diff.after.gates["volume"] == "ok"


def test_counts_over_other_bins_and_against_another_release_are_not_compared(days: tuple[MemoryShop, str, str]) -> None:
    shop, first, second = days
    marks = {"baselines": {"main": second, "active": second, "reference": ""}}
    counts = statistics(
        {"milk": 1},
        [1, 2, 3],
        against=[1, 2, 3],
        lists={"continuity": {"old": 9, "lost": 1, "entries": 9, "changed": 1}, **marks},
        **marks,
    )
    counts["predictions"]["edges"] = [0.6, 1.0]
    third = shop.build("2017-11-30", statistics=counts)
    assert stored_diff(shop.ctx, second, third).lost == 1 / 9
    diff = stored_diff(shop.ctx, first, third)
    assert (diff.scores, diff.lost, diff.changed) == ([], None, None)
    assert stored_diff(shop.ctx, second, first).lost is None, "the later one's comparison says nothing of the way back"


def test_a_class_that_may_be_among_those_without_a_name_is_left_out(days: tuple[MemoryShop, str, str]) -> None:
    shop, first, _ = days
    cut = statistics({"milk": 50, "gin": 50}, [1, 1, 1], lists={"coverage": 900, "served": 1000})
    third = shop.build("2017-11-30", statistics=cut)
    diff = stored_diff(shop.ctx, first, third)
    assert [one.label for one in diff.classes_gained] == ["gin"]
    assert [one.label for one in diff.classes_lost] == ["milk"], "nobody knows tea's share now"


def test_by_default_what_waits_is_compared_else_the_active_release_with_the_one_before(
    days: tuple[MemoryShop, str, str],
) -> None:
    shop, first, second = days
    assert default_pair(shop.ctx) == (first, second)
    assert default_pair(shop.ctx, first) == (second, first)
    assert default_pair(shop.ctx, second) == (first, second)
    third = shop.build("2017-11-30")
    assert default_pair(shop.ctx) == (second, third)
    stage(shop.ctx, third, by="ann")
    shop.build("2017-12-01", failed="volume")
    assert default_pair(shop.ctx) == (second, third)


def test_where_there_are_no_two_it_is_refused() -> None:
    shop = memory_shop()
    with pytest.raises(Refused, match="nothing is active"):
        default_pair(shop.ctx)
    only = shop.build()
    promote(shop.ctx, only, by="ann")
    with pytest.raises(Refused, match="no release was active before"):
        default_pair(shop.ctx)
    half = shop.build("2017-12-01", seal=False)
    with pytest.raises(Refused, match="not sealed"):
        stored_diff(shop.ctx, only, half)


def test_a_retired_release_is_compared_too(days: tuple[MemoryShop, str, str]) -> None:
    shop, first, second = days
    for day in ("2017-11-30", "2017-12-01"):
        promote(shop.ctx, shop.build(day), by="ann")
    assert first in retire(shop.ctx, lambda names: None, by="daily")
    assert stored_diff(shop.ctx, first, second).lost == 0.1


def test_the_page_and_the_ui_show_it(days: tuple[MemoryShop, str, str]) -> None:
    shop, first, second = days
    diff = named(stored_diff(shop.ctx, first, second), {"rum": "Dark rum"})
    text = page(diff)
    for words in (f"{first} -> {second}", "rum Dark rum", "10.0% lost", "15.0% of list entries", "one entity in 4"):
        assert words in text
    shown = markdown(diff)
    assert shown.count("data:image/svg+xml;base64,") == 2
    assert "15.0% of list entries" in shown


def test_a_promotion_shows_it_and_a_damaged_release_before_it_fails_nothing(days: tuple[MemoryShop, str, str]) -> None:
    shop, _, second = days
    third = shop.build("2017-11-30", statistics=statistics({"milk": 1}, [1, 1, 1]))
    done = promote(shop.ctx, third, by="ann")
    warnings: list[str] = []
    metadata = _what_changed(shop.ctx, done, warnings.append)
    assert (metadata["compared_with"], warnings) == (second, [])
    shop.ctx.objects.put(shop.ctx.names.release_prefix(second) + "release.json", b"{}")
    assert _what_changed(memory_shop(shop.memory, shop.query).ctx, done, warnings.append) == {}
    assert "What changed is not shown" in warnings[0]
