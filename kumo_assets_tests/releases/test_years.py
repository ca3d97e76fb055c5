"""After three years: what a person asks costs as many requests as after a few weeks, and what deletes still reads all.

Requests are counted, not timed; the seconds are in docs/benchmarks.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from kumo_sandbox.testing.history import HEX, History

from kumo_assets.pointers.document import digest_of
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.inspection import inspected
from kumo_assets.releases.moves import history, read_or_raw
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retention import plan
from kumo_assets.releases.operations.states import releases
from kumo_assets.releases.operations.status import report
from kumo_assets.releases.recent import EVERYTHING, SEVERAL
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

LATER = datetime(2026, 11, 30, 9, tzinfo=UTC)
LAST, WEEKS, YEARS = date(2026, 11, 29), 60, 1_100
ASKED: dict[str, Callable[[ReleaseContext], object]] = {
    "status of one": report,
    "status of each of several": lambda ctx: report(ctx, reach=SEVERAL),
    "releases": lambda ctx: releases(ctx, 50),
    "history": lambda ctx: history(ctx, read_or_raw(ctx), 50),
}


def years(days: int) -> tuple[MemoryShop, History]:
    """A query with so many days of releases, all but the last few retired."""
    found = memory_shop(query="many_years")
    release = found.build(LAST.isoformat(), root=HEX + "0" * 24)
    promote(found.ctx, release, by="the sensor")
    root, objects = found.ctx.names.root, found.memory.objects
    folder = found.ctx.names.release_prefix(release)
    made = {key.removeprefix(folder): data for key, (data, _) in objects.items() if key.startswith(folder)}
    told = History("many_years", LAST, days, made, objects[f"{root}active.json"][0], digest_of)
    objects.clear()
    for key, (_, _, at) in told.keys.items():
        objects[root + key] = (told.body(key, "many_years"), at)
    for key, data in told.own("many_years").items():
        objects[root + key] = (data, told.written)
    found.memory.clock.now = told.written + timedelta(hours=3)
    return found, told


@pytest.fixture(scope="module")
def after_weeks() -> MemoryShop:
    return years(WEEKS)[0]


@pytest.fixture(scope="module")
def after_years() -> MemoryShop:
    return years(YEARS)[0]


def requests(found: MemoryShop, ask: Callable[[ReleaseContext], object]) -> Counter[str]:
    """What a process that has read nothing yet asks S3 for."""
    found.memory.requests.clear()
    ask(found.another_context())
    return Counter(found.memory.requests)


@pytest.mark.parametrize("asked", ASKED)
def test_years_of_releases_cost_no_more_requests_than_weeks(
    asked: str, after_weeks: MemoryShop, after_years: MemoryShop
) -> None:
    weeks, three_years = (requests(found, ASKED[asked]) for found in (after_weeks, after_years))
    assert three_years == weeks


def test_a_status_among_many_is_a_handful_of_requests(after_years: MemoryShop) -> None:
    assert requests(after_years, ASKED["status of each of several"]).total() <= 20


def test_the_newest_releases_and_moves_are_those_of_a_look_at_everything(after_years: MemoryShop) -> None:
    ctx = after_years.another_context()
    assert releases(ctx, 50) == releases(ctx)[:50]
    assert history(ctx, read_or_raw(ctx), 50) == ctx.ledger.history()[:50]
    few, all_of_it = report(ctx, reach=SEVERAL), report(ctx, reach=EVERYTHING)
    assert few == all_of_it


def test_more_than_the_recent_ones_are_found_where_more_are_asked_for(after_weeks: MemoryShop) -> None:
    ctx = after_weeks.another_context()
    assert len(releases(ctx, 1_000)) == WEEKS
    assert len(history(ctx, read_or_raw(ctx), 1_000)) == len(ctx.ledger.history())


def test_what_is_old_and_damaged_is_shown_on_request_and_always_counts_for_retirement() -> None:
    found, told = years(WEEKS)
    old = told.release_of(40)
    root = found.ctx.names.root
    for name in ("retired.json", "retiring.json"):
        del found.memory.objects[f"{root}releases/{old}/{name}"]
    opened = f"{root}releases/{old}/opened.json"
    found.memory.objects[opened] = (b"{", found.memory.objects[opened][1])
    assert not any("opened.json" in problem for problem in report(found.another_context()).problems)
    assert any("opened.json is damaged" in one for one in report(found.another_context(), reach=EVERYTHING).problems)
    planned = plan(found.another_context())
    assert "what it protects is unknown" in planned.kept[old]


def test_the_sensors_look_for_strange_objects_costs_no_more_after_years_but_once_a_day(
    after_weeks: MemoryShop, after_years: MemoryShop
) -> None:
    def looks(found: MemoryShop, hours: float) -> Counter[str]:
        """What a look so long after the first one asks for."""
        ctx, start = found.another_context(), found.memory.clock.now
        inspected(ctx, start, 10)
        found.memory.requests.clear()
        inspected(ctx, start + timedelta(hours=hours), 10)
        return Counter(found.memory.requests)

    assert looks(after_years, 0) == Counter(), "within minutes nothing is asked"
    first = [requests(found, lambda ctx: inspected(ctx, LATER, 10)) for found in (after_weeks, after_years)]
    assert first[0] == first[1]
    assert looks(after_years, 2)["ListObjectsV2"] > looks(after_weeks, 2)["ListObjectsV2"], "the first hour is over"
    ctx, start = after_years.another_context(), after_years.memory.clock.now
    for hours in (0, 2):
        inspected(ctx, start + timedelta(hours=hours), 10)
    after_years.memory.requests.clear()
    inspected(ctx, start + timedelta(hours=20), 10)
    assert after_years.memory.requests["ListObjectsV2"] == first[1]["ListObjectsV2"], "a day is not over"


def test_what_is_old_and_strange_is_told_of_within_an_hour() -> None:
    found, told = years(WEEKS)
    key = f"{found.ctx.names.root}releases/{told.release_of(50)}/somebody's.txt"
    found.memory.objects[key] = (b"hello", told.written)
    ctx, start = found.another_context(), found.memory.clock.now
    seen = [inspected(ctx, start + timedelta(minutes=minutes), 10) for minutes in range(0, 70, 6)]
    assert seen[0] == []
    assert len(seen[-1]) == 1
    assert key in seen[-1][0]


def test_an_old_hole_in_the_ledger_stops_retirement() -> None:
    found, told = years(WEEKS)
    entry = next(key for key, (kind, age, _) in told.keys.items() if (kind, age) == ("promote", 50))
    del found.memory.objects[found.ctx.names.root + entry]
    planned = plan(found.another_context())
    assert not planned.going
    assert "has no entry of generation" in next(iter(planned.kept.values()))
