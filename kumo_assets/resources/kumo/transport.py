"""HTTP to Kumo: time-outs, which requests may be sent again, and errors that say what to do.

GET is sent again on 408, 429 and 5xx and on a broken connection, with Retry-After honoured; a launch never is, for it
may have been accepted before its answer was lost. No redirects: a POST would become a GET. Who we are is in `auth`,
what an answer's bytes say in `replies`.
"""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
import tenacity

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.auth import Auth
from kumo_assets.resources.kumo.errors import KumoRefused, KumoUnauthorized, KumoUnreachable
from kumo_assets.resources.kumo.replies import detail_of, json_of, retry_after

# 501 and 505 say that it will never be otherwise. The rest of 5xx, with a proxy's own (520 to 530), may hide a success.
FINAL = frozenset({501, 505})
TRIES = 5
MOST_WAIT_SECONDS = 120.0
# A list of jobs is a few hundred kilobytes; what is longer, or never ends, is no answer of Kumo's.
MOST_BYTES = 64 * 1024 * 1024
# The read time-out is between two chunks: a server that drips one now and then is stopped by this.
MOST_BODY_SECONDS = 120.0
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Reply:
    """An answer read to its end."""

    status: int
    headers: httpx.Headers
    content: bytes


class Transport:
    """JSON over HTTP to one base URL. Every failure is a KumoAssetsError; nothing of httpx or json escapes."""

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
        parsed = checked_url(url, inside_snowflake=auth.inside_snowflake, without_authentication=auth.none)
        self.url = str(parsed).rstrip("/").removesuffix("/v1")
        self._auth = auth
        # RBAC tenants want these on every request (kumoai's _inject_rbac_params).
        fixed = {name: value for name, value in (("group_id", group_id), ("project_id", project_id)) if value}
        # Path -> the parameters that say in whose name is asked. A dialect may put its own rule here.
        self.scope: Callable[[str], Mapping[str, str]] = lambda path: fixed
        self._sleep = sleep
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            follow_redirects=False,
            headers={"Accept": "application/json", "User-Agent": "kumo_assets"},
            # A company's proxy is for the way out, not for this machine.
            trust_env=not _loopback(parsed.host),
        )
        self.calls: dict[str, int] = {}

    def close(self) -> None:
        self._http.close()
        self._auth.close()

    def get(self, path: str, **params: str) -> object:
        """The JSON of a GET. Raises KumoUnreachable after the retries, KumoRefused, KumoUnauthorized, KumoMalformed."""
        return self._again("GET", path, params)

    def post(self, path: str, body: object = None, **params: str) -> object:
        """The JSON of a POST, sent once. A KumoUnreachable means: it may have been accepted; look before asking again."""
        return self._send("POST", path, {**params, **self.scope(path)}, body)

    def repeat(self, method: str, path: str, **params: str) -> object:
        """The JSON of a request without a body that does no harm when it is carried out twice: retried as a GET is."""
        return self._again(method, path, params)

    def _again(self, method: str, path: str, params: dict[str, str]) -> object:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(KumoUnreachable),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        # Not in what is retried: looking the scope up may itself ask, and retry.
        return retrying(self._send, method, path, {**params, **self.scope(path)})

    def _send(
        self, method: str, path: str, params: dict[str, str], body: object = None, *, renewed: bool = False
    ) -> object:
        self.calls[method] = self.calls.get(method, 0) + 1
        what = f"{method} {path}"
        reply = self._exchange(method, path, params, body)
        if reply.status == 401 and self._auth.renewable and not renewed:
            self._auth.forget()
            return self._send(method, path, params, body, renewed=True)
        if 200 <= reply.status < 300:
            return json_of(reply.content, what)
        raise self._failure(what, reply)

    def _exchange(self, method: str, path: str, params: dict[str, str], body: object) -> Reply:
        """One request and its whole answer, secrets taken out; KumoUnreachable when there is none."""
        try:
            with self._http.stream(
                method, f"{self.url}/v1{path}", params=params, json=body, headers=self._auth.headers()
            ) as answer:
                return Reply(answer.status_code, answer.headers, self._auth.hide_bytes(_read(answer)))
        except httpx.HTTPError as error:
            failure = KumoUnreachable(
                "reach Kumo",
                to=f"({method} {path} at {self.url})",
                found=self._auth.hide(f"{type(error).__name__}: {error}".rstrip(": ")),
                next="check the network and KUMO_API_URL",
            )
            failure.maybe_accepted = not isinstance(error, _NEVER_SENT)
            raise failure from error
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigError(
                "reach Kumo", to=self.url, found=self._auth.hide(str(error)), next="correct KUMO_API_URL or the id"
            ) from error

    def _failure(self, what: str, reply: Reply) -> KumoUnauthorized | KumoUnreachable | KumoRefused:
        """The error for an answer that is not 2xx."""
        found = f"HTTP {reply.status}: {detail_of(reply.content)}"
        if reply.status in (401, 403):
            return KumoUnauthorized(
                "use Kumo's API",
                to=f"({what} at {self.url})",
                found=found,
                next=self._auth.advice,
            )
        if reply.status in (408, 429) or (reply.status >= 500 and reply.status not in FINAL):
            failure = KumoUnreachable(
                "get an answer from Kumo", to=f"({what})", found=found, next="try again later; nothing was lost"
            )
            failure.retry_after = retry_after(reply.headers.get("Retry-After"))
            failure.maybe_accepted = reply.status != 429
            return failure
        if 300 <= reply.status < 400:
            where = self._auth.hide(reply.headers.get("Location", "nowhere"))[:200]
            found = f"HTTP {reply.status}: a redirect to {where}, which is not followed"
        refused = KumoRefused("ask Kumo", to=f"({what})", found=found, next=_advice(reply.status))
        refused.status = reply.status
        return refused


