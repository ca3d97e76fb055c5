"""What a session asks Snowflake for at its login, as a server sees it: no account's or user's parameter changes our SQL."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.resources.snowflake import connect, snowflake_resource

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
    threading.Thread(target=server.serve_forever, daemon=True).start()
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
