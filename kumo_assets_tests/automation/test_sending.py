"""Alarms are sent within a small time, the urgent first and then the oldest; what a chat did not take waits in the outbox.

The chat is a real HTTP server, the outbox is S3 in memory.
"""

from __future__ import annotations

import threading
import time

import pytest

from kumo_assets.automation import sending
from kumo_assets.automation.notifications import Alarm
from kumo_assets.automation.sending import Pending, Sender
from kumo_assets.gates.reporting import notify_of
from kumo_assets.releases.outbox import Outbox
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.gates.test_explain import verdict
from kumo_assets_tests.support.chat import Chat
from kumo_assets_tests.support.memory_aws import Memory

ALL = {"q": frozenset({"a", "b", "c", "d"})}


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(ObjectStore("bucket", Memory().s3()), "production")


def pending(key: str, kind: str = "stale", since: str = "2026-01-01T00:00:00Z", query: str = "q") -> Pending:
    return Pending(query, Alarm(key, kind, f"title of {key}"), since)


def kinds(chat: Chat) -> list[str]:
    return [message["kind"] for message in chat.posted]


def test_the_urgent_go_first_and_then_the_oldest(chat: Chat, outbox: Outbox) -> None:
    found = [
        pending("a", "stale", "2026-01-01T00:00:00Z"),
        pending("b", "waiting", "2025-01-01T00:00:00Z"),
        pending("c", "blocked", "2026-01-03T00:00:00Z"),
        pending("d", "hand_edit", "2026-01-02T00:00:00Z"),
    ]
    assert Sender().send(found, outbox, ALL) == {("q", key) for key in "abcd"}
    assert kinds(chat) == ["hand_edit", "blocked", "waiting", "stale"]
    assert outbox.kept() == []


@pytest.mark.parametrize("status", [302, 400, 429, 500])
def test_what_a_chat_did_not_take_is_kept_and_sent_by_a_later_tick_once(
    chat: Chat,
    outbox: Outbox,
    status: int,
) -> None:
    chat.status = status
    sender = Sender()
    assert sender.send([pending("a")], outbox, ALL) == set()
    [kept] = outbox.kept("q")
    assert (kept.alarm.title, kept.alarm.since) == ("title of a", "2026-01-01T00:00:00Z")
    assert sender.send([pending("a")], outbox, ALL) == set()
    assert len(outbox.kept()) == 1, "written down once"
    chat.status, chat.posted = 200, []
    assert sender.send([pending("a")], outbox, ALL) == {("q", "a")}
    assert outbox.kept() == []
    assert kinds(chat) == ["stale"]


def test_what_a_run_could_not_send_is_sent_by_the_sensor_also_while_its_query_cannot_be_looked_at(
    chat: Chat,
    outbox: Outbox,
) -> None:
    from kumo_assets.config.names import QueryNames

    store = ReleaseStore(QueryNames("production", "q1", "bucket"), outbox.objects)
    chat.status = 503
    notify_of("q1", [verdict("volume", "error")], store)
    [kept] = outbox.kept("q1")
    assert kept.alarm.kind == "blocked"
    chat.status, chat.posted = 200, []
    assert Sender().send([], outbox, {"another": None}) == set(), "of another code location"
    assert Sender().send([], outbox, {"q1": None}) == {("q1", kept.alarm.key)}
    assert kinds(chat) == ["blocked"]
    assert outbox.kept() == []


def test_what_is_over_before_it_could_be_sent_is_forgotten_and_what_cannot_be_looked_at_is_not(
    chat: Chat,
    outbox: Outbox,
) -> None:
    chat.status = 503
    sender = Sender()
    sender.send([pending("a")], outbox, ALL)
    sender.send([], outbox, {"q": None})
    assert len(outbox.kept()) == 1
    sender.send([], outbox, {"q": frozenset()})
    assert outbox.kept() == []


def test_a_chat_that_swallows_packets_costs_a_tick_a_small_time_and_what_a_late_thread_sent_is_known(
    chat: Chat,
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "SEND_SECONDS", 1.0)
    chat.hang = threading.Event()
    sender = Sender()
    started = time.monotonic()
    many = [pending(f"{number}") for number in range(12)]
    assert sender.send(many, outbox, {"q": frozenset(item.alarm.key for item in many)}) == set()
    assert time.monotonic() - started < 4
    assert len(outbox.kept()) == 12
    # A thread that is slower than its tick: the chat answers after the tick has gone on.
    monkeypatch.setattr(sending, "SEND_SECONDS", 20.0)
    chat.hang = threading.Event()
    assert sender.send([pending("0")], None, ALL, seconds=0.1) == set()
    chat.hang.set()
    assert sender.send([], None, ALL, seconds=20) == {("q", "0")}


def test_no_secret_is_written_down(chat: Chat, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2hunter2")
    chat.status = 503
    alarm = Alarm("a", "no_release", "login with hunter2hunter2 failed", ("see hunter2hunter2",))
    Sender().send([Pending("q", alarm, "2026-01-01T00:00:00Z")], outbox, ALL)
    [kept] = outbox.kept()
    assert (kept.alarm.title, kept.alarm.lines) == ("login with *** failed", ("see ***",))


def test_an_object_that_is_no_alarm_stops_no_other(chat: Chat, outbox: Outbox) -> None:
    outbox.objects.put(f"{outbox.prefix}q/note.txt", b"remember the milk")
    assert Sender().send([pending("a")], outbox, ALL) == {("q", "a")}


def test_without_a_webhook_the_log_has_it_once(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    assert Sender().send([pending("a")], outbox, ALL) == {("q", "a")}
    assert "title of a" in caplog.text
    assert outbox.kept() == []
