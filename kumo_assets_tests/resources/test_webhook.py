"""The one hook to people, against a real HTTP server: what is sent, what is not, and that its failure fails nothing."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from kumo_assets.redaction import without_secrets
from kumo_assets.resources.webhook import VARIABLE, notify
from kumo_assets_tests.support.chat import SECRET, Chat


def test_a_message_arrives_in_slacks_form(chat: Chat) -> None:
    assert notify("q1", "blocked", "release r is blocked", ["BLOCKS  score_drift: PSI 0.3 <of> a & b"])
    [message] = chat.posted
    assert message == {
        "text": "*q1: release r is blocked*\nBLOCKS  score_drift: PSI 0.3 &lt;of&gt; a &amp; b",
        "query": "q1",
        "kind": "blocked",
    }
    assert chat.paths == [f"/services/{SECRET}"]


def test_without_an_address_the_words_are_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not notify("q1", "warned", "something", ["a line"])
    assert "q1: something a line" in caplog.text


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_chat_that_refuses_is_told_of_and_fails_nothing(
    chat: Chat, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    chat.status = status
    assert not notify("q1", "blocked", "title")
    assert f"the webhook answered {status}" in caplog.text


def test_a_redirect_is_not_followed(chat: Chat) -> None:
    chat.status, chat.headers = 302, {"Location": "/elsewhere"}
    assert not notify("q1", "blocked", "title")
    assert chat.paths == [f"/services/{SECRET}"]


def test_a_chat_that_hangs_is_given_up(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_assets.resources.webhook.SECONDS", 0.3)
    chat.hang = threading.Event()
    assert not notify("q1", "blocked", "title")


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{SECRET}",
        f"http://user:{SECRET}@127.0.0.1:1/",
        f"http://chat.invalid/{SECRET}",
        f"file:///tmp/{SECRET}",
        f"http://[{SECRET}",
        f"https://127.0.0.1:1/{SECRET}",
        SECRET,
    ],
    ids=["refused", "userinfo", "plain-http", "file", "no-address", "https-refused", "no-scheme"],
)
def test_the_address_is_in_no_log_whatever_goes_wrong(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(VARIABLE, url)
    assert not notify("q1", "blocked", "title")
    assert "title" in caplog.text
    assert SECRET not in caplog.text


def test_the_address_is_in_no_log_when_all_goes_well(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert notify("q1", "blocked", "title")
    assert SECRET not in caplog.text


def test_secrets_of_this_process_are_not_sent(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "planted-password")
    monkeypatch.setenv("KUMO_API_KEY", "tenant-name:planted-key")
    notify("q1", "blocked", "login with planted-password failed", ["key planted-key", f"posted to {chat.url}"])
    sent = json.dumps(chat.posted)
    assert "planted" not in sent
    assert "***" in sent


def test_a_long_message_is_cut_to_what_a_chat_takes(chat: Chat) -> None:
    assert notify("q1", "blocked", "title", ["x" * 10_000])
    assert len(chat.posted[0]["text"]) == 4000


def test_short_values_are_no_secrets() -> None:
    assert without_secrets("a run", {"SOME_TOKEN": "run"}) == "a run"
