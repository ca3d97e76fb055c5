"""The one header that authenticates to Kumo, and keeping what is in it out of every text.

`api_key` sends `X-API-Key`; a token file sends the Snowflake native app's token. Nothing else of this package sees
either; sending is in `transport`.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from pathlib import Path

from kumo_assets.errors import ConfigError

# A native app's token lives one hour, and the vendor's SDK reads it again every ten minutes (kumoai/spcs.py).
TOKEN_SECONDS = 600.0
# The customer id before the colon is no secret. A shorter second half is a sandbox's: hiding it would garble ordinary words.
SHORTEST_SECRET = 8
HIDDEN = "[hidden]"
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


class Auth:
    """Either a key or a token file. ConfigError, without the value, when it cannot be sent as a header."""

    def __init__(self, api_key: str = "", token_file: str = "") -> None:
        if bool(api_key) == bool(token_file):
            raise ConfigError(
                "authenticate to Kumo",
                found="both a key and a token file are set" if api_key else "neither a key nor a token file is set",
                next="set KUMO_API_KEY, or KUMO_SNOWFLAKE_TOKEN_FILE inside Snowflake",
            )
        self._key = _checked(api_key, "KUMO_API_KEY") if api_key else ""
        self._file = token_file
        self._read_at = float("-inf")
        # The token before this one may still be quoted in a late answer.
        self._tokens: deque[str] = deque(maxlen=2)

    def __repr__(self) -> str:
        return "Auth(api_key)" if self._key else f"Auth(token_file={self._file!r})"

    @property
    def renewable(self) -> bool:
        """A 401 may only mean that the token ran out: reading it again is worth one retry."""
        return not self._key

    def forget(self) -> None:
        """Read the token file again for the next request."""
        self._read_at = float("-inf")

    def headers(self) -> dict[str, str]:
        """The header of one request. ConfigError when the token file cannot be read."""
        if self._key:
            return {"X-API-Key": self._key}
        if time.monotonic() - self._read_at > TOKEN_SECONDS:
            try:
                token = Path(self._file).read_text()
            except (OSError, UnicodeError) as error:
                raise ConfigError(
                    "read the Snowflake token",
                    to=self._file,
                    found=str(error) if isinstance(error, OSError) else "it is not text",
                    next="correct KUMO_SNOWFLAKE_TOKEN_FILE",
                ) from None
            checked = _checked(token, f"the token in {self._file}")
            if checked not in self._tokens:
                self._tokens.append(checked)
            self._read_at = time.monotonic()
        return {"Authorization": f"Snowflake Token={self._tokens[-1]}"}

    def hide(self, text: str) -> str:
        """The text with every secret of this tenant taken out, also as JSON would write it."""
        for secret in self._secrets():
            text = text.replace(secret, HIDDEN).replace(json.dumps(secret)[1:-1], HIDDEN)
        return text

    def hide_bytes(self, content: bytes) -> bytes:
        """`hide` for an answer that has not been read yet, whatever its encoding."""
        for secret in self._secrets():
            for form in (secret, json.dumps(secret)[1:-1]):
                content = content.replace(form.encode(), HIDDEN.encode())
        return content

    def _secrets(self) -> list[str]:
        _, _, half = self._key.partition(":")
        found = [self._key, half if len(half) >= SHORTEST_SECRET else "", *self._tokens]
        return [secret for secret in found if secret]


def _checked(value: str, what: str) -> str:
    stripped = value.strip()
    if not _HEADER_VALUE.fullmatch(stripped):
        # Never shown: httpx would quote an illegal header value in its exception.
        raise ConfigError(
            "authenticate to Kumo",
            found=f"{what} is empty, or has spaces, line breaks or characters that are not ASCII",
            next=f"set {what} to the value exactly as it was given out",
        )
    return stripped
