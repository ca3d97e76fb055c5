"""Reading what a server answered, whatever it is: JSON, a proxy's HTML, FastAPI's `detail`, Retry-After.

Everything shown to a person is short, and made by functions that no nesting or odd character can break. What a
well-formed answer means is in `wire`.
"""

from __future__ import annotations

import json
import reprlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kumo_assets.resources.kumo.errors import KumoMalformed

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 120, 120, 40
_SHORT.maxdict = _SHORT.maxlist = 4


def json_of(content: bytes, what: str) -> object:
    """The JSON of an answer's body; None for an empty one. KumoMalformed when it is none."""
    if not content.strip():
        return None
    try:
        payload = json.loads(content)
        # A lone surrogate is legal JSON ("\ud800") and can be written nowhere: not to a log, S3 or a terminal.
        return _printable(payload) if b"\\ud" in content.lower() else payload
    except (ValueError, RecursionError):
        raise malformed(what, "JSON", words(content[:160].decode("utf-8", "replace"))) from None


def _printable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(name): _printable(item) for name, item in value.items()}
    return value


def malformed(what: str, wanted: str, found: object) -> KumoMalformed:
    """The error for an answer that is something else than `wanted`."""
    return KumoMalformed(
        "read Kumo's answer",
        to=f"({what})",
        found=f"{wanted} was expected, found {shown(found)}",
        next="check KUMO_API_URL (a proxy may answer instead of Kumo) and KUMO_API_DIALECT",
    )


def shown(value: object) -> str:
    """Any JSON value, in at most a line."""
    return words(_SHORT.repr(value))[:200]


def words(text: str) -> str:
    return " ".join(text.split())


def detail_of(content: bytes) -> str:
    """What an error's body says, short: FastAPI's `detail` as string or list, a page's first words, or nothing."""
    try:
        body = json_of(content, "an error")
    except KumoMalformed:
        return f"(not JSON) {words(content[:400].decode('utf-8', 'replace'))[:200]}"
    if body is None:
        return "no reason given"
    if isinstance(body, dict) and "detail" in body:
        body = body["detail"]
    if isinstance(body, list):
        return "; ".join(map(_one_detail, body[:8]))[:400]
    return words(body)[:400] if isinstance(body, str) else shown(body)


def _one_detail(item: object) -> str:
    if isinstance(item, dict) and isinstance(item.get("loc"), list):
        where = ".".join(part if isinstance(part, str) else shown(part) for part in item["loc"][:8])
        return f"{where}: {item['msg'] if isinstance(item.get('msg'), str) else shown(item.get('msg'))}"
    return item if isinstance(item, str) else shown(item)


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, in either of its two forms (RFC 9110, 10.2.3)."""
    try:
        seconds = float(value or "")
    except ValueError:
        try:
            moment = parsedate_to_datetime(value or "")
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = max(seconds, 0.0)
    return seconds if 0 <= seconds < float("inf") else None
