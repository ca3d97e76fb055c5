"""One small hook to people: a webhook in Slack's format, for what nobody may see in time by looking.

KUMO_ASSETS_WEBHOOK_URL is where to; without it nothing is sent, and the words are in the log. Sending never raises and
never holds anything up for long: a chat that is down must not stop a promotion. Who is told what is decided elsewhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

log = logging.getLogger(__name__)

SECONDS = 5.0


def notify(query: str, kind: str, title: str, lines: Sequence[str] = ()) -> bool:
    """Send one message: `title` in bold, `lines` below it, and a field each for query and kind; True when it was taken.

    `kind` is a word for filters: `stale`, `waiting`, `hand_edit`, `blocked`, `warned`. The address holds a secret (Slack
    puts it in the path) and is never logged, not even inside an exception.
    """
    url = os.environ.get("KUMO_ASSETS_WEBHOOK_URL", "").strip()
    log.warning("%s: %s", query, " ".join([title, *lines]))
    if not url:
        return False
    import httpx

    text = "\n".join([f"*{query}: {title}*", *lines])
    try:
        answer = httpx.post(url, json={"text": text, "query": query, "kind": kind}, timeout=SECONDS)
        if answer.status_code < 400:
            return True
        log.warning("the webhook answered %s; the message was: %s", answer.status_code, title)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("the webhook could not be reached (%s); the message was: %s", type(error).__name__, title)
    return False
