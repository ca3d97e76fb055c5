"""What the sensor reports when something is in its way: a query that cannot be looked at, a chat that is down, a look that
hangs, a build that ended without a release. Real ticks; S3 and DynamoDB on MiniStack, the chat a real HTTP server."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from kumo_sandbox.testing.releases import new_query, shop

from kumo_assets.automation import looking, promotion_sensor, sending
from kumo_assets.automation.builds import failed_builds
from kumo_assets.cli.look import _page
from kumo_assets.errors import ObjectStoreError
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.status import report
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.support.chat import Chat
from kumo_assets_tests.support.in_dagster import Dagster, define, two


def kinds(chat: Chat) -> list[str]:
    return sorted(message["kind"] for message in chat.posted)


def edit_by_hand(dagster: Dagster, first: str, second: str) -> None:
    names = dagster.shop.ctx.names
    dagster.shop.edit(lambda text: text.replace(names.dynamodb_table(second), names.dynamodb_table(first), 1))


def test_a_query_that_cannot_be_looked_at_has_its_alarms_sent_and_one_of_its_own(
    dagster: Dagster, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two(dagster)
    edit_by_hand(dagster, first, second)
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "list", _refused)
        dagster.tick()
        assert kinds(chat) == ["hand_edit"], "one look that failed is no news"
        dagster.tick()
        dagster.tick()
        assert kinds(chat) == ["cannot_look", "hand_edit"]
    dagster.tick()
    assert kinds(chat) == ["cannot_look", "hand_edit"], "what was told is not told again"


def test_an_alarm_that_a_chat_refused_is_sent_although_it_took_that_of_another_new_query(
    dagster: Dagster, chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shops = [dagster.shop, shop(query=new_query())]
    several = Dagster(dagster.shop, dagster.instance, define(tmp_path / "both", *(one.query for one in shops)))
    for one in shops:
        two(replace(several, shop=one))
        one.edit(lambda text: re.sub(r'("promoted":\s*{\s*"at":\s*")\d{4}', r"\g<1>2020", text))
    monkeypatch.setattr(ObjectStore, "list", _refused)
    chat.statuses = [200, 200, 200, 503]
    several.tick()
    assert kinds(chat) == ["hand_edit", "hand_edit", "stale", "stale"]
    chat.posted.clear()
    several.tick()
    assert "stale" in kinds(chat)


def _refused(self: ObjectStore, prefix: str, **_: Any) -> Any:
    """S3 that lists no releases."""
    if prefix.endswith("/.alarms/"):
        return iter(())
    raise ObjectStoreError("list", to=prefix, found="AccessDenied", next="grant it")


def test_an_error_of_any_kind_stays_its_querys(dagster: Dagster, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RecursionError("too deep")

    monkeypatch.setattr(looking, "next_promotion", broken)
    two(dagster)
    dagster.tick()
    found = dagster.tick()
    assert "RecursionError: too deep" in found.skip_reason.skip_message  # type: ignore[union-attr]
    assert kinds(chat) == ["cannot_look"]


@pytest.mark.parametrize("ask", ["mark_dead_runs", "failed_builds"])
def test_a_look_at_dagsters_runs_that_fails_stops_no_promotion(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("a run of an unknown kind")

    monkeypatch.setattr(promotion_sensor, ask, broken)
    dagster.shop.build("2017-11-29")
    assert len(dagster.tick().run_requests) == 1


def test_an_alarm_that_cannot_be_judged_stops_no_promotion(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ObjectStoreError("list the ledger", to="s3://b/l", found="503", next="try again")

    monkeypatch.setattr(looking, "alarms_of_releases", broken)
    release = dagster.shop.build("2017-11-29")
    [request] = dagster.tick().run_requests
    assert request.tags["kumo_assets/release"] == release
    assert request.tags["dagster/priority"] == "10"


def test_a_chat_that_is_down_delays_no_promotion_and_status_shows_what_waits(
    dagster: Dagster, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_SECONDS", 0.5)
    first, second = two(dagster)
    edit_by_hand(dagster, first, second)
    chat.hang = threading.Event()
    dagster.tick()
    [waiting] = report(dagster.shop.ctx).unsent
    assert waiting["kind"] == "hand_edit"
    assert "unsent    hand_edit since" in _page(report(dagster.shop.ctx))
    chat.hang.set()
    chat.posted.clear()
    dagster.tick()
    assert kinds(chat) == ["hand_edit"]
    assert report(dagster.shop.ctx).unsent == []


@dataclass(frozen=True)
class Named:
    """All that turns need of a query's definition."""

    name: str


