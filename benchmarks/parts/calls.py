"""Counts and times the outside calls of a process, by kind: the same instrument in the chain and in the plain script.

It sits where each library sends: snowflake-connector's cursor, httpx's client, botocore's client.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any


class Calls:
    """What was sent since `install`, and the seconds spent waiting for it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()

    def install(self) -> Calls:
        import botocore.client
        import httpx
        from snowflake.connector.cursor import SnowflakeCursor

        _wrap(self, SnowflakeCursor, "execute", lambda cursor, sql, *rest, **more: f"snowflake {_verb(sql)}")
        _wrap(self, SnowflakeCursor, "describe", lambda cursor, sql, *rest, **more: "snowflake describe")
        _wrap(self, httpx.Client, "send", lambda client, request, *rest, **more: f"kumo {_route(request)}")
        _wrap(self, botocore.client.BaseClient, "_make_api_call", _aws)
        return self


def _wrap(calls: Calls, owner: type, name: str, kind_of: Callable[..., str]) -> None:
    original = getattr(owner, name)

    def timed(*positional: Any, **named: Any) -> Any:
        kind = kind_of(*positional, **named)
        started = time.perf_counter()
        try:
            return original(*positional, **named)
        finally:
            calls.counts[kind] += 1
            calls.seconds[kind] += time.perf_counter() - started

    setattr(owner, name, timed)


def _verb(sql: str) -> str:
    """The statement's first word, past comments."""
    return re.sub(r"--[^\n]*\n", "", sql).split()[0].upper()


def _route(request: Any) -> str:
    return f"{request.method} {re.sub(r'.*/v1/', '', request.url.path).split('/')[0]}"


def _aws(client: Any, operation: str, parameters: Any) -> str:
    return f"{client.meta.service_model.service_name} {operation}"
