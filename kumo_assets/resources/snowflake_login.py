"""Logging in to Snowflake in every way a service does: a key pair, a token, a workload's identity; and advice when it fails.

Which variables mean which way is in `snowflake_settings`. Imported late: dagster-snowflake takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dagster_snowflake import SnowflakeResource
from pydantic import Field

OURS = ("token", "token_file_path", "workload_identity_provider")
BAD_KEY = (
    "check SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_PRIVATE_KEY: a PKCS#8 key in PEM, and its password in "
    "SNOWFLAKE_PRIVATE_KEY_PASSWORD when it is encrypted"
)


class SnowflakeWithToken(SnowflakeResource):
    """dagster-snowflake's resource knows passwords and keys. These reach the connector as well, and as secrets: the
    resource's own `additional_snowflake_connection_args` would be shown in Dagster's UI."""

    token: str | None = Field(default=None, description="An OAuth, programmatic access or OIDC token.")
    token_file_path: str | None = Field(default=None, description="A file with the token, read at each login.")
    workload_identity_provider: str | None = Field(default=None, description="AWS, AZURE, GCP or OIDC.")

    @property
    def _connection_args(self) -> Mapping[str, Any]:
        more = {name: self._resolved_config_dict.get(name) for name in OURS}
        return {**super()._connection_args, **{name: value for name, value in more.items() if value is not None}}


def advice(error: BaseException, environ: Mapping[str, str] | None = None) -> str:
    """What to check after a login that failed, by the way in which the environment says to log in."""
    from snowflake.connector.errors import Error

    source = os.environ if environ is None else environ
    if not isinstance(error, Error):
        if any(source.get(f"SNOWFLAKE_PRIVATE_KEY{part}") for part in ("", "_PATH")):
            return BAD_KEY
        if source.get("SNOWFLAKE_TOKEN_FILE_PATH"):
            return "check that SNOWFLAKE_TOKEN_FILE_PATH names a file that this process can read"
    authenticator = source.get("SNOWFLAKE_AUTHENTICATOR", "").upper()
    if authenticator == "WORKLOAD_IDENTITY":
        what = "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER, and that the Snowflake user has this workload's identity"
    elif source.get("SNOWFLAKE_TOKEN_FILE_PATH") or source.get("SNOWFLAKE_TOKEN"):
        variable = "SNOWFLAKE_TOKEN_FILE_PATH" if source.get("SNOWFLAKE_TOKEN_FILE_PATH") else "SNOWFLAKE_TOKEN"
        what = f"SNOWFLAKE_AUTHENTICATOR and {variable}: tokens expire, and a network policy may be needed to use one"
    elif any(source.get(f"SNOWFLAKE_PRIVATE_KEY{part}") for part in ("", "_PATH")):
        what = (
            "that the user has this key pair's public key (ALTER USER ... SET RSA_PUBLIC_KEY), and this machine's clock"
        )
    else:
        what = "SNOWFLAKE_PASSWORD"
    return f"check SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and {what}; `kumo-assets doctor` tries the login"
