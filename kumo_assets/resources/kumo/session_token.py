"""A Snowflake session token got by logging in: what the ingress of the Kumo native app wants from outside Snowflake.

How the login is configured is `kumo_assets.resources.snowflake`'s; when a token is fetched again is decided in `auth`.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.auth import RENEW_AFTER_SECONDS
from kumo_assets.resources.kumo.errors import KumoUnauthorized, KumoUnreachable

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_SECRETS = ("_PASSWORD", "_PRIVATE_KEY", "_PRIVATE_KEY_PATH", "_AUTHENTICATOR")


class SessionToken:
    """See `auth.TokenSource`. Logs in as the pipeline does, by the SNOWFLAKE_* variables: key pair, password or token.

    The login stays open while its token is used, because closing it ends the session. Raises ConfigError when a variable
    is missing; nothing is asked of Snowflake yet.
    """

    advice = (
        "check that the role of SNOWFLAKE_USER may use the endpoint of the Kumo app (an application role), and that "
        "KUMO_API_URL is the app's own ingress"
    )

    def __init__(self) -> None:
        missing = [name for name in ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER") if not os.environ.get(name)]
        if not missing and not any(os.environ.get(f"SNOWFLAKE{suffix}") for suffix in _SECRETS):
            missing = ["SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_PASSWORD"]
        if missing:
            raise ConfigError(
                "log in to Snowflake for KUMO_AUTHENTICATION=snowflake",
                found=f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set",
                next="set what the pipeline itself logs in to Snowflake with",
            )
        self._open: AbstractContextManager[SnowflakeConnection] | None = None

    def __repr__(self) -> str:
        return f"SessionToken({os.environ.get('SNOWFLAKE_USER', '')!r})"

    @property
    def seconds(self) -> float:
        return RENEW_AFTER_SECONDS

    def fetch(self) -> str:
        """A new session token, by a new login. KumoUnauthorized when Snowflake refuses it, KumoUnreachable when it is away."""
        from snowflake.connector.errors import Error, InterfaceError, OperationalError

        try:
            manager = self._login()
            token = _issued(manager.__enter__())
        except (OperationalError, InterfaceError) as error:
            failure = KumoUnreachable(
                "log in to Snowflake for a token of the Kumo app",
                found=_message(error),
                next="check the network and SNOWFLAKE_ACCOUNT",
            )
            failure.maybe_accepted = False
            raise failure from error
        except Error as error:
            raise KumoUnauthorized(
                "log in to Snowflake for a token of the Kumo app",
                found=_message(error),
                next="check SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and the password or key",
            ) from error
        # Only now: closing the old login ends the token that is used on when this one fails.
        self.close()
        self._open = manager
        return token

    def close(self) -> None:
        """Log out, if there is a login."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.__exit__(None, None, None)

    def _login(self) -> AbstractContextManager[SnowflakeConnection]:
        from dagster import build_init_resource_context

        from kumo_assets.resources.snowflake import snowflake_resource

        resource = snowflake_resource().with_replaced_resource_context(build_init_resource_context())
        manager: AbstractContextManager[SnowflakeConnection] = resource.process_config_and_initialize().get_connection()
        return manager


def _issued(connection: SnowflakeConnection) -> str:
    """A token of its own for this session, asked for as the vendor's client does (kumoai 2.22.0, kumoai/spcs.py)."""
    from snowflake.connector.errors import OperationalError

    answer = connection.rest._token_request("ISSUE") if connection.rest is not None else None
    data = answer.get("data") if isinstance(answer, dict) else None
    token = data.get("sessionToken") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token:
        raise OperationalError("Snowflake issued no session token")
    return token


def _message(error: Exception) -> str:
    """Snowflake's message on one line. The connector keeps passwords out of its messages."""
    return " ".join(str(getattr(error, "raw_msg", None) or error).split())[:800]
