"""Takes this process's secrets out of text that others wrote: an own gate's exception or evidence, a vendor's message.

Secrets are known by the names of environment variables. Each is found as it is typed, and in the forms in which a
message may show it: escaped, quoted for a URL, in base64, and for a key of several lines with other line breaks or none.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

_SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|PASSCODE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|WEBHOOK|CREDENTIAL|COOKIE|AUTHORIZATION"
    r"|_(?:AUTH|KEY|PASS|PWD)$",
    re.IGNORECASE,
)
# Such a variable says where a secret is. Its value is no secret, unless a person typed the secret itself into it.
_PLACE_NAME = re.compile(r"_(?:PATH|FILE|DIR|URI|EXPIRATION)$", re.IGNORECASE)
_LOOKS_LIKE_A_PLACE = re.compile(r"(?:[/~.]|[A-Za-z]:\\|\w+://)\S{0,254}|\S{1,250}\.\w{1,5}|\S{1,23}")
_PASSWORD_IN_URL = re.compile(r"\w+://[^/\s:@]*:([^/\s@]+)@")
_LINE_BREAK = re.compile(r"(?:\r|\n|\\r|\\n)+")
# What stands between the lines of a key once a message was wrapped, collapsed or escaped.
_BETWEEN_LINES = r"(?:\s|\\[rnt])*"

# Shorter values are no secrets, and would blot out ordinary words.
SHORTEST = 6
# A line of a key, shown alone. Shorter ones could be ordinary words.
SHORTEST_LINE = 16
# A value this long is a key, which a message may wrap at any character.
WRAPPED = 64
LARGEST_FILE = 65_536
HIDDEN = "***"


def without_secrets(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` with the value of every secret-looking environment variable, the secret of a `name:secret`, the password in
    any URL, and the content of a key's file replaced by `***`."""
    pattern = _pattern(frozenset(_secrets(os.environ if environ is None else environ)))
    return pattern.sub(HIDDEN, text) if pattern is not None else text


def redacted(value: Any, environ: Mapping[str, str] | None = None) -> Any:
    """A value as JSON has it, without secrets in any text of it, names of fields among them."""
    if isinstance(value, str):
        return without_secrets(value, environ)
    if isinstance(value, Mapping):
        return {redacted(name, environ): redacted(item, environ) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, environ) for item in value]
    return value


def scrub(error: BaseException | None) -> None:
    """Take secrets out of an exception and of those it came from, in place: Dagster stores the whole chain, and the
    exceptions of a vendor's library are not ours to raise anew."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        waiting += [found.__cause__, found.__context__]
        fields = getattr(found, "__dict__", {})
        if without_secrets(shown := f"{found} {found!r} {fields}") == shown:
            continue
        found.args = tuple(_redacted_part(item) for item in found.args)
        # An OSError keeps the name of its file outside its dictionary.
        for name in (*fields, "filename", "filename2", "strerror"):
            part = getattr(found, name, None)
            if isinstance(part, str | list | tuple | dict):
                setattr(found, name, _redacted_part(part))


def holds_a_secret(value: str) -> bool:
    """Whether the value of a variable that should say where a secret is looks like the secret itself."""
    return bool(_LINE_BREAK.search(value)) or "-----" in value or not _LOOKS_LIKE_A_PLACE.fullmatch(value)


def _redacted_part(value: Any) -> Any:
    clean = redacted(value)
    return tuple(clean) if isinstance(value, tuple) else clean


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        yield from _PASSWORD_IN_URL.findall(value)
        if "-----BEGIN" in value and "PRIVATE KEY" in value:
            yield value
        if not _SECRET_NAME.search(name):
            continue
        if not _PLACE_NAME.search(name):
            yield value
            if "://" in value:
                parts = urlsplit(value) if value.isprintable() and "[" not in value else None
                yield from (parts.path, parts.query) if parts is not None and "WEBHOOK" in name.upper() else ()
            else:
                yield from value.split(":")[1:]  # of a `name:secret` the name is none
        elif holds_a_secret(value):
            yield value
        elif not name.upper().endswith(("_URI", "_EXPIRATION")) and "CREDENTIAL" not in name.upper():
            yield _content(value)


def _content(path: str) -> str:
    """The text of a small file; nothing of what cannot be read."""
    try:
        file = Path(path).expanduser()
        return file.read_text().strip() if file.is_file() and file.stat().st_size <= LARGEST_FILE else ""
    except (OSError, ValueError, RuntimeError):
        return ""


@lru_cache(maxsize=4)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    pieces = {piece for secret in secrets if len(secret.strip()) >= SHORTEST for piece in _forms(secret)}
    # The longest first: a secret may begin as another one does.
    return re.compile("|".join(sorted(pieces, key=len, reverse=True))) if pieces else None


def _forms(secret: str) -> Iterator[str]:
    """Regular expressions of the texts that show a secret."""
    escaped = json.dumps(secret)[1:-1]
    for text in (
        secret,
        escaped,
        escaped.replace('\\"', '"'),
        repr(secret)[1:-1],
        quote(secret, ""),
        quote_plus(secret),
    ):
        yield re.escape(text)
    yield re.escape(base64.b64encode(secret.encode("utf-8", "surrogateescape")).decode())
    lines = [line.strip() for line in _LINE_BREAK.split(secret)]
    body = [line for line in lines if line and not line.startswith("-----")]
    if len(lines) > 1:
        yield from (re.escape(line) for line in body if len(line) >= SHORTEST_LINE)
    if sum(map(len, body)) >= WRAPPED:
        yield _BETWEEN_LINES.join(re.escape(character) for character in "".join(body))
    elif len(lines) > 1 and sum(map(len, body)) >= SHORTEST:
        yield _BETWEEN_LINES.join(re.escape(line) for line in body)
