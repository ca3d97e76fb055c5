"""What the promotion sensor asks of S3 and ZooKeeper at each tick, counted where it leaves the process. The figures for a
hundred queries in docs/operations.md ("What the sensor asks") are made of these."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from botocore.httpsession import URLLib3Session
from kumo_sandbox.testing.releases import BUCKET, definition, new_query, shop

from kumo_assets.automation import looking
from kumo_assets.automation.looking import Before, Looks, View
from kumo_assets.config.environment import Environment
from kumo_assets.errors import ReleaseError
from kumo_assets.pointers import zookeeper_sessions
from kumo_assets.pointers.zookeeper_sessions import ZooKeeperSessions
from kumo_assets.releases.cache import ReleaseCache
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.support.in_dagster import Dagster, define
from kumo_assets_tests.support.zookeeper import wire_to


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """AWS requests of this process: "GET 304" and "LIST <folder of the environment>", say."""
    counted: Counter[str] = Counter()
    send = URLLib3Session.send

    def counting(self: Any, request: Any) -> Any:
        answer = send(self, request)
        where = urlsplit(request.url)
        prefix = parse_qs(where.query).get("prefix", [""])[0]
        folder = "releases" if "/releases/" in prefix else prefix.split("/")[1] if "/" in prefix else ""
        counted[f"LIST {folder}" if prefix else f"{request.method} {answer.status_code}"] += 1
        return answer

    monkeypatch.setattr(URLLib3Session, "send", counting)
    return counted


@pytest.fixture
def three(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Dagster]]:
    """A Dagster of three queries, each with a release that is live."""
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)
    queries = [new_query() for _ in range(3)]
    definitions = define(tmp_path / "defs", *queries)
    with dg.instance_for_test() as instance:
        found = [Dagster(shop(query=query), instance, definitions) for query in queries]
        for one in found:
            promote(one.shop.ctx, one.shop.build("2017-11-29"), by="ann")
        yield found


def test_a_quiet_query_costs_a_tick_nothing_and_wakes_by_itself(
    three: list[Dagster], sent: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking, query = three[0], three[1]
    for _ in range(3):
        ticking.tick()
    sent.clear()
    ticking.tick()
    # Each query's pointer, which S3 does not send again, and what its releases are; one listing of who has sealed.
    assert sent == {"GET 304": 3, "LIST releases": 3, "LIST .sealed": 1}
    monkeypatch.setattr(looking, "QUIET_AFTER_SECONDS", 0.0)
    sent.clear()
    for _ in range(2):
        assert ticking.tick().asset_events == []
    assert sent == {"LIST .sealed": 2}, "however many queries there are"

    # A seal is seen at the next tick.
    release = query.shop.build("2017-11-30")
    sent.clear()
    (request,) = ticking.tick().run_requests or []
    assert request.tags["kumo_assets/release"] == release
    assert sent["LIST releases"] == 1, "the others stay as they are"
    promote(query.shop.ctx, release, by="ann")
    ticking.tick()

    # What nobody announces, a hand on the pointer, is seen when the minute is over.
    other = three[2].shop
    other.build("2017-11-28")
    names = other.ctx.names
    other.edit(lambda text: text.replace(names.dynamodb_table(other.built[0]), names.dynamodb_table(other.built[1]), 1))
    monkeypatch.setattr(looking, "QUIET_LOOK_SECONDS", 0.0)
    actions = [event.metadata["action"].value for event in ticking.tick().asset_events]
    assert actions == ["hand_edit"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


BELL = datetime(2017, 12, 1, tzinfo=UTC)
LIVE = SimpleNamespace(
    pointer=SimpleNamespace(hold=None, generation=1), hand_edited=False, mark="m", version="v", move=None
)
CALM = View(None, "nothing is newer", found=LIVE)  # type: ignore[arg-type]
HELD = SimpleNamespace(
    pointer=SimpleNamespace(hold="ann", generation=1), hand_edited=False, mark="m", version="v", move=None
)


@pytest.mark.parametrize(
    ("view", "changed", "bells", "left_out"),
    [
        (CALM, {}, {"q1": BELL}, True),
        (CALM, {}, None, False),
        (CALM, {}, {"q1": BELL.replace(hour=1)}, False),
        (CALM, {"pending": ["20171201T100000.000000Z-00000000.json"]}, {"q1": BELL}, False),
        (CALM, {"mark": ""}, {"q1": BELL}, False),
        (CALM, {"failed_build": "a run"}, {"q1": BELL}, False),
        (replace(CALM, release="20171130-1a2b3c4d"), {}, {"q1": BELL}, False),
        (replace(CALM, alarms=["stale"]), {}, {"q1": BELL}, False),  # type: ignore[list-item]
        (replace(CALM, fault="S3 is away"), {}, {"q1": BELL}, False),
        (replace(CALM, found=None), {}, {"q1": BELL}, False),
        (replace(CALM, found=HELD), {}, {"q1": BELL}, False),  # type: ignore[arg-type]
    ],
    ids=["calm", "no bells", "rung", "pending", "cursor reset", "failed build", "to promote", "alarm", "fault", "none", "held"],
)  # fmt: skip
def test_only_a_query_of_which_nothing_is_wanted_is_left_out(
    view: View, changed: dict[str, Any], bells: Any, left_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    clock = Clock()

    def look(releases: Any, definition: Any, before: Before) -> View:
        asked.append(clock.now)
        return view if clock.now >= 599 else CALM

    monkeypatch.setattr(looking, "look", look)
    monkeypatch.setattr(looking, "stored_mark", lambda found: "m" if found is not None else "")
    looks, query = Looks(clock), definition("q1")
    before = Before(mark="m")
    for clock.now in (0.0, 10.0, 590.0, 599.0):
        looks.at_all(None, [query], {"q1": before}, ask_bells=lambda: {"q1": BELL})  # type: ignore[arg-type]
    asked.clear()
    clock.now = 620.0
    found = looks.at_all(None, [query], {"q1": replace(before, **changed)}, ask_bells=lambda: bells)  # type: ignore[arg-type]
    assert asked == ([] if left_out else [620.0])
    assert found["q1"].reason == "nothing is newer"
    clock.now = 681.0
    looks.at_all(None, [query], {"q1": before}, ask_bells=lambda: bells)  # type: ignore[arg-type]
    assert asked[-1:] == [681.0], "a minute after the last look"


def test_a_listing_of_the_bells_that_hangs_costs_a_tick_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "look", lambda *_: CALM)
    monkeypatch.setattr(looking, "BELL_SECONDS", 0.2)
    hangs = threading.Event()
    started = time.monotonic()
    views = Looks().at_all(None, [definition("q1")], {}, ask_bells=lambda: hangs.wait(20) and None)  # type: ignore[arg-type]
    hangs.set()
    assert views["q1"].reason == CALM.reason
    assert time.monotonic() - started < 10


@pytest.mark.zookeeper
def test_all_queries_are_read_through_one_session(aws: str, zookeeper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for _ in range(3):
        one = shop("zookeeper", zookeeper=zookeeper)
        promote(one.ctx, one.build(), by="ann")
        made.append(one)
    with wire_to(zookeeper) as wire:
        place = Environment(name="local", bucket=BUCKET, zookeeper=f"127.0.0.1:{wire.port}")
        cache = ReleaseCache(zookeeper=ZooKeeperSessions())
        for one in made * 3:
            assert one.ctx.definition is not None
            ctx = ReleaseContext.from_environment(one.ctx.definition, place, s3=one.ctx.objects.client, cache=cache)
            found = ctx.pointers.read()
            assert found is not None
            assert found.pointer.release_id == one.built[-1]
            ctx.close()
        assert wire.accepted == 1
        assert cache.zookeeper is not None
        cache.zookeeper.close()
    for one in made:
        one.ctx.close()


def test_an_ensemble_that_is_away_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zookeeper_sessions, "SECONDS", 0.3)
    sessions = ZooKeeperSessions()
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(ReleaseError, match="read the active pointer"):
            sessions.of("127.0.0.1:9", "zk://127.0.0.1:9/x")
    assert time.monotonic() - started < 3
