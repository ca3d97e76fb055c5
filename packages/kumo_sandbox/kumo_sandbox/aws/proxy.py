"""The proxy process before MiniStack: `python -m kumo_sandbox.aws.proxy`.

Every request is checked here: credentials, faults on demand (`/_sandbox/...`), a full disk. The DynamoDB actions that AWS
answers differently are in `dynamodb.py`; all other requests pass through `upstream.py` untouched.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from aiohttp import web

from kumo_sandbox.aws.dynamodb import DynamoDB
from kumo_sandbox.aws.faults import FIELDS, Faults, error_response
from kumo_sandbox.aws.signatures import refusal, signed_service
from kumo_sandbox.aws.upstream import MiniStack

# Disk space left free for MiniStack's own files and the other parts.
SPARE_BYTES = 16 * 2**20


class Proxy:
    """One MiniStack that behaves as AWS does. `state` is the sandbox's folder of state, None to keep nothing."""

    def __init__(self, target: str, access_key: str, secret_key: str, state: Path | None = None) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.state = state
        self.faults = Faults()
        self.ministack = MiniStack(target)
        self.dynamodb = DynamoDB(self.ministack, access_key, secret_key, state)
        self.calls: dict[str, int] = {}

    async def start(self, app: web.Application) -> None:
        await self.ministack.start()

    async def stop(self, app: web.Application) -> None:
        await self.ministack.stop()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target", "")
        service = "dynamodb" if target.startswith("DynamoDB") else signed_service(request)
        operation = target.rpartition(".")[2] if target else _s3_operation(request)
        body = await request.read()
        self.calls[f"{service}.{operation}"] = self.calls.get(f"{service}.{operation}", 0) + 1
        refused = refusal(request, service, body, self.access_key, self.secret_key)
        if refused is not None:
            return error_response(service, *refused)
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
                code = fault.code or "InternalServerError"
                return error_response(service, fault.status, code, "injected by the sandbox")
        full = self._disk_is_full(service, operation, len(body))
        if full is not None:
            return full
        corrected = self.dynamodb.actions.get(operation) if service == "dynamodb" else None
        answer = await (corrected or self.ministack.forward)(request, body)
        if fault is not None and fault.cut == "after":
            return _cut(request)
        return answer

    def _disk_is_full(self, service: str, operation: str, size: int) -> web.Response | None:
        """The error for a write of `size` bytes that finds no room; None when there is room.

        MiniStack would answer 200 and keep nothing. 507 is no status that an AWS SDK retries.
        """
        if self.state is None or (service, operation) not in (("s3", "PutObject"), ("dynamodb", "ImportTable")):
            return None
        free = shutil.disk_usage(self.state).free
        if free > 2 * size + SPARE_BYTES:
            return None
        return error_response(
            service,
            507,
            "InsufficientStorage",
            f"The sandbox's disk is full: {free // 2**20} MB are free under {self.state}. Free some, and try again.",
        )

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
        """Calls of each operation since the last DELETE: benchmarks compare them."""
        if request.method == "DELETE":
            self.calls.clear()
        return web.json_response(self.calls)

    async def control_health(self, request: web.Request) -> web.Response:
        """This process answers. Whether MiniStack behind it does is MiniStack's own health."""
        return web.json_response({"ok": True})


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
