"""AWS as a reader needs it: credentials, endpoints and their addresses, all resolved on a background thread.

botocore finds them as every AWS SDK does (variables, files, roles, container and instance metadata, AWS_ENDPOINT_URL).
Nothing here is called while a lookup waits: lookups read the attributes that `Account.refresh` keeps current.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import ssl
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kumo_serving.errors import Unavailable

log = logging.getLogger("kumo_serving")

RESOLVE_SECONDS = 10.0


class Credentials(NamedTuple):
    """What signs a request. Never shown: a tuple's text would go into whatever prints it."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Credentials(...)"


class Endpoint:
    """One DynamoDB endpoint: where to connect, and how to sign for it. Compared by identity; made by `Account`."""

    __slots__ = ("addresses", "host", "host_header", "port", "region", "resolved_at", "tls")

    def __init__(self, url: str, region: str, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if tls else 80)
        self.host_header = self.host if parts.port is None else f"{self.host}:{self.port}"
        self.region = region
        self.tls = tls
        self.addresses: list[str] = []
        self.resolved_at = 0.0

    def resolve(self) -> None:
        """Look the host up in DNS. Kept off the request path: a slow resolver would break any time budget."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        four = [str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET]
        # IPv4 first: DynamoDB's standard endpoints have it, and a half-working IPv6 is the commoner trouble.
        self.addresses = four or [str(entry[4][0]) for entry in found]
        self.resolved_at = time.monotonic()

    def address(self) -> tuple[str, int]:
        """One of the host's addresses, at random: a retry tries another. OSError when none is known."""
        if not self.addresses:
            raise OSError(f"{self.host} has not been resolved")
        return random.choice(self.addresses), self.port


class Account:
    """Credentials and endpoints of one process. Not thread-safe to refresh: one background thread does."""

    def __init__(self, session: Any = None, endpoint_url: str | None = None) -> None:
        self._given_session = session
        self._endpoint_url = endpoint_url
        self.credentials: Credentials | None = None
        # Kept through a fork, unlike the rest: lookups hold them, and they have no locks.
        self._endpoints: dict[str, Endpoint] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what a fork may have left half-locked; a session that the caller gave is kept."""
        self._session: Any = self._given_session
        self._source: Any = None

    @property
    def session(self) -> Any:
        """The botocore session, made when first needed (it reads files)."""
        if self._session is None:
            import botocore.session

            self._session = botocore.session.get_session()
        return self._session

    def refresh(self) -> None:
        """Renew credentials that are about to expire, and addresses that are old. Raises Unavailable."""
        self._refresh_credentials()
        for endpoint in self._endpoints.values():
            if time.monotonic() - endpoint.resolved_at > RESOLVE_SECONDS:
                try:
                    endpoint.resolve()
                except OSError as error:
                    log.warning("kept the known addresses of %s: %s", endpoint.host, error)

    def _refresh_credentials(self) -> None:
        from botocore.exceptions import BotoCoreError

        try:
            if self._source is None:
                self._source = self.session.get_credentials()
            if self._source is None:
                raise _no_credentials("none were found")
            # For refreshable credentials this is where botocore renews them, 15 minutes before they expire.
            frozen = self._source.get_frozen_credentials()
        except (BotoCoreError, OSError) as error:
            raise _no_credentials(f"{type(error).__name__}: {error}") from None
        if self.credentials is None or frozen != self.credentials:
            self.credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def endpoint(self, region: str) -> Endpoint:
        """The DynamoDB endpoint of a region ("" for the session's own). Raises Unavailable when there is none."""
        from botocore.exceptions import BotoCoreError

        region = region or self.session.get_config_variable("region") or ""
        if not region:
            raise Unavailable(
                "find DynamoDB", found="neither the pointer nor the environment names a region", next="set AWS_REGION"
            )
        if region not in self._endpoints:
            try:
                url = self._endpoint_url or self._regional_url(region)
                endpoint = Endpoint(url, region, self._tls() if url.startswith("https:") else None)
                endpoint.resolve()
            except (BotoCoreError, OSError, ValueError) as error:
                raise Unavailable(
                    "find DynamoDB",
                    to=f"in {region}",
                    found=f"{type(error).__name__}: {error}",
                    next="check the region",
                ) from None
            self._endpoints[region] = endpoint
            _warn_of_a_proxy(url)
        return self._endpoints[region]

    def _regional_url(self, region: str) -> str:
        client = self.session.create_client("dynamodb", region_name=region)
        try:
            return str(client.meta.endpoint_url)
        finally:
            client.close()

    def _tls(self) -> ssl.SSLContext:
        import botocore

        # botocore's own bundle unless AWS_CA_BUNDLE says otherwise: slim containers have no system certificates.
        bundle = self.session.get_config_variable("ca_bundle")
        return ssl.create_default_context(
            cafile=bundle or os.path.join(os.path.dirname(botocore.__file__), "cacert.pem")
        )


def _warn_of_a_proxy(url: str) -> None:
    from botocore.utils import get_environ_proxies

    if urlsplit(url).scheme in get_environ_proxies(url):
        log.warning("lookups go to %s directly: the proxy in this service's environment is not used for them", url)


def _no_credentials(found: str) -> Unavailable:
    return Unavailable(
        "get AWS credentials", found=found, next="give this service a role, or the standard AWS variables"
    )
