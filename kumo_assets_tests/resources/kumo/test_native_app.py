"""The native app inside Snowflake: a session token by logging in, renewed as it ends; a token file; and no header at all.

Over the sandbox's Snowflake and the emulator's ingress, which lets in only what the real one would.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.errors import ConfigError, KumoAssetsError
from kumo_assets.resources import snowflake_settings as snowflake_module
from kumo_assets.resources.kumo import auth as auth_module
from kumo_assets.resources.kumo.auth import Auth
from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.errors import KumoUnauthorized, KumoUnreachable
from kumo_assets.resources.kumo.session_token import SessionToken
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok
from kumo_assets_tests.resources.kumo.world import POLL, TOKEN, World, new_release

LOGIN: dict[str, Any] = {"api_key": "", "authentication": "snowflake"}


@pytest.fixture
def snowflake(running_sandbox: SandboxHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sandbox's SNOWFLAKE_* variables, in this process too."""
    for name, value in running_sandbox.env.items():
        if name.startswith("SNOWFLAKE_"):
            monkeypatch.setenv(name, value)
    yield
    # A connection whose login failed is closed when it is collected. In the middle of a later `ast.parse` that breaks the
    # parse itself ("AST constructor recursion depth mismatch", CPython issue 106905).
    gc.collect()


def released(client: KumoClient, world: World) -> None:
    """A job from its launch to its proved table."""
    launch = world.launch(new_release(), training_job_id=client.newest_model("client_ranking").job_id)
    world.prove(client.wait(client.launch(launch), POLL), launch.table)


def test_a_session_token_that_ends_while_the_job_runs_is_renewed(
    world: World, snowflake: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.settings(token_seconds=0.8)
    world.fault({"kind": "long_run", "with": {"seconds": 2}})
    with world.client(**LOGIN) as client:
        released(client, world)
        tokens = client._http._auth._tokens
    assert len(set(tokens)) == 2
    assert {request["status"] for request in world.requests("get")} == {200, 401}
    assert len(world.jobs()) == 1
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("kumo_assets", "httpx"))]
    assert not [text for text in ours for token in tokens if token in text]


def test_a_session_token_is_renewed_before_its_hour_is_over(
    server: ScriptedServer, snowflake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = lambda asked: ok([])
    with open_client(server.url, authentication="snowflake") as client:
        client.connectors()
        client.connectors()
        clock = auth_module.time.monotonic() + auth_module.RENEW_AFTER_SECONDS
        monkeypatch.setattr(auth_module.time, "monotonic", lambda: clock)
        client.connectors()
    sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent[0] == sent[1] != sent[2]
    assert all(header.startswith('Snowflake Token="') and header.endswith('"') for header in sent)


def test_the_login_is_closed_with_the_client_and_when_the_next_one_stands(snowflake: None) -> None:
    source = SessionToken()
    source.fetch()
    first = source._open
    source.fetch()
    second = source._open
    source.close()
    assert first is not None
    assert second is not None
    assert first[1].is_closed()
    assert second[1].is_closed()


class Flaky:
    """A source of tokens that Snowflake's absence interrupts."""

    seconds, advice = auth_module.RENEW_AFTER_SECONDS, "log in"

    def __init__(self) -> None:
        self.away = False

    def fetch(self) -> str:
        if self.away:
            raise KumoUnreachable("log in", found="Snowflake is away", next="wait")
        return "the-first-token"

    def close(self) -> None:
        """Nothing is open."""


def test_a_token_that_cannot_be_renewed_is_used_while_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Flaky()
    auth = Auth(login=source)
    first, start = auth.headers(), auth_module.time.monotonic()
    source.away = True
    monkeypatch.setattr(auth_module.time, "monotonic", lambda: start + 3100)
    assert auth.headers() == first
    monkeypatch.setattr(auth_module.time, "monotonic", lambda: start + 3700)
    with pytest.raises(KumoUnreachable):
        auth.headers()


def test_a_token_that_was_refused_is_not_used_again() -> None:
    source = Flaky()
    auth = Auth(login=source)
    auth.headers()
    auth.forget()
    source.away = True
    with pytest.raises(KumoUnreachable):
        auth.headers()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"SNOWFLAKE_PASSWORD": "not-the-password"}, KumoUnauthorized, "Incorrect username or password"),
        (
            {"SNOWFLAKE_PASSWORD": "", "SNOWFLAKE_PRIVATE_KEY": "not-the-password"},
            KumoUnauthorized,
            "SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_PRIVATE_KEY: a PKCS#8 key",
        ),
        ({"SNOWFLAKE_PRIVATE_KEY": "k"}, ConfigError, "keep one"),
        ({"SNOWFLAKE_ACCOUNT": ""}, ConfigError, "SNOWFLAKE_ACCOUNT is not set"),
        ({"SNOWFLAKE_PASSWORD": ""}, ConfigError, "SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_PASSWORD"),
    ],
)
def test_a_login_that_cannot_work_names_what_to_change(
    snowflake: None, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], error: type[KumoAssetsError], words: str
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(error, match=words) as raised:
        SessionToken().fetch()
    assert "not-the-password" not in f"{raised.value!r} {raised.value.__cause__!r}"