def test_a_look_that_hangs_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.5)
    hangs, asked = threading.Event(), list[str]()

    def look(releases: Any, definition: Named, before: Any) -> looking.View:
        asked.append(definition.name)
        if definition.name == "hangs":
            hangs.wait(20)
        return looking.View(None, "looked at")

    monkeypatch.setattr(looking, "look", look)
    looks, queries = looking.Looks(), [Named("hangs"), Named("good")]
    for _ in range(2):
        started = time.monotonic()
        views = looks.at_all(None, queries, {})  # type: ignore[arg-type]
        assert time.monotonic() - started < 5
        assert "takes longer" in views["hangs"].fault
        assert views["good"].reason == "looked at"
    assert asked.count("hangs") == 1, "it is not asked a second time while the first look hangs"
    hangs.set()
    deadline = time.monotonic() + 20
    while looks.at_all(None, queries, {})["hangs"].fault:  # type: ignore[arg-type]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_queries_that_a_tick_has_no_time_for_are_the_first_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.8)
    monkeypatch.setattr(looking, "AT_ONCE", 1)

    def look(releases: Any, definition: Named, before: Any) -> looking.View:
        time.sleep(0.55)
        return looking.View(None, "looked at")

    monkeypatch.setattr(looking, "look", look)
    looks, queries = looking.Looks(), [Named(name) for name in "abcd"]
    seen = set()
    for _ in range(5):
        views = looks.at_all(None, queries, {})  # type: ignore[arg-type]
        assert not any(view.fault for view in views.values()), "one that began late does not take long"
        seen |= {name for name, view in views.items() if not view.skipped}
        time.sleep(0.6)
    assert seen == set("abcd")


DAY = "2017-12-05"


def scheduled(dagster: Dagster, status: dg.DagsterRunStatus, partition: str = DAY, **tags: str) -> str:
    query = dagster.shop.query
    own = {
        "kumo_assets/query": query,
        "dagster/schedule_name": f"{query}_daily_schedule",
        "dagster/partition": partition,
    }
    return create_run_for_test(
        dagster.instance,
        job_name=f"{query}_daily",
        status=status,
        tags=own | {name.replace("__", "/"): value for name, value in tags.items()},
    ).run_id


def test_a_scheduled_build_that_ended_without_a_release_is_an_alarm_once(dagster: Dagster, chat: Chat) -> None:
    two(dagster)
    scheduled(dagster, dg.DagsterRunStatus.FAILURE)
    dagster.tick()
    dagster.tick()
    [message] = chat.posted
    assert message["kind"] == "no_release"
    assert f"kumo-assets materialize {dagster.shop.query} --partition {DAY}" in message["text"]


@pytest.fixture
def quiet(dagster: Dagster, chat: Chat) -> Iterator[Dagster]:
    yield dagster
    dagster.tick()
    assert chat.posted == []


def test_a_build_that_was_retried_or_made_in_another_way_or_blocked_is_none(quiet: Dagster) -> None:
    query = quiet.shop.query
    failed = dg.DagsterRunStatus.FAILURE
    scheduled(quiet, failed)
    assert query in failed_builds(quiet.instance, [query])
    scheduled(quiet, failed, dagster__will_retry="true")
    assert failed_builds(quiet.instance, [query]) == {}, "Dagster is about to retry it"
    scheduled(quiet, dg.DagsterRunStatus.STARTED)
    assert failed_builds(quiet.instance, [query]) == {}, "it is retried"
    scheduled(quiet, dg.DagsterRunStatus.CANCELED, "2017-12-06")
    assert failed_builds(quiet.instance, [query])[query].partition == "2017-12-06"
    scheduled(quiet, dg.DagsterRunStatus.SUCCESS, "2017-12-06")
    assert failed_builds(quiet.instance, [query]) == {}
    scheduled(quiet, failed, "2017-12-07")
    quiet.shop.build("2017-12-07")  # by a person
    promote(quiet.shop.ctx, None, by="ann")
    quiet.tick()
    blocked = quiet.shop.ctx.store.opened(quiet.shop.build("2017-12-08", failed="volume", seal=False))
    assert blocked is not None
    scheduled(quiet, failed, "2017-12-08", kumo_assets__root_run=blocked.root_run_id)
    assert failed_builds(quiet.instance, [query])[query].root_run_id == blocked.root_run_id
