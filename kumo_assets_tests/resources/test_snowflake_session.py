"""What a session asks Snowflake for at its login, as a server sees it: no account's or user's parameter changes our SQL."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.resources.snowflake import connect
from kumo_assets.resources.snowflake_settings import snowflake_resource

# What Snowflake answers to a wrong password: the login was read, and ends there.
REFUSED = {
    "data": {"nextAction": None},
    "code": "390100",
    "message": "Incorrect username or password was specified.",
    "success": False,
    "headers": None,
}


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The bodies of the logins at a server that SNOWFLAKE_* points at."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path.startswith("/session/v1/login-request"):
                seen.append(json.loads(body)["data"])
            answer = json.dumps(REFUSED).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    settings = {"ACCOUNT": "a", "USER": "u", "PASSWORD": "p", "HOST": "127.0.0.1", "PROTOCOL": "http"}
    for name, value in (settings | {"PORT": str(server.server_port)}).items():
        monkeypatch.setenv(f"SNOWFLAKE_{name}", value)
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


def test_parameters_that_would_change_our_sql_are_set_at_the_login(logins: list[dict[str, Any]]) -> None:
    resource = snowflake_resource().process_config_and_initialize()
    with pytest.raises(WarehouseError, match="Incorrect username or password"), connect(resource):
        pass
    asked = logins[0]["SESSION_PARAMETERS"]
    wanted = {
        "QUERY_TAG": "kumo_assets",
        # What a dead worker left ends by itself: in 5 minutes, and after 4 hours at the latest.
        "ABORT_DETACHED_QUERY": True,
        "STATEMENT_TIMEOUT_IN_SECONDS": 14_400,
        "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
        "TIMESTAMP_INPUT_FORMAT": "AUTO",
        "TIMEZONE": "UTC",
    }
    assert {name: asked.get(name) for name in wanted} == wanted


KEY = {"SNOWFLAKE_ACCOUNT": "acme", "SNOWFLAKE_USER": "svc"}


@pytest.mark.parametrize(
    ("secrets", "fields"),
    [
        ({"SNOWFLAKE_PRIVATE_KEY_PATH": "/keys/rsa.p8"}, {"private_key_path"}),
        ({"SNOWFLAKE_PRIVATE_KEY": "PEM", "SNOWFLAKE_PRIVATE_KEY_PASSWORD": "x"}, {"private_key"}),
        ({"SNOWFLAKE_PASSWORD": "x"}, {"password"}),
        ({"SNOWFLAKE_AUTHENTICATOR": "externalbrowser"}, set()),
        ({}, {"password"}),
    ],
)
def test_a_key_a_password_or_an_authenticator_alone_logs_in(secrets: dict[str, str], fields: set[str]) -> None:
    resource = snowflake_resource(KEY | secrets)
    told = {name for name in ("password", "private_key", "private_key_path") if getattr(resource, name)}
    assert told == fields


def test_two_secrets_at_once_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="SNOWFLAKE_PASSWORD and SNOWFLAKE_PRIVATE_KEY_PATH are set"):
        snowflake_resource(KEY | {"SNOWFLAKE_PASSWORD": "x", "SNOWFLAKE_PRIVATE_KEY_PATH": "/keys/rsa.p8"})


TOKEN = "planted-token-0123456789"


@pytest.mark.parametrize(
    ("authenticator", "sent"),
    [("oauth", "OAUTH"), ("PROGRAMMATIC_ACCESS_TOKEN", "PROGRAMMATIC_ACCESS_TOKEN")],
)
@pytest.mark.parametrize("kept", ["variable", "file"])
def test_a_token_reaches_snowflake(
    logins: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    authenticator: str,
    sent: str,
    kept: str,
) -> None:
    monkeypatch.delenv("SNOWFLAKE_PASSWORD")
    monkeypatch.setenv("SNOWFLAKE_AUTHENTICATOR", authenticator)
    if kept == "file":
        (tmp_path / "token").write_text(TOKEN)
        monkeypatch.setenv("SNOWFLAKE_TOKEN_FILE_PATH", str(tmp_path / "token"))
    else:
        monkeypatch.setenv("SNOWFLAKE_TOKEN", TOKEN)
    resource = snowflake_resource()
    assert TOKEN not in repr(resource)
    with pytest.raises(WarehouseError) as refused, connect(resource.process_config_and_initialize()):
        pass
    assert (logins[0]["AUTHENTICATOR"], logins[0]["TOKEN"]) == (sent, TOKEN)
    assert "SNOWFLAKE_TOKEN" in refused.value.next
    assert "PASSWORD" not in refused.value.next
    assert TOKEN not in str(refused.value)


def test_a_token_that_is_not_set_fails_by_its_name() -> None:
    resource = snowflake_resource(KEY | {"SNOWFLAKE_AUTHENTICATOR": "oauth"})
    with pytest.raises(Exception, match="SNOWFLAKE_TOKEN"):
        resource.process_config_and_initialize()


def test_a_token_of_no_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="set SNOWFLAKE_AUTHENTICATOR to one of: OAUTH, PROGRAMMATIC_ACCESS_TOKEN"):
        snowflake_resource(KEY | {"SNOWFLAKE_TOKEN": TOKEN})


def key_pair(password: bytes | None) -> bytes:
    kind = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind)


@pytest.mark.parametrize("password", [None, "open sesame"])
def test_a_key_pair_logs_in_encrypted_or_not(
    logins: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str | None
) -> None:
    path = tmp_path / "rsa.p8"
    path.write_bytes(key_pair(password.encode() if password else None))
    monkeypatch.delenv("SNOWFLAKE_PASSWORD")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(path))
    if password:
        monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSWORD", password)
    with pytest.raises(WarehouseError), connect(snowflake_resource().process_config_and_initialize()):
        pass
    assert logins[0]["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert logins[0]["TOKEN"].count(".") == 2


@pytest.mark.parametrize(
    "content", [b"no key at all", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None]
)
def test_a_key_that_cannot_be_read_is_our_error_with_what_to_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "rsa.p8"
    if content is not None:
        path.write_bytes(content)
    for name, value in (KEY | {"SNOWFLAKE_PRIVATE_KEY_PATH": str(path)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SNOWFLAKE_PASSWORD", raising=False)
    with pytest.raises(WarehouseError) as caught, connect(snowflake_resource().process_config_and_initialize()):
        pass
    assert "PKCS#8" in caught.value.next
    assert "\n" not in str(caught.value)


def test_a_workloads_identity_reaches_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"SNOWFLAKE_AUTHENTICATOR": "WORKLOAD_IDENTITY", "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "OIDC"}
    for name, value in (KEY | settings | {"SNOWFLAKE_TOKEN": TOKEN}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SNOWFLAKE_PASSWORD", raising=False)
    given = snowflake_resource().process_config_and_initialize()._connection_args
    assert (given["authenticator"], given["workload_identity_provider"], given["token"]) == (
        "WORKLOAD_IDENTITY",
        "OIDC",
        TOKEN,
    )
