"""The one header that authenticates to Kumo, and keeping what is in it out of every text.

`api_key` sends `X-API-Key`; a Snowflake native app's ingress wants a Snowflake token, from a file or by logging in
(`session_token`); inside a Snowflake notebook there is no header at all. Sending is in
`transport`.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import deque
from pathlib import Path
from typing import Protocol

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.errors import KumoUnreachable

# A file may be rewritten at any time (a mounted secret, a service's own token), so it is read again this often.
TOKEN_SECONDS = 600.0
# A session token lives one hour (kumoai 2.22.0, kumoai/spcs.py, `_get_spcs_token`); the next is fetched before that.
SESSION_TOKEN_SECONDS, RENEW_AFTER_SECONDS = 3600.0, 3000.0
# When Snowflake cannot be reached, the token at hand is used while it lives, and the next is tried for this much later.
RENEW_AGAIN_SECONDS = 60.0
# The customer id before the colon is no secret. A shorter second half is a sandbox's: hiding it would garble ordinary words.
SHORTEST_SECRET = 8
HIDDEN = "[hidden]"
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Where a Snowflake token comes from."""

    # How long a token is used before the next one is fetched.
    @property
    def seconds(self) -> float: ...

    # What to do when the token is refused.
    advice: str

    def fetch(self) -> str:
        """A token that is good now. ConfigError, KumoUnauthorized or KumoUnreachable, never with a secret in it."""

    def close(self) -> None:
        """Nothing more is fetched."""


class TokenFile:
    """A token that somebody else puts into a file: a programmatic access token, or a Snowflake service's own."""

    advice = "put a new token into the file that KUMO_SNOWFLAKE_TOKEN_FILE names"

    def __init__(self, path: str) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"TokenFile({self._path!r})"

    @property
    def seconds(self) -> float:
        return TOKEN_SECONDS

    def fetch(self) -> str:
        """The file's text. ConfigError when it cannot be read, or cannot be sent as a header."""
        try:
            token = Path(self._path).read_text()
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                "read the Snowflake token",
                to=self._path,
                found=str(error) if isinstance(error, OSError) else "it is not text",
                next="correct KUMO_SNOWFLAKE_TOKEN_FILE",
            ) from None
        checked = _checked(token, f"the token in {self._path}")
        if '"' in checked:
            raise ConfigError(
                "read the Snowflake token",
                to=self._path,
                found="it has quotation marks, which are added when it is sent",
                next="write the token alone into the file",
            )
        return checked

    def close(self) -> None:
        """Nothing is open."""


class Auth:
    """One way to authenticate: a key, a token file, another source of tokens (`login`), or `none`.

    Raises ConfigError, without the value, unless exactly one way is given and its header can be sent.
    """

    def __init__(
        self, api_key: str = "", token_file: str = "", *, login: TokenSource | None = None, none: bool = False
    ) -> None:
        ways = {
            "a key (KUMO_API_KEY)": bool(api_key),
            "a token file (KUMO_SNOWFLAKE_TOKEN_FILE)": bool(token_file),
            "KUMO_AUTHENTICATION=snowflake": login is not None,
            "KUMO_AUTHENTICATION=none": none,
        }
        given = [way for way, is_given in ways.items() if is_given]
        if len(given) != 1:
            raise ConfigError(
                "authenticate to Kumo",
                found=f"{' and '.join(given)} are set" if given else "no key, token file or other way is set",
                next="set exactly one: KUMO_API_KEY, or for the Snowflake native app KUMO_AUTHENTICATION or "
                "KUMO_SNOWFLAKE_TOKEN_FILE",
            )
        self._key = _checked(api_key, "KUMO_API_KEY") if api_key else ""
        self._source = TokenFile(token_file) if token_file else login
        # Within Snowflake's own network plain http is how a native app is reached.
        self.inside_snowflake = bool(token_file) or none
        self.none = none
        self._fetched_at = self._not_before = float("-inf")
        # The token before this one may still be quoted in a late answer.
        self._tokens: deque[str] = deque(maxlen=2)

    def __repr__(self) -> str:
        return f"Auth({self._source!r})" if self._source else "Auth(none)" if self.none else "Auth(api_key)"

    @property
    def renewable(self) -> bool:
        """A 401 may only mean that the token ran out: fetching it again is worth one retry."""
        return self._source is not None

    @property
    def advice(self) -> str:
        """What to do when Kumo, or Snowflake's ingress before it, refuses."""
        if self._source is not None:
            return self._source.advice
        if self.none:
            return "KUMO_AUTHENTICATION=none works only inside Snowflake, at http://<name>:8888/public_api"
        return (
            "check KUMO_API_KEY: resetting a key in Kumo invalidates the old one at once; RBAC tenants also want "
            "KUMO_GROUP_ID or KUMO_PROJECT_ID"
        )

    def forget(self) -> None:
        """Fetch a token again for the next request."""
        self._fetched_at = self._not_before = float("-inf")

    def close(self) -> None:
        """Let go of the source of tokens."""
        if self._source is not None:
            self._source.close()

    def headers(self) -> dict[str, str]:
        """The header of one request. Raises what the source of tokens raises."""
        if self._source is None:
            return {"X-API-Key": self._key} if self._key else {}
        now = time.monotonic()
        if now - self._fetched_at >= self._source.seconds and now >= self._not_before:
            self._renew(self._source, now)
        # With the quotation marks, as the vendor's client sends it (kumoai 2.22.0, kumoai/spcs.py and client/client.py)
        # and Snowflake documents it for the endpoints of services.
        return {"Authorization": f'Snowflake Token="{self._tokens[-1]}"'}

    def _renew(self, source: TokenSource, now: float) -> None:
        try:
            token = source.fetch()
        except KumoUnreachable as error:
            if now - self._fetched_at >= SESSION_TOKEN_SECONDS:
                raise
            _log.warning("The Snowflake token could not be renewed; the one at hand is used on: %s", error)
            self._not_before = now + RENEW_AGAIN_SECONDS
            return
        # The newest is the last, also when a file goes back to the token before.
        if token in self._tokens:
            self._tokens.remove(token)
        self._tokens.append(token)
        self._fetched_at = now

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