def test_a_token_without_its_quotation_marks_is_refused(world: World) -> None:
    for header, status in ((f'Snowflake Token="{TOKEN}"', 200), (f"Snowflake Token={TOKEN}", 401)):
        answer = httpx.get(f"{world.url}/api/v1/connectors", headers={"Authorization": header}, trust_env=False)
        assert answer.status_code == status


def test_inside_a_snowflake_notebook_nothing_is_sent(world: World, server: ScriptedServer) -> None:
    with open_client(f"{world.url}/public_api", authentication="none") as client:
        assert client.connectors()
    with open_client(f"{world.url}/api", authentication="none") as client, pytest.raises(KumoUnauthorized) as raised:
        client.connectors()
    assert "public_api" in str(raised.value)
    seen: list[Asked] = []
    server.script = lambda asked: (seen.append(asked), Answer(200, b"[]"))[1]
    with open_client(server.url, authentication="none") as client:
        client.connectors()
    assert not {"authorization", "x-api-key"} & seen[0].headers.keys()


@pytest.mark.parametrize("url", ["https://acme.kumoai.cloud/api", "http://kumo.example:8888/public_api"])
def test_no_authentication_is_only_for_snowflakes_own_network(url: str) -> None:
    with pytest.raises(ConfigError, match="inside Snowflake's own network"):
        open_client(url, authentication="none")
    open_client("http://kumo-service:8888/public_api", authentication="none").close()


def test_a_session_token_does_not_travel_in_the_clear(snowflake: None) -> None:
    with pytest.raises(ConfigError, match="https"):
        open_client("http://kumo-service:8888/public_api", authentication="snowflake")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"api_key": "a:b", "authentication": "snowflake"}, "KUMO_API_KEY.* and KUMO_AUTHENTICATION=snowflake are set"),
        ({"authentication": "kerberos"}, "KUMO_AUTHENTICATION 'kerberos'"),
    ],
)
def test_one_way_to_authenticate(snowflake: None, fields: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_client("https://x.snowflakecomputing.app/api", **fields)


def test_snowflake_away_is_unreachable_and_nothing_was_accepted(
    snowflake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The connector tries a login for its whole time-out, 30 s here; one second shows the same.
    made = snowflake_module.snowflake_resource
    monkeypatch.setattr(snowflake_module, "snowflake_resource", lambda: made().model_copy(update={"login_timeout": 1}))
    monkeypatch.setenv("SNOWFLAKE_PORT", str(free_port()))
    with pytest.raises(KumoUnreachable) as raised:
        SessionToken().fetch()
    assert raised.value.maybe_accepted is False
