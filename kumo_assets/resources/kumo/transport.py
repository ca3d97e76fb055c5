"""HTTP to Kumo: authentication, time-outs, which requests may be retried, and errors that say what to do.

GET is retried on 408, 429 and 5xx and on a broken connection, with Retry-After honoured; POST never is, for a launch
may have been accepted before its answer was lost. No redirects: a POST would become a GET. The key is in one header and
nowhere else.
"""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import tenacity

from kumo_assets.errors import ConfigError, KumoApiError
from kumo_assets.resources.kumo.errors import KumoRefused, KumoUnauthorized, KumoUnreachable
from kumo_assets.resources.kumo.wire import malformed

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
TRIES = 5
MOST_WAIT_SECONDS = 120.0
TOKEN_SECONDS = 600.0


class Auth:
    """One header. `api_key` sends `X-API-Key`; a token file sends Snowflake's native app token, read again every ten
    minutes, for it lives one hour (kumoai/spcs.py)."""

    def __init__(self, api_key: str = "", token_file: str = "") -> None:
        if bool(api_key) == bool(token_file):
            raise ConfigError(
                "authenticate to Kumo",
                found="both a key and a token file are set" if api_key else "neither a key nor a token file is set",
                next="set KUMO_API_KEY, or KUMO_SNOWFLAKE_TOKEN_FILE inside Snowflake",
            )
        self._key = api_key
        self._file = token_file
        self._token = ""
        self._read_at = float("-inf")

    def __repr__(self) -> str:
        return "Auth(api_key)" if self._key else f"Auth(token_file={self._file!r})"

    @property
    def renewable(self) -> bool:
        """A 401 may only mean that the token ran out: reading it again is worth one retry."""
        return not self._key

    def forget(self) -> None:
        self._read_at = float("-inf")

    def headers(self) -> dict[str, str]:
        if self._key:
            return {"X-API-Key": self._key}
        if time.monotonic() - self._read_at > TOKEN_SECONDS:
            try:
                self._token = Path(self._file).read_text().strip()
            except OSError as error:
                raise ConfigError(
                    "read the Snowflake token",
                    to=self._file,
                    found=str(error),
                    next="correct KUMO_SNOWFLAKE_TOKEN_FILE",
                ) from error
            self._read_at = time.monotonic()
        return {"Authorization": f"Snowflake Token={self._token}"}


