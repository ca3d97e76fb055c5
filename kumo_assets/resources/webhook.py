"""One small hook to people: a webhook in Slack's format, for what nobody may see in time by looking.

KUMO_ASSETS_WEBHOOK_URL is where to; without it nothing is sent, and the words are in the log. Sending never raises and
never holds anything up for long: a chat that is down must not stop a promotion. Who is told what is decided elsewhere.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from kumo_assets.redaction import without_secrets

log = logging.getLogger(__name__)

VARIABLE = "KUMO_ASSETS_WEBHOOK_URL"
SECONDS = 5.0
# Slack cuts a text at 40,000 characters and advises 4,000 (api.slack.com/methods/chat.postMessage, "Truncating content").
MOST_CHARACTERS = 4000


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address holds a secret: it is not carried to where an answer points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def has_address() -> bool:
    """True when there is somewhere to send to."""
    return bool(os.environ.get(VARIABLE, "").strip())


def notify(
    query: str,
    kind: str,
    title: str,
    lines: Sequence[str] = (),
    *,
    seconds: float = SECONDS,
    again: bool = False,
) -> bool:
    """Send one message: `title` in bold, `lines` below it, and a field each for query and kind; True when it was taken,
    which is an answer of 2xx within `seconds` (at most SECONDS). `again` is a message that the log has already.

    `kind` is a word for filters: `stale`, `waiting`, `hand_edit`, `blocked`, `warned`. The address holds a secret (Slack
    puts it in the path) and is never logged, not even inside an exception; so this speaks through urllib, which logs
    nothing, and not through httpx, which logs each address it asks.
    """
    title, *lines = (without_secrets(line) for line in (title, *lines))
    if not again:
        log.warning("%s: %s", query, " ".join([title, *lines]))
    url = os.environ.get(VARIABLE, "").strip()
    if not url:
        return False
    words = [f"*{_escaped(query)}: {_escaped(title)}*", *map(_escaped, lines)]
    body = {"text": "\n".join(words)[:MOST_CHARACTERS], "query": query, "kind": kind}
    try:
        fault = _fault(url)
        if fault:
            log.warning("%s %s; the message was: %s", VARIABLE, fault, title)
            return False
        request = urllib.request.Request(
            url, json.dumps(body).encode(), {"Content-Type": "application/json", "User-Agent": "kumo-assets"}
        )
        with _opener(url).open(request, timeout=min(seconds, SECONDS)) as answer:
            answer.read(1)
        return True
    except urllib.error.HTTPError as error:
        log.warning("the webhook answered %s; the message was: %s", error.code, title)
        error.close()
    except (OSError, HTTPException, ValueError) as error:
        # Its text may hold the address; its kind is enough.
        log.warning("the webhook could not be reached (%s); the message was: %s", type(error).__name__, title)
    return False


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Follows no redirect; proxies as the environment says, but none to this machine."""
    handlers: list[Any] = [_NoRedirect]
    if _loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _fault(url: str) -> str:
    """Why the address is not used; "" when it is. ValueError for what is no address."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname or "")):
        return ""
    return "is not https (plain http is for loopback addresses only: the address is a secret)"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _escaped(text: str) -> str:
    """Slack's own three characters (api.slack.com/reference/surfaces/formatting, "Escaping text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