def _read(answer: httpx.Response) -> bytes:
    """The body, unless it is too long or takes too long."""
    chunks, size, started = [], 0, time.monotonic()
    for chunk in answer.iter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BYTES or time.monotonic() - started > MOST_BODY_SECONDS:
            raise httpx.ReadError(f"the answer had not ended after {size:,} bytes and {MOST_BODY_SECONDS:g} seconds")
    return b"".join(chunks)


def _wait(state: tenacity.RetryCallState) -> float:
    """Retry-After where given, else 0.5, 1, 2, 4 s with jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, KumoUnreachable) and error.retry_after is not None:
        return min(error.retry_after, MOST_WAIT_SECONDS)
    return float(0.5 * 2.0 ** (state.attempt_number - 1) * random.uniform(0.5, 1.5))


def checked_url(url: str, *, inside_snowflake: bool = False, without_authentication: bool = False) -> httpx.URL:
    """The base URL. ConfigError unless https, or plain http on this machine or, where `inside_snowflake`, within Snowflake.

    Without authentication it must be one of the two last. A native app is reached as `http://<dns name>:8888/public_api`
    (kumoai/__init__.py): names with no dot, or under Snowflake's `.internal`, never leave its network.
    """
    right = "write https://<customer>.kumoai.cloud/api"
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError("use KUMO_API_URL", found=f"it is no URL: {error}", next=right) from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        # Not quoted: it would put a password into every error text.
        raise ConfigError("use KUMO_API_URL", found="it carries a user, a query or a fragment", next=right)
    inside = inside_snowflake and ("." not in parsed.host or parsed.host.endswith(".internal"))
    if without_authentication and not (parsed.scheme == "http" and parsed.host and (inside or _loopback(parsed.host))):
        raise ConfigError(
            "use KUMO_AUTHENTICATION=none",
            to=f"with {url!r}",
            found="requests without authentication are for a native app inside Snowflake's own network",
            next="set KUMO_API_URL to http://<name>:8888/public_api, or authenticate",
        )
    if parsed.host and (parsed.scheme == "https" or (parsed.scheme == "http" and (_loopback(parsed.host) or inside))):
        return parsed
    raise ConfigError(
        "use KUMO_API_URL",
        to=repr(url),
        found="it is not https (plain http is for loopback addresses only: the key would travel in the clear)",
        next=right,
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _advice(status: int) -> str:
    if 300 <= status < 400:
        return "set KUMO_API_URL to the address that answers by itself"
    return {
        404: "check the id: the query, job, graph or connector is not there",
        422: "check the definition against the tenant: Kumo found a field wrong",
    }.get(status, "read Kumo's message, fix what it names, and materialise again")
