"""Sending a request on to MiniStack and reading its answer: hop-by-hop headers, the raw path, bodies left as they are.

What is changed in an answer, and which requests never get this far, is decided in `dynamodb.py` and `proxy.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

# Headers of one connection (RFC 9110, section 7.6.1), and those that the HTTP library writes for the body it sends.
HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "host",
        "content-length",
        "content-encoding",
    }
)


@dataclass(frozen=True)
class Answer:
    """What MiniStack answered. `headers` are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class MiniStack:
    """One MiniStack over HTTP, at `url` without a trailing slash."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=200, keepalive_timeout=60),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=600),
        )

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def forward(self, request: web.Request, body: bytes) -> web.Response:
        """The answer to a request, untouched but for the headers of the connection."""
        answer = await self._send(request, body)
        dropped = HOP - {"content-encoding", "content-length"}
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
        if request.method != "HEAD":
            kept.pop("Content-Length", None)
        return web.Response(status=answer.status, body=answer.data, headers=kept)

    async def changed(
        self, request: web.Request, body: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> web.Response:
        """The answer to a request, its JSON changed when it is a success."""
        answer = await self._send(request, body)
        data = json.dumps(change(json.loads(answer.data))).encode() if answer.status == 200 else answer.data
        kind = answer.headers.get("Content-Type", "application/x-amz-json-1.0")
        return web.Response(status=answer.status, body=data, headers={"Content-Type": kind})

    async def dynamodb(self, request: web.Request, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of another DynamoDB action, asked for with the headers of `request`; an error's JSON on failure."""
        headers = _without_hop(request.headers) | {"X-Amz-Target": f"DynamoDB_20120810.{action}"}
        async with self._session.post(self.url + "/", headers=headers, data=json.dumps(parameters)) as answer:
            found: dict[str, Any] = json.loads(await answer.read())
        return found

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None, "start() comes first"
        return self._http

    async def _send(self, request: web.Request, body: bytes) -> Answer:
        headers = _without_hop(request.headers)
        if "Content-Encoding" in request.headers:
            headers["Content-Encoding"] = request.headers["Content-Encoding"]
        async with self._session.request(
            request.method,
            URL(self.url + request.raw_path, encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


def _without_hop(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP}
