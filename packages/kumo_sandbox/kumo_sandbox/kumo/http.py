"""The code around every vendor route: counting, HTTP faults, both forms of authentication, RBAC, and error bodies.

A handler is a plain function from `Call` to JSON or a `Response`; it raises `Answer` for anything but success. The routes
themselves are in `routes_*.py`; what they reach of the emulator is the protocol `Emulator`, implemented in `app.py`.
"""

from __future__ import annotations

import hmac
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kumo_sandbox.kumo.faults import AFTER, BEFORE, REPLY, Faults
from kumo_sandbox.kumo.ingress import Ingress
from kumo_sandbox.kumo.live import Live
from kumo_sandbox.kumo.reply_faults import change_reply, early_answer
from kumo_sandbox.kumo.settings import Settings
from kumo_sandbox.kumo.snapshots import Snapshots
from kumo_sandbox.kumo.store import Store
from kumo_sandbox.kumo.worker import Worker

Model = TypeVar("Model", bound=BaseModel)
# Allowed without group or project even under RBAC: the SDK calls them before it knows its group.
WITHOUT_RBAC = frozenset({"connectors_list", "config", "groups", "projects"})


class Answer(Exception):
    """Ends a request with this status and JSON body (FastAPI's shape, as the vendor's errors probably are)."""

    def __init__(self, status: int, detail: Any) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status}: {detail}")


class Emulator(Protocol):
    """The parts of one emulator that a route may use. A protocol, so that no route imports the application it is part of."""

    @property
    def settings(self) -> Settings: ...
    @property
    def store(self) -> Store: ...
    @property
    def live(self) -> Live: ...
    @property
    def faults(self) -> Faults: ...
    @property
    def log(self) -> RequestLog: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def worker(self) -> Worker: ...
    @property
    def ingress(self) -> Ingress: ...

    def reset(self) -> None:
        """Forget what clients have made; the tenant is as shipped."""

    def signature(self, job_id: str) -> str:
        """What a URL of this job's files must carry instead of a key."""

    def signed_url(self, base_url: str, job_id: str) -> str:
        """A URL that needs no key, as a presigned one does not."""


def emulator_of(request: Request) -> Emulator:
    """The emulator that serves a request."""
    found: Emulator = request.app.state.kumo
    return found


@dataclass
class Call:
    """One request, as a handler sees it."""

    kumo: Emulator
    operation: str
    path: dict[str, str]
    query: dict[str, str]
    body: Any
    base_url: str
    unknown_fields: list[str] = field(default_factory=list)
    # In the 3.0 dialect the project whose things this request may see; None elsewhere.
    project: str | None = None

    def model(self, kind: type[Model], *, strict: bool = False) -> Model:
        """The body as a pydantic model; unknown fields are recorded (or refused, if so set). Raises `Answer` 422."""
        try:
            value = kind.model_validate(self.body)
        except ValidationError as error:
            detail = [{"type": e["type"], "loc": ["body", *e["loc"]], "msg": e["msg"]} for e in error.errors()]
            raise Answer(422, detail) from None
        self.unknown_fields = _unknown(value)
        if self.unknown_fields and (strict or self.kumo.live.now.reject_unknown_fields):
            raise Answer(
                422, [{"type": "extra_forbidden", "loc": ["body", n], "msg": "Extra"} for n in self.unknown_fields]
            )
        return value


def _unknown(value: BaseModel, prefix: str = "") -> list[str]:
    """Dotted names of fields that no version of the vendor's models knows."""
    found = [prefix + name for name in (value.model_extra or {})]
    for name in type(value).model_fields:
        inner = getattr(value, name)
        for place, item in enumerate(inner if isinstance(inner, list) else [inner]):
            if isinstance(item, BaseModel):
                found += _unknown(item, f"{prefix}{name}." + (f"{place}." if isinstance(inner, list) else ""))
    return found


class RequestLog:
    """Requests of this process by operation, and the newest of them one by one."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.recent: deque[dict[str, Any]] = deque(maxlen=2000)

    def record(self, call: Call, request: Request, status: int | None) -> None:
        """Keep a request. `status` is null when the connection was dropped. Headers are not kept: they carry keys."""
        self.counts[call.operation] = self.counts.get(call.operation, 0) + 1
        self.recent.append(
            {
                "at": time.time(),
                "operation": call.operation,
                "method": request.method,
                "path": request.url.path,
                "query": call.query,
                "status": status,
                "body": call.body,
                "unknown_fields": call.unknown_fields,
            }
        )


Handler = Callable[[Call], Any]


def endpoint(operation: str, handler: Handler) -> Callable[[Request], Any]:
    """A Starlette endpoint around a handler."""

    async def serve(request: Request) -> Response:
        kumo = emulator_of(request)
        raw = await request.body()
        call = Call(
            kumo,
            operation,
            dict(request.path_params),
            dict(request.query_params),
            None,
            f"{request.url.scheme}://{request.url.netloc}",
        )
        status: int | None = None
        try:
            for fault in kumo.faults.strike(operation, BEFORE):
                early = await early_answer(kumo.live, request, fault)
                if early is not None:
                    status = early.status_code
                    return early
            response = await _answer(kumo, request, call, raw, handler)
            status = response.status_code
            for fault in kumo.faults.strike(operation, AFTER):
                early = await early_answer(kumo.live, request, fault)
                if early is not None:
                    status = early.status_code
                    return early
            return response
        finally:
            kumo.log.record(call, request, status)

    return serve


async def _answer(kumo: Emulator, request: Request, call: Call, raw: bytes, handler: Handler) -> Response:
    try:
        # In a thread: the ingress may ask Snowflake.
        await run_in_threadpool(authenticate, kumo, request, call)
        if raw:
            try:
                call.body = json.loads(raw)
            except ValueError:
                raise Answer(422, [{"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error"}]) from None
        result = await run_in_threadpool(handler, call)
    except Answer as answer:
        return JSONResponse({"detail": answer.detail}, status_code=answer.status)
    if isinstance(result, Response):
        return result
    for fault in kumo.faults.strike(call.operation, REPLY):
        result = change_reply(fault, result)
        if isinstance(result, Response):
            return result
    return JSONResponse(result)


def authenticate(kumo: Emulator, request: Request, call: Call) -> None:
    """Raises `Answer` when the way in is closed to this request, or RBAC misses its group and project.

    There are three: a key; a Snowflake token at the native app's ingress; and `/public_api`, which only clients within
    Snowflake's own network reach, and which asks for nothing (kumoai 2.22.0, kumoai/__init__.py, `init`).
    """
    live = kumo.live.now
    key = request.headers.get("x-api-key")
    if request.url.path.startswith("/public_api/"):
        allowed = True
    elif key is not None:
        allowed = hmac.compare_digest(key.encode(), live.api_key.encode())
    else:
        allowed = kumo.ingress.allows(request.headers.get("authorization", ""))
    if not allowed:
        raise Answer(live.denied_status, "Could not validate credentials")
    if live.rbac and call.operation not in WITHOUT_RBAC:
        sent = {name: call.query.get(name) for name in ("group_id", "project_id")}
        if not any(sent.values()):
            raise Answer(403, "RBAC is enabled: every request needs group_id or project_id")
        wanted = {"group_id": live.group_id, "project_id": live.project_id}
        if any(value is not None and value != wanted[name] for name, value in sent.items()):
            raise Answer(403, "Not a member of this group or project")
