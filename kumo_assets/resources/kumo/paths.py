"""Paths and lists of the API: what every dialect, training and the snapshots build their requests with."""

from __future__ import annotations

from urllib.parse import quote

from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import array

PAGE, MOST_LISTED = 100, 100_000


def listed(http: Transport, path: str, **params: str) -> list[object]:
    """A whole list. Kumo has no pages and promises no order: when an answer is full, a longer one is requested."""
    limit = PAGE
    while True:
        found = array(http.get(path, limit=str(limit), **params), f"GET {path}")
        if len(found) < limit or limit >= MOST_LISTED:
            return found
        limit *= 10


def at(*parts: str) -> str:
    """A path of these parts, none of which can leave its place."""
    return "".join("/" + quote(part, safe="") for part in parts)
