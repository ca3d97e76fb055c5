"""The hook through which a service sees what its reader does. OpenTelemetry's version of it is in `otel`.

A hook is called on the path of a request: it must be quick. One that raises is logged once and never breaks a lookup.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

log = logging.getLogger("kumo_serving")


class Lookup(msgspec.Struct, frozen=True):
    """One call of get or get_many. `outcomes` counts keys by kind: answer, miss, fallback, or an error's class name."""

    operation: Literal["get", "get_many"]
    seconds: float
    outcomes: dict[str, int]
    release_id: str
    pointer_age_seconds: float


class PointerSeen(msgspec.Struct, frozen=True):
    """One read of the pointer. `malformed` and `failed` leave the last known good in place."""

    outcome: Literal["new", "unchanged", "missing", "malformed", "failed", "from_disk"]
    release_id: str
    pointer_age_seconds: float


class Metrics(Protocol):
    """What a service may listen to."""

    def lookup(self, event: Lookup) -> None:
        """A call ended."""

    def pointer(self, event: PointerSeen) -> None:
        """The pointer was read, in the background."""

    def retry(self, reason: str) -> None:
        """An attempt failed (throttled, timeout, stale, unavailable) and is made again."""


class Guarded:
    """Calls a hook so that nothing it raises gets out."""

    def __init__(self, hook: Metrics | None) -> None:
        self._hook = hook
        self._told = False
        self.wanted = hook is not None

    def lookup(self, event: Lookup) -> None:
        if self._hook is not None:
            self._safely(self._hook.lookup, event)

    def pointer(self, event: PointerSeen) -> None:
        if self._hook is not None:
            self._safely(self._hook.pointer, event)

    def retry(self, reason: str) -> None:
        if self._hook is not None:
            self._safely(self._hook.retry, reason)

    def _safely(self, call: Callable[..., None], event: object) -> None:
        try:
            call(event)
        except Exception:  # the hook is the service's code; a lookup must not fail for its metrics
            if not self._told:
                self._told = True
                log.exception("the metrics hook raised; this is said once")
