"""What may be sent again and what may not, how long is waited, and that no key is ever shown. All over real HTTP."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo import auth as auth_module
from kumo_assets.resources.kumo.auth import Auth
from kumo_assets.resources.kumo.client import open_client
from kumo_assets.resources.kumo.errors import KumoRefused, KumoUnauthorized, KumoUnreachable
from kumo_assets.resources.kumo.replies import retry_after
from kumo_assets.resources.kumo.transport import TRIES, Transport, checked_url
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok

KEY = "acme:Tr0ub4dor-and-3"


def transport(server: ScriptedServer, slept: list[float] | None = None, **fields: object) -> Transport:
    waits: list[float] = [] if slept is None else slept
    auth = fields.pop("auth", None) or Auth(KEY)
    return Transport(server.url, auth, read_seconds=1, sleep=waits.append, **fields)  # type: ignore[arg-type]


def after(failures: list[Answer], then: Answer | None = None):  # type: ignore[no-untyped-def]
    """A script that gives these answers in turn, then the last one for good."""
    left = [*failures, then or ok({"fine": True})]
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 524])
def test_a_get_is_sent_again_on(server: ScriptedServer, status: int) -> None:
    server.script = after([Answer(status), Answer(status)])
    slept: list[float] = []
    assert transport(server, slept).get("/x") == {"fine": True}
    assert len(server.asked) == 3
    assert len(slept) == 2


@pytest.mark.parametrize("status", [400, 404, 409, 422, 501, 505])
def test_a_get_is_not_sent_again_on(server: ScriptedServer, status: int) -> None:
    server.script = after([Answer(status)])
    with pytest.raises(KumoRefused, match=f"HTTP {status}"):
        transport(server).get("/x")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer", [Answer(503), Answer(429, headers={"Retry-After": "1"}), Answer(reset=True), Answer(hang=2)]
)
def test_a_post_is_sent_once_whatever_happens(server: ScriptedServer, answer: Answer) -> None:
    server.script = after([answer])
    with pytest.raises(KumoUnreachable) as raised:
        transport(server).post("/prediction_jobs", {"a": 1})
    assert len(server.asked) == 1
    assert raised.value.maybe_accepted is (answer.status != 429)


def test_a_get_ends_after_its_tries(server: ScriptedServer) -> None:
    server.script = after([], Answer(503))
    with pytest.raises(KumoUnreachable, match="HTTP 503"):
        transport(server).get("/x")
    assert len(server.asked) == TRIES


def test_retry_after_is_obeyed_in_both_forms_and_bounded(server: ScriptedServer) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    waits = [("7", 7, 7), (soon, 20, 31), ("100000", 120, 120)]
    for value, low, high in waits:
        slept: list[float] = []
        server.script = after([Answer(429, headers={"Retry-After": value})])
        transport(server, slept).get("/x")
        assert low <= slept[0] <= high
    assert retry_after("-1") is None
    assert retry_after("soon") is None
    assert retry_after("inf") is None


def test_without_retry_after_the_pauses_grow(server: ScriptedServer) -> None:
    slept: list[float] = []
    server.script = after([Answer(503)] * 4)
    transport(server, slept).get("/x")
    assert all(
        low <= pause <= high for pause, low, high in zip(slept, (0.25, 0.5, 1, 2), (0.75, 1.5, 3, 6), strict=True)
    )


def test_a_connection_that_was_never_made_was_certainly_not_accepted() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
    with pytest.raises(KumoUnreachable) as raised:
        Transport(url, Auth(KEY), sleep=lambda seconds: None).post("/x")
    assert raised.value.maybe_accepted is False


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_told_and_never_followed(server: ScriptedServer, status: int) -> None:
    with ScriptedServer() as elsewhere:
        server.script = after([Answer(status, headers={"Location": f"{elsewhere.url}/{KEY}"})])
        with pytest.raises(KumoRefused, match="not followed") as raised:
            transport(server).post("/prediction_jobs", {})
        assert elsewhere.asked == []
        assert KEY not in str(raised.value)


def test_an_answer_that_drips_for_ever_is_given_up(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_assets.resources.kumo.transport.MOST_BODY_SECONDS", 0.3)
    server.script = lambda asked: Answer(200, b'"' + b"x" * 200, drip=0.05)
    started = time.monotonic()
    with pytest.raises(KumoUnreachable, match="had not ended"):
        transport(server).post("/x")
    assert time.monotonic() - started < 5


def test_an_answer_without_end_is_given_up(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_assets.resources.kumo.transport.MOST_BYTES", 10_000)
    server.script = lambda asked: Answer(200, b"[" + b"1," * 100_000)
    with pytest.raises(KumoUnreachable, match="had not ended"):
        transport(server).post("/x")


@pytest.mark.parametrize("url", ["http://acme.kumoai.cloud/api", "ftp://x", "", "https://", "http://kumo/api"])
def test_only_https_but_for_this_machine(url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/api", "http://[::1]/api", "http://localhost/api", "https://k.example/api"]
)
def test_https_or_this_machine(url: str) -> None:
    assert str(checked_url(url)) == url


def test_a_native_apps_plain_name_only_with_its_token() -> None:
    assert checked_url("http://kumo:8888/public_api", inside_snowflake=True).host == "kumo"
    assert checked_url("http://x.y.svc.spcs.internal:8888/public_api", inside_snowflake=True)
    with pytest.raises(ConfigError):
        checked_url("http://kumo.example:8888/public_api", inside_snowflake=True)


def test_a_password_in_the_url_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        checked_url("https://user:hunter22@acme.kumoai.cloud/api")
    assert "hunter22" not in str(raised.value)


@pytest.mark.parametrize("status", [401, 403])
def test_401_and_403_are_fatal_at_once_and_say_what_to_check(server: ScriptedServer, status: int) -> None:
    server.script = after([], Answer(status, b'{"detail": "Could not validate credentials"}'))
    with pytest.raises(KumoUnauthorized, match="KUMO_API_KEY") as raised:
        transport(server).get("/x")
    assert len(server.asked) == 1
    assert "KUMO_GROUP_ID" in str(raised.value)


def test_the_key_is_in_the_header_and_nowhere_else(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = lambda asked: Answer(400, json.dumps({"detail": f"bad key {asked.headers['x-api-key']}"}).encode())
    with open_client(server.url, KEY) as client:
        shown = [repr(client), str(vars(client)), repr(client._http), repr(vars(client._http))]
        with pytest.raises(KumoRefused) as raised:
            client.get("bp-job-1")
    assert server.asked[0].headers["x-api-key"] == KEY
    assert KEY not in server.asked[0].path
    shown += [str(raised.value), repr(raised.value), caplog.text, *capsys.readouterr()]
    for text in shown:
        assert KEY not in text
        assert "Tr0ub4dor" not in text
    assert "[hidden]" in str(raised.value)


def test_rbac_ids_go_with_every_request(server: ScriptedServer) -> None:
    http = transport(server, group_id="g-1", project_id="p-1")
    http.get("/a", limit="5")
    http.post("/b", {})
    http.repeat("PATCH", "/c", k="v")
    assert [asked.query for asked in server.asked] == [
        {"limit": "5", "group_id": "g-1", "project_id": "p-1"},
        {"group_id": "g-1", "project_id": "p-1"},
        {"k": "v", "group_id": "g-1", "project_id": "p-1"},
    ]


def test_a_native_apps_token_is_read_again_once_on_401(server: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")

    def script(asked: Asked) -> Answer:
        fine = asked.headers["authorization"] == 'Snowflake Token="second-token"'
        return ok({"fine": True}) if fine else Answer(401, b'{"detail": "first-token is over"}')

    server.script = script
    http = transport(server, auth=Auth(token_file=str(file)))
    with pytest.raises(KumoUnauthorized) as raised:
        http.get("/x")
    assert "first-token" not in str(raised.value)
    assert len(server.asked) == 2
    file.write_text("second-token")
    assert http.get("/x") == {"fine": True}


def test_a_token_is_read_again_before_it_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("first-token")
    auth = Auth(token_file=str(file))
    assert auth.headers() == {"Authorization": 'Snowflake Token="first-token"'}
    file.write_text("second-token")
    assert auth.headers() == {"Authorization": 'Snowflake Token="first-token"'}
    monkeypatch.setattr(auth_module, "TOKEN_SECONDS", -1.0)
    assert auth.headers() == {"Authorization": 'Snowflake Token="second-token"'}


def test_a_token_file_that_goes_back_to_its_former_token_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth_module, "TOKEN_SECONDS", -1.0)
    file = tmp_path / "token"
    auth = Auth(token_file=str(file))
    for token in ("first-token", "second-token", "first-token"):
        file.write_text(token)
        assert auth.headers() == {"Authorization": f'Snowflake Token="{token}"'}


def test_a_token_file_with_quotation_marks_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text('"quoted-token"')
    with pytest.raises(ConfigError, match="quotation marks") as raised:
        Auth(token_file=str(file)).headers()
    assert "quoted-token" not in str(raised.value)


@pytest.mark.parametrize(
    ("key", "file", "words"),
    [
        ("", "", "no key, token file"),
        ("a:b", "f", "are set"),
        ("a:b\nc", "", "KUMO_API_KEY"),
        ("a:clé", "", "KUMO_API_KEY"),
        ("", "/no/such", "/no/such"),
    ],
)
def test_authentication_that_cannot_work_is_told_without_its_value(key: str, file: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as raised:
        Auth(key, file).headers()
    assert not key or key not in str(raised.value)


def test_ids_cannot_leave_their_place_in_a_path(server: ScriptedServer) -> None:
    server.script = lambda asked: Answer(404)
    with open_client(server.url, KEY) as client, pytest.raises(KumoRefused):
        client.get("../connectors?x=1")
    assert server.asked[0].path == "/api/v1/prediction_jobs/..%2Fconnectors%3Fx%3D1"
