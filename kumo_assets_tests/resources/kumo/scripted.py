"""A real HTTP server on loopback that answers what a test tells it to, byte for byte: for answers no emulator would give.

The vendor's behaviour as a whole is the emulator's (`world.py`); nothing here knows Kumo.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Answer:
    """What to send. `reset` drops the connection instead, `hang` seconds pass before anything, `drip` between bytes; `cut`
    closes the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b"null"
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    hang: float = 0
    drip: float = 0
    cut: int | None = None


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def ok(body: Any, **headers: str) -> Answer:
    return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


Script = Callable[[Asked], Answer]


class ScriptedServer:
    """`script` answers every request; `asked` is what came in."""

    def __init__(self, script: Script = lambda asked: Answer()) -> None:
        self.script = script
        self.asked: list[Asked] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in two packets, with Nagle on, cost 40 ms each.
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: a test that fails shows what it asked."""

            def _serve(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                asked = Asked(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                    _parsed(raw) if raw else None,
                )
                owner.asked.append(asked)
                answer = owner.script(asked)
                time.sleep(answer.hang)
                if answer.reset:
                    # Linger 0: the peer gets a reset, as from a server that crashed.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                try:
                    if answer.drip:
                        for byte in answer.body:
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            time.sleep(answer.drip)
                    elif self.command != "HEAD":
                        self.wfile.write(answer.body[: answer.cut])
                        self.close_connection = self.close_connection or answer.cut is not None
                except OSError:
                    self.close_connection = True  # the client has given up, as it should

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def finish(self) -> None:
                try:
                    super().finish()
                except (OSError, ValueError):
                    self.close_connection = True

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that goes away is no error of the server's."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/api"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
