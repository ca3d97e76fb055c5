"""A Snowflake session token got by logging in: what the ingress of the Kumo native app wants from outside Snowflake.

How the login is configured is `kumo_assets.resources.snowflake`'s; when a token is fetched again is decided in `auth`.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from kumo_serving.errors import KumoAssetsError

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
        # The manager is kept with its connection, because dropping it would close that.
        self._open: tuple[AbstractContextManager[SnowflakeConnection], SnowflakeConnection] | None = None

    def __repr__(self) -> str:
        return f"SessionToken({os.environ.get('SNOWFLAKE_USER', '')!r})"

    @property
    def seconds(self) -> float:
        return RENEW_AFTER_SECONDS

    def fetch(self) -> str:
        """A new session token, by a new login. KumoUnauthorized when the login cannot work, KumoUnreachable when Snowflake is
        away, ConfigError when the variables contradict each other."""
        from snowflake.connector.errors import InterfaceError, OperationalError

        from kumo_assets.resources.snowflake import message_of
        from kumo_assets.resources.snowflake_login import advice

        doing = "log in to Snowflake for a token of the Kumo app"
        try:
            manager, connection = self._login()
            token = _issued(connection)
        except KumoAssetsError:
            raise
        except (OperationalError, InterfaceError) as error:
            failure = KumoUnreachable(doing, found=message_of(error), next="check the network and SNOWFLAKE_ACCOUNT")
            failure.maybe_accepted = False
            raise failure from error
        except Exception as error:
            # Not the connector's errors alone: a key that cannot be read is a ValueError, a missing file an OSError.
            raise KumoUnauthorized(doing, found=message_of(error), next=advice(error)) from error
        # Only now: closing the old login ends the token that is used on when this one fails.
        self.close()
        self._open = manager, connection
        return token

    def close(self) -> None:
        """Log out, if there is a login. A Snowflake that is away is not waited for."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[1].close(retry=False)

    def _login(self) -> tuple[AbstractContextManager[SnowflakeConnection], SnowflakeConnection]:
        from kumo_assets.resources.snowflake_settings import resource_outside_dagster

        manager: AbstractContextManager[SnowflakeConnection] = resource_outside_dagster().get_connection()
        return manager, manager.__enter__()


def _issued(connection: SnowflakeConnection) -> str:
    """A token of its own for this session, asked for as the vendor's client does (kumoai 2.22.0, kumoai/spcs.py)."""
    from snowflake.connector.errors import OperationalError

    rest: Any = connection.rest
    answer = rest._token_request("ISSUE") if rest is not None else None
    data = answer.get("data") if isinstance(answer, dict) else None
    token = data.get("sessionToken") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token:
        raise OperationalError("Snowflake issued no session token")
    return token