class Transport:
    """JSON over HTTP to one base URL. Every failure is a KumoApiError; nothing of httpx or json escapes."""

    def __init__(
        self,
        url: str,
        auth: Auth,
        *,
        group_id: str = "",
        project_id: str = "",
        connect_seconds: float = 5.0,
        read_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = checked_url(url)
        self._auth = auth
        # RBAC tenants want these on every request (kumoai's _inject_rbac_params).
        self._scope = {name: value for name, value in (("group_id", group_id), ("project_id", project_id)) if value}
        self._sleep = sleep
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            follow_redirects=False,
            headers={"Accept": "application/json", "User-Agent": "kumo_assets"},
        )
        self.calls: dict[str, int] = {}

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: str) -> Any:
        """The JSON of a GET. Raises KumoUnreachable after the retries, KumoRefused, KumoUnauthorized, KumoMalformed."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._send, "GET", path, params)
        except _Again as error:
            raise error.last from error.last.__cause__

    def post(self, path: str, body: Any = None, **params: str) -> Any:
        """The JSON of a POST, sent once. A KumoUnreachable means: it may have been accepted; look before asking again."""
        try:
            return self._send("POST", path, params, body)
        except _Again as error:
            raise error.last from error.last.__cause__

    def patch(self, path: str, **params: str) -> Any:
        """The JSON of a PATCH, sent once."""
        try:
            return self._send("PATCH", path, params)
        except _Again as error:
            raise error.last from error.last.__cause__

    def _send(self, method: str, path: str, params: dict[str, str], body: Any = None, *, renewed: bool = False) -> Any:
        self.calls[method] = self.calls.get(method, 0) + 1
        what = f"{method} {path}"
        try:
            answer = self._http.request(
                method, self.url + path, params=params | self._scope, json=body, headers=self._auth.headers()
            )
        except httpx.HTTPError as error:
            raise _Again(
                KumoUnreachable(
                    "reach Kumo",
                    to=f"({what} at {self.url})",
                    found=f"{type(error).__name__}: {error}".rstrip(": "),
                    next="check the network and KUMO_API_URL",
                ),
                None,
            ) from error
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise ConfigError(
                "reach Kumo", to=self.url, found=str(error), next="correct KUMO_API_URL or the id"
            ) from error
        status = answer.status_code
        if status == 401 and self._auth.renewable and not renewed:
            self._auth.forget()
            return self._send(method, path, params, body, renewed=True)
        if status in (401, 403):
            raise KumoUnauthorized(
                "use Kumo's API",
                to=f"({what} at {self.url})",
                found=f"HTTP {status}: {detail_of(answer)}",
                next="check KUMO_API_KEY: resetting a key in Kumo invalidates the old one at once; RBAC tenants also "
                "want KUMO_GROUP_ID or KUMO_PROJECT_ID",
            )
        if status in RETRIED:
            raise _Again(
                KumoUnreachable(
                    "get an answer from Kumo",
                    to=f"({what})",
                    found=f"HTTP {status}: {detail_of(answer)}",
                    next="try again later; nothing was lost",
                ),
                _retry_after(answer),
            )
        if not answer.is_success:
            raise KumoRefused(
                "ask Kumo", to=f"({what})", found=f"HTTP {status}: {detail_of(answer)}", next=_advice(status)
            )
        try:
            return answer.json()
        except (ValueError, UnicodeError, RecursionError):
            raise malformed(what, "JSON", answer.content[:160]) from None


class _Again(Exception):
    """A failure a GET may be retried on; carries the error to raise when there are no tries left."""

    def __init__(self, last: KumoApiError, after: float | None) -> None:
        super().__init__(str(last))
        self.last = last
        self.after = after


def _wait(state: tenacity.RetryCallState) -> float:
    """Retry-After where given, else 0.5, 1, 2, 4 s with jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Again) and error.after is not None:
        return min(error.after, MOST_WAIT_SECONDS)
    return float(min(0.5 * 2.0 ** (state.attempt_number - 1), MOST_WAIT_SECONDS) * random.uniform(0.5, 1.5))


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, in either of its two forms (RFC 9110, 10.2.3)."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    value = answer.headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if 0 <= seconds < float("inf") else None


def detail_of(answer: httpx.Response) -> str:
    """What an error body says, short: FastAPI's `detail` as string or list, a page's first words, or nothing."""
    try:
        body = answer.json()
    except (ValueError, UnicodeError, RecursionError):
        words = " ".join(answer.content[:400].decode("utf-8", "replace").split())
        return f"(not JSON) {words[:200]}" if words else "no body"
    if isinstance(body, dict) and "detail" in body:
        body = body["detail"]
    if isinstance(body, list):
        parts = [
            f"{'.'.join(map(str, item['loc']))}: {item.get('msg')}"
            if isinstance(item, dict) and isinstance(item.get("loc"), list)
            else str(item)
            for item in body
        ]
        return "; ".join(parts)[:400]
    return str(body)[:400]


def checked_url(url: str) -> str:
    """The base URL without a trailing slash. ConfigError unless https, or http to a loopback address."""
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError(
            "use KUMO_API_URL", to=repr(url), found=str(error), next="write https://<customer>.kumoai.cloud/api"
        ) from error
    if parsed.scheme == "https" and parsed.host:
        return str(parsed).rstrip("/")
    if parsed.scheme == "http" and _loopback(parsed.host):
        return str(parsed).rstrip("/")
    raise ConfigError(
        "use KUMO_API_URL",
        to=repr(url),
        found="it is not https (plain http is for loopback addresses only: the key would travel in the clear)",
        next="write https://<customer>.kumoai.cloud/api",
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _advice(status: int) -> str:
    return {
        404: "check the id: the query, job, graph or connector is not there",
        422: "check the definition against the tenant: Kumo found a field wrong",
    }.get(status, "read Kumo's words, mend what they name, and materialise again")
