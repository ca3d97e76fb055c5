"""Snowflake's ingress before the native app: which `Authorization` header lets a request in.

It wants `Snowflake Token="<token>"` with the quotation marks, and a token that Snowflake knows: the one configured (a
programmatic access token), or one of a session that lives in the sandbox's Snowflake. An API key is none of its business.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time

import httpx

from kumo_sandbox.kumo.live import Live
from kumo_sandbox.kumo.settings import WarehouseSettings

HEADER = re.compile(r'Snowflake Token="([^"]+)"')


class Ingress:
    """Remembers when it first saw each token, by digest: `live.token_seconds` after that the token has expired."""

    def __init__(self, live: Live, warehouse: WarehouseSettings) -> None:
        self._live = live
        self._warehouse = warehouse
        self._first_seen: dict[str, float] = {}

    def allows(self, header: str) -> bool:
        """Whether a request with this `Authorization` is let through. May ask Snowflake, once a token."""
        found = HEADER.fullmatch(header)
        if found is None:
            return False
        token, now = found[1], time.monotonic()
        if hmac.compare_digest(token.encode(), self._live.now.token.encode()):
            return True
        digest = hashlib.sha256(token.encode()).hexdigest()
        if digest not in self._first_seen and not self._has_session(header):
            return False
        return now - self._first_seen.setdefault(digest, now) < self._live.now.token_seconds

    def _has_session(self, header: str) -> bool:
        where = f"{self._warehouse.protocol}://{self._warehouse.host}:{self._warehouse.port}/session/heartbeat"
        try:
            answer = httpx.post(where, headers={"Authorization": header}, timeout=5, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.is_success and answer.json().get("success") is True
