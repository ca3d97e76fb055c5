"""Speaks to Dagster's GraphQL over HTTP, from a worker (`Dagster`) or the triggerer's event loop (`AsyncDagster`).

An outage is ridden out for a while, then becomes one clear error. A launch is sent once: when its answer is lost the
caller looks the run up by its tags. The token goes into one header, to one host, and nowhere else: no redirect is
followed, and neither errors nor reprs carry it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from kumo_airflow.errors import DagsterFailed, LaunchUncertain, Refusal, Unreachable
from kumo_airflow.operations import Operation

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


@dataclass(frozen=True)
class Settings:
    """Where Dagster is and how to be let in.

    `url` as a person opens it, without /graphql. `verify`: False, True, or the path of a CA bundle. `cert`: path of a
    client certificate with key, or a pair of paths. `outage_seconds`: how long no answer is ridden out.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    outage_seconds: float = 600.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refusal("use Dagster's URL", found="it is not http(s)://host[:port]", next="fix the connection")
        if parts.username or parts.password:
            raise Refusal(
                "use Dagster's URL",
                found="it carries a user or a password",
                next="put the token into the connection's password field",
            )

    def run_url(self, run_id: str) -> str:
        """The page of a run, for a person."""
        return f"{self.url.rstrip('/')}/runs/{run_id}"

    def client_options(self) -> dict[str, Any]:
        verify: Any = self.verify
        if isinstance(verify, str):
            verify = ssl.create_default_context(cafile=verify)
        if self.cert is not None:
            context = verify if isinstance(verify, ssl.SSLContext) else httpx.create_ssl_context(verify=verify)
            context.load_cert_chain(*([self.cert] if isinstance(self.cert, str) else self.cert))
            verify = context
        return {
            "base_url": self.url.rstrip("/"),
            "headers": dict(self.headers),
            "verify": verify,
            "timeout": httpx.Timeout(self.timeout_seconds, connect=10.0),
            "follow_redirects": False,
        }


class _Outage:
    """How long Dagster has been away, and when to ask again."""

    def __init__(self, settings: Settings, operation: Operation[Any], say: Callable[[str], None]) -> None:
        self._settings, self._operation, self._say = settings, operation, say
        self._since: float | None = None
        self._pause = FIRST_PAUSE

    def pause(self, words: str) -> float:
        """Seconds to wait before the next try. Raises Unreachable when it has been away too long, LaunchUncertain at
        once for what must not be sent twice."""
        if self._operation.once:
            raise LaunchUncertain(self._operation.doing, to=f"at {self._settings.url}", found=words)
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        if now - self._since >= self._settings.outage_seconds:
            raise Unreachable(
                self._operation.doing,
                to=f"at {self._settings.url}",
                found=f"no usable answer for {now - self._since:.0f} s; the last: {words}",
                next="see whether Dagster's webserver runs and this machine reaches it; then clear the task, "
                "which adopts what was started",
            )
        self._say(f"Dagster at {self._settings.url} does not answer ({words}); retrying in {self._pause:.1f} s")
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause


def _body(operation: Operation[Any]) -> dict[str, Any]:
    return {"query": operation.query, "variables": dict(operation.variables)}


class _Away(Exception):
    """An answer that is an outage's, to be waited out."""


def _read(settings: Settings, operation: Operation[T], response: httpx.Response) -> T:
    """The answer. Raises _Away for an outage, else what `Dagster.do` raises."""
    where = f"at {settings.url}"
    if response.status_code in (401, 403):
        raise Refusal(
            operation.doing,
            to=where,
            found=f"HTTP {response.status_code}: the token is missing, wrong or without the permission",
            next="fix the password field of the connection",
        )
    try:
        document = response.json()
    except ValueError:
        document = None
    # Dagster's webserver answers 500 with a whole GraphQL answer in it when a mutation's result is a PythonError
    # (measured on 1.13.27): that is an answer. A 500 without one is an outage.
    answered = isinstance(document, dict) and ("data" in document or "errors" in document)
    if not answered and (response.status_code >= 500 or response.status_code in (408, 429)):
        raise _Away(f"HTTP {response.status_code}")
    if not isinstance(document, dict) or response.is_redirect:
        raise Refusal(
            operation.doing,
            to=where,
            found=f"HTTP {response.status_code}, and no GraphQL answer",
            next="check that the connection's URL is Dagster's own, and no login page's",
        )
    if document.get("errors") or not document.get("data"):
        words = "; ".join(str(item.get("message")) for item in document.get("errors") or [])[:1000]
        raise DagsterFailed(operation.doing, to=where, found=words or "no data", next="look at Dagster's own log")
    return operation.read(document["data"])


def _words(error: Exception) -> str:
    """What went wrong in few words; httpx's own text only where it says more than the type, and never a header."""
    if isinstance(error, _Away):
        return str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, httpx.ConnectError) else type(error).__name__


class Dagster:
    """For code that may block. `say` gets a line for each time Dagster did not answer."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None] = lambda words: None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings, self._say, self._sleep = settings, say, sleep
        self._http = httpx.Client(**settings.client_options())

    def do(self, operation: Operation[T]) -> T:
        """Raises Refusal, DagsterFailed, Unreachable; LaunchUncertain for a launch whose answer was lost."""
        outage = _Outage(self.settings, operation, self._say)
        while True:
            try:
                return _read(self.settings, operation, self._http.post("/graphql", json=_body(operation)))
            except (httpx.TransportError, _Away) as error:
                self._sleep(outage.pause(_words(error)))

    def __enter__(self) -> Dagster:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


class AsyncDagster:
    """The same for an event loop."""

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda words: None) -> None:
        self.settings, self._say = settings, say
        self._http = httpx.AsyncClient(**settings.client_options())

    async def do(self, operation: Operation[T]) -> T:
        """As `Dagster.do`."""
        outage = _Outage(self.settings, operation, self._say)
        while True:
            try:
                return _read(self.settings, operation, await self._http.post("/graphql", json=_body(operation)))
            except (httpx.TransportError, _Away) as error:
                await asyncio.sleep(outage.pause(_words(error)))

    async def __aenter__(self) -> AsyncDagster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
