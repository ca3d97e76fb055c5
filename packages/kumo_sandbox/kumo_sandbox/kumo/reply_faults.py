"""What HTTP faults do to a request and to the JSON of a reply: statuses, proxies' HTML, hangs, resets, changed bodies.

Which fault strikes what is decided in `faults.py`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from kumo_sandbox.kumo.live import Live

PROXY_PAGE = "<html><head><title>{status} Bad Gateway</title></head><body><h1>upstream connect error</h1></body></html>"


async def early_answer(live: Live, request: Request, fault: dict[str, Any]) -> Response | None:
    """The reply that a fault gives instead of the honest one; None when the request may go on."""
    kind, with_ = fault["kind"], fault["with"]
    status = int(with_.get("status", 503))
    if kind == "key_rotated":
        live.change({"api_key": "rotated:" + secrets.token_hex(8), "token": secrets.token_hex(8)})
        return None
    if kind == "delay":
        await asyncio.sleep(float(with_.get("seconds", 1)))
        return None
    if kind in ("hang", "accept_then_hang"):
        await _hang(request, float(with_.get("seconds", 3600)))
        return await abort(request)
    if kind in ("reset", "accept_then_reset"):
        return await abort(request)
    if kind == "html":
        status = int(with_.get("status", 502))
        return HTMLResponse(PROXY_PAGE.format(status=status), status_code=status)
    if kind == "redirect":
        return RedirectResponse(with_.get("location", "http://127.0.0.1:9/elsewhere"), int(with_.get("status", 307)))
    if kind == "plain_text":
        return PlainTextResponse(with_.get("body", "Internal Server Error"), status_code=int(with_.get("status", 500)))
    if kind == "detail_string":
        return JSONResponse({"detail": with_.get("detail", "Bad request")}, status_code=int(with_.get("status", 400)))
    if kind == "detail_list":
        listed = with_.get("detail") or [{"loc": ["body", "outputs", 0], "msg": "field required", "type": "missing"}]
        return JSONResponse({"detail": listed}, status_code=int(with_.get("status", 422)))
    headers = {"Retry-After": str(with_["retry_after"])} if "retry_after" in with_ else {}
    body = with_.get("body", {"detail": f"fault injected: {status}"})
    return JSONResponse(body, status_code=status, headers=headers)


def change_reply(fault: dict[str, Any], body: Any) -> Any:
    """The honest body as this fault distorts it; a `Response` when it is no longer JSON."""
    kind, with_ = fault["kind"], fault["with"]
    if kind == "null_body":
        return None
    if kind == "replace_body":
        return with_.get("body")
    if kind == "not_json":
        return Response(with_.get("body", '{"job_id": "bp-j'), media_type="application/json")
    if kind == "extra_fields":
        return _with_extra(body)
    if kind == "missing_fields":
        return _without(body, set(with_.get("fields", ["event_log", "validation_response", "tags", "end_time"])))
    return _float_durations(body)


def _with_extra(body: Any) -> Any:
    if isinstance(body, dict):
        return {k: _with_extra(v) for k, v in body.items()} | {"added_in_a_later_version": {"nested": [1]}}
    # The launch reply is a pair; a third element would change its meaning, so lists keep their length.
    return [_with_extra(item) for item in body] if isinstance(body, list) else body


def _without(body: Any, names: set[str]) -> Any:
    if isinstance(body, dict):
        return {k: _without(v, names) for k, v in body.items() if k not in names}
    return [_without(item, names) for item in body] if isinstance(body, list) else body


def _float_durations(body: Any) -> Any:
    """ISO durations as plain seconds, as pydantic v1 writes a timedelta."""
    if isinstance(body, dict):
        return {k: _float_durations(v) for k, v in body.items()}
    if isinstance(body, list):
        return [_float_durations(item) for item in body]
    found = re.fullmatch(r"PT([0-9.]+)S", body) if isinstance(body, str) else None
    return float(found[1]) if found else body


async def _hang(request: Request, seconds: float) -> None:
    """Send nothing until the caller disconnects or the time is over."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline and not await request.is_disconnected():
        await asyncio.sleep(0.05)


async def abort(request: Request) -> Response:
    """Drop the connection without a byte of reply, as a crashed server or a proxy does."""
    transport = request.scope.get("kumo.transport")
    if transport is not None:
        transport.abort()
        # The server notices on its next turn, and then drops the reply below.
        await asyncio.sleep(0.05)
    return Response(status_code=500)
