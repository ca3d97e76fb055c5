"""AWS as one reader needs it: credentials and endpoints, kept current on a background thread.

botocore finds them as every AWS SDK does (variables, files, roles, container and instance metadata, AWS_ENDPOINT_URL);
what all readers of a process share of it is in `sessions`. Nothing here is called while a lookup waits: lookups read the
attributes that `Account.refresh` keeps current.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kumo_serving.endpoints import Endpoint
from kumo_serving.errors import Unavailable

if TYPE_CHECKING:
    from kumo_serving.sessions import Shared

__all__ = ["Account", "Credentials", "Endpoint"]

log = logging.getLogger("kumo_serving")

RESOLVE_SECONDS = 10.0


class Credentials(NamedTuple):
    """What signs a request. Never shown: a tuple's text would go into whatever prints it."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Credentials(...)"


class Account:
    """Credentials and endpoints as one reader uses them. Not thread-safe to refresh: one background thread does."""

    def __init__(self, session: Any = None, endpoint_url: str | None = None) -> None:
        self._session = session
        self._endpoint_url = endpoint_url
        self.credentials: Credentials | None = None
        # Kept through a fork, unlike the rest: lookups hold them, and they have no locks.
        self._endpoints: dict[str, Endpoint] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what a fork may have left half-locked; a session that the caller gave is kept."""
        self._shared: Shared | None = None

    @property
    def shared(self) -> Shared:
        """The process's session, or the caller's, looked for when first needed (it reads files)."""
        if self._shared is None:
            from kumo_serving.sessions import shared

            self._shared = shared(self._session)
        return self._shared

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
            source = self.shared.credentials()
            if source is None:
                raise _no_credentials("none were found")
            # For credentials that renew themselves this is where botocore does it, 15 minutes before they expire.
            frozen = source.get_frozen_credentials()
        except (BotoCoreError, OSError) as error:
            raise _no_credentials(f"{type(error).__name__}: {error}") from None
        credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        if credentials != self.credentials:  # the same object for as long as they are the same: signers are kept by it
            self.credentials = credentials

    def endpoint(self, region: str) -> Endpoint:
        """The DynamoDB endpoint of a region ("" for the session's own). Raises Unavailable when there is none."""
        if region not in self._endpoints:
            self._endpoints[region] = self.shared.dynamodb(region, self._endpoint_url)
        return self._endpoints[region]


def _no_credentials(found: str) -> Unavailable:
    return Unavailable(
        "get AWS credentials", found=found, next="give this service a role, or the standard AWS variables"
    )
