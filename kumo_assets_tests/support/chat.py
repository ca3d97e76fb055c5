"""A chat's webhook that people are told through: a real HTTP server, and what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kumo_assets.resources.webhook import VARIABLE

SECRET = "T0001-B0002-planted-secret"


@dataclass
class Chat:
    """A chat's webhook: what was posted, and how it answers: with `statuses` first, with `status` after them."""

    url: str
    posted: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.paths.append(self.path)
            found.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if found.hang is not None:
                found.hang.wait(20)
            self.send_response(found.statuses.pop(0) if found.statuses else found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Chat(f"http://127.0.0.1:{server.server_port}/services/{SECRET}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv(VARIABLE, found.url)
    yield found
    if found.hang is not None:
        found.hang.set()
    server.shutdown()
    server.server_close()
    thread.join()
