"""The proxy process: `python -m kumo_sandbox.aws.proxy`. Streams to MiniStack; adds refused credentials, AWS's import
behaviour and warm throughput, and faults on demand (`/_sandbox/...`). Everything else passes through untouched.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
from aiohttp import web
from botocore.config import Config

from kumo_sandbox.aws.faults import FIELDS, Faults, error_body
from kumo_sandbox.aws.imports import Imports, fingerprint, shadow
from kumo_sandbox.aws.signatures import refusal, signed_service
from kumo_sandbox.aws.warm import Warm

_HOP = {
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
# What is left free for MiniStack's own files and the other parts.
SPARE_BYTES = 16 * 2**20


class Proxy:
    """One MiniStack, seen as AWS would be."""

    def __init__(self, target: str, access_key: str, secret_key: str, state: Path | None = None) -> None:
        self.target = target
        self.access_key = access_key
        self.secret_key = secret_key
        self.state = state
        self.faults = Faults()
        self.imports = Imports(state / "aws-imports.json" if state is not None else None)
        self.warm = Warm(state / "aws-warm.json" if state is not None else None)
        self.importing = asyncio.Lock()
        self.calls: dict[str, int] = {}
        self.http: aiohttp.ClientSession | None = None

    async def start(self, app: web.Application) -> None:
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=200, keepalive_timeout=60),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=600),
        )

    async def stop(self, app: web.Application) -> None:
        if self.http is not None:
            await self.http.close()

    # ---- requests

    async def handle(self, request: web.Request) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target", "")
        service = "dynamodb" if target.startswith("DynamoDB") else signed_service(request)
        operation = target.rpartition(".")[2] if target else _s3_operation(request)
        body = await request.read()
        self.calls[f"{service}.{operation}"] = self.calls.get(f"{service}.{operation}", 0) + 1
        refusal = self._refused(request, service, body)
        if refusal is not None:
            return refusal
        # Only a fault looks into bodies; without one, megabytes are not decoded.
        fault = (
            self.faults.take(service, operation, request.path_qs + body[:20_000].decode("latin-1"))
            if self.faults.all
            else None
        )
        if fault is not None:
            if fault.delay:
                await asyncio.sleep(fault.delay)
            if fault.cut == "before":
                return _cut(request)
            if fault.status:
                text, kind = error_body(service, fault.code or "InternalServerError", "injected by the sandbox")
                return web.Response(status=fault.status, body=text, headers={"Content-Type": kind})
        full = self._disk_is_full(request, service, operation, len(body))
        if full is not None:
            return full
        special = {
            "ImportTable": self._import,
            "DescribeImport": self._described,
            "ListImports": self._listed,
            "UpdateTable": self._table_changed,
            "DescribeTable": self._table_described,
        }
        answer = await (special.get(operation, self._forward) if service == "dynamodb" else self._forward)(
            request, body
        )
        if fault is not None and fault.cut == "after":
            return _cut(request)
        return answer

    async def _forward(self, request: web.Request, body: bytes, raw: bool = False) -> Any:
        assert self.http is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        if "Content-Encoding" in request.headers:
            headers["Content-Encoding"] = request.headers["Content-Encoding"]
        from yarl import URL

        async with self.http.request(
            request.method,
            URL(self.target + request.raw_path, encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
        ) as answer:
            data = await answer.read()
            if raw:
                return answer.status, dict(answer.headers), data
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in _HOP - {"content-encoding", "content-length"}
            }
            if request.method != "HEAD":
                kept.pop("Content-Length", None)
            return web.Response(status=answer.status, body=data, headers=kept)

    # ---- ImportTable

    async def _import(self, request: web.Request, body: bytes) -> web.Response:
        # One at a time: of two calls with one token at once, AWS starts one import and answers both with it.
        async with self.importing:
            return await self._import_once(request, body)

    async def _import_once(self, request: web.Request, body: bytes) -> web.Response:
        wanted = json.loads(body)
        known = self.imports.under(wanted.get("ClientToken", ""))
        if known is not None:
            if known.fingerprint != fingerprint(wanted):
                return _error(
                    "dynamodb",
                    400,
                    "IdempotentParameterMismatchException",
                    "The client token was used with other parameters.",
                )
            replay = await self._describe(request, known.arn)
            if replay is not None:
                return replay
            self.imports.forget(known)
        sent, abandoned = await asyncio.to_thread(shadow, self._s3(), wanted)

        def started(answer: dict[str, Any]) -> dict[str, Any]:
            self.imports.remember(wanted, answer["ImportTableDescription"]["ImportArn"], abandoned)
            return self._corrected(answer)

        return await self._changed(request, json.dumps(sent).encode(), started)

    async def _described(self, request: web.Request, body: bytes) -> web.Response:
        return await self._changed(request, body, self._corrected)

    def _corrected(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"ImportTableDescription": self.imports.corrected(answer["ImportTableDescription"])}

    async def _listed(self, request: web.Request, body: bytes) -> web.Response:
        """MiniStack's page token is a short number; AWS's model, which botocore checks, wants at least 112 characters."""
        return await self._changed(
            request,
            body,
            lambda answer: answer | ({"NextToken": answer["NextToken"].zfill(112)} if "NextToken" in answer else {}),
        )

    # ---- warm throughput

    async def _table_changed(self, request: web.Request, body: bytes) -> web.Response:
        wanted = json.loads(body).get("WarmThroughput")

        def told(answer: dict[str, Any]) -> dict[str, Any]:
            table = answer["TableDescription"]
            if wanted:
                self.warm.ask(wanted, table["TableArn"])
            return answer | {"TableDescription": self.warm.told(table)}

        return await self._changed(request, body, told)

    async def _table_described(self, request: web.Request, body: bytes) -> web.Response:
        return await self._changed(request, body, lambda answer: answer | {"Table": self.warm.told(answer["Table"])})

    async def _changed(
        self, request: web.Request, body: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> web.Response:
        """MiniStack's answer, its JSON changed when it is a success."""
        status, headers, data = await self._forward(request, body, raw=True)
        if status == 200:
            data = json.dumps(change(json.loads(data))).encode()
        return web.Response(
            status=status,
            body=data,
            headers={"Content-Type": headers.get("Content-Type", "application/x-amz-json-1.0")},
        )

    async def _describe(self, request: web.Request, arn: str) -> web.Response | None:
        """What DescribeImport says of an import; None when MiniStack does not know it."""
        assert self.http is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["X-Amz-Target"] = "DynamoDB_20120810.DescribeImport"
        async with self.http.post(self.target + "/", headers=headers, data=json.dumps({"ImportArn": arn})) as answer:
            found = json.loads(await answer.read())
        if "ImportTableDescription" not in found:
            return None
        return web.json_response(self._corrected(found), content_type="application/x-amz-json-1.0")

    def _s3(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.target,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    # ---- disk

    def _disk_is_full(self, request: web.Request, service: str, operation: str, size: int) -> web.Response | None:
        """What is answered when the sandbox's disk has no room: MiniStack would say 200 and keep nothing.

        507 is no status an AWS SDK tries again.
        """
        if self.state is None or (service, operation) not in (("s3", "PutObject"), ("dynamodb", "ImportTable")):
            return None
        free = shutil.disk_usage(self.state).free
        if free > 2 * size + SPARE_BYTES:
            return None
        return _error(
            service,
            507,
            "InsufficientStorage",
            f"The sandbox's disk is full: {free // 2**20} MB are free under {self.state}. Free some, and try again.",
        )

    # ---- credentials

    def _refused(self, request: web.Request, service: str, body: bytes) -> web.Response | None:
        """None for a request signed with the sandbox's credentials; else what AWS answers."""
        found = refusal(request, service, body, self.access_key, self.secret_key)
        return None if found is None else _error(service, *found)

    # ---- control

    async def control_faults(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            specs = await request.json()
            try:
                self.faults.add(specs if isinstance(specs, list) else [specs])
            except TypeError as error:
                return web.json_response({"error": f"{error}; known fields are {', '.join(FIELDS)}"}, status=400)
        elif request.method == "DELETE":
            self.faults.clear()
        return web.json_response([vars(fault) for fault in self.faults.all])

    async def control_calls(self, request: web.Request) -> web.Response:
        """How often each operation was asked for since the last DELETE: benchmarks compare calls."""
        if request.method == "DELETE":
            self.calls.clear()
        return web.json_response(self.calls)

    async def control_health(self, request: web.Request) -> web.Response:
        """That this process answers. Whether MiniStack behind it does is MiniStack's own health."""
        return web.json_response({"ok": True})


def _error(service: str, status: int, code: str, message: str) -> web.Response:
    text, kind = error_body(service, code, message)
    return web.Response(status=status, body=text, headers={"Content-Type": kind})


def _cut(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _s3_operation(request: web.Request) -> str:
    name = request.path.lstrip("/").partition("/")[2]
    if request.method == "GET" and not name:
        return "ListObjectsV2"
    return {
        "GET": "GetObject",
        "PUT": "PutObject",
        "HEAD": "HeadObject",
        "DELETE": "DeleteObject",
        "POST": "PostObject",
    }.get(request.method, request.method)


def application(proxy: Proxy) -> web.Application:
    app = web.Application(client_max_size=6 * 1024**3)
    app.on_startup.append(proxy.start)
    app.on_cleanup.append(proxy.stop)
    app.router.add_route("*", "/_sandbox/faults", proxy.control_faults)
    app.router.add_route("*", "/_sandbox/calls", proxy.control_calls)
    app.router.add_get("/_sandbox/health", proxy.control_health)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    return app


def main() -> None:
    """Serve until SIGTERM."""
    proxy = Proxy(
        os.environ["KUMO_SANDBOX_MINISTACK_URL"],
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        Path(os.environ["KUMO_SANDBOX_AWS_STATE"]),
    )
    web.run_app(
        application(proxy),
        host="127.0.0.1",
        port=int(os.environ["KUMO_SANDBOX_AWS_PORT"]),
        print=None,
        access_log=None,
        keepalive_timeout=75,
    )


if __name__ == "__main__":
    main()
