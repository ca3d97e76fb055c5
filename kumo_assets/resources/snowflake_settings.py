"""How this project logs in to Snowflake, from the environment's variables: who, where, by which secret, with which limits.

Sessions and statements are in `snowflake`; ways to log in that dagster-snowflake does not know are in `snowflake_login`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from kumo_assets.errors import ConfigError
from kumo_assets.redaction import holds_a_secret

if TYPE_CHECKING:
    from dagster_snowflake import SnowflakeResource

# A request whose answer does not come is sent again for so long, in seconds; then the statement fails. A statement that
# runs for hours is no such request: Snowflake answers every 45 s that it is still in progress. The connector's own default
# is for ever.
NETWORK_SECONDS = 300
# Reading one answer, in seconds (the connector's own default).
SOCKET_SECONDS = 60

# No statement of ours takes longer; without it Snowflake's default of two days holds, for one that nobody waits for too.
STATEMENT_SECONDS = 4 * 3600

# Parameters of our own sessions, whatever an account or a user sets, because each changes what our SQL means
# (Snowflake, "Parameters"): names quoted in lower case would become upper case, text would be read as timestamps by
# another format, and timestamps without an offset would be in another time zone. A view is also read by other people's
# sessions, so the views of `assets/raw.py` rely on none of them.
# A statement whose session is gone for 5 minutes is aborted: the worker that sent it is dead, and another may have begun
# the same under another name.
SESSION = {
    "ABORT_DETACHED_QUERY": True,
    "QUERY_TAG": "kumo_assets",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_SECONDS,
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "TIMEZONE": "UTC",
}

# Ways to log in that need a token, by SNOWFLAKE_AUTHENTICATOR (Snowflake, "Python connector: authentication").
TOKEN_AUTHENTICATORS = ("OAUTH", "PROGRAMMATIC_ACCESS_TOKEN")


def snowflake_resource(environ: Mapping[str, str] | None = None) -> SnowflakeResource:
    """dagster-snowflake's resource with each SNOWFLAKE_* variable that is set, as `EnvVar`: no secret is read here.

    SNOWFLAKE_HOST, _PORT and _PROTOCOL (the sandbox, or a private link) are passed to the connector as they are. Raises
    ConfigError where the variables contradict each other, or one holds a key that should name its file.
    """
    from kumo_assets.resources.snowflake_login import SnowflakeWithToken

    source = os.environ if environ is None else environ
    if holds_a_secret(source.get("SNOWFLAKE_PRIVATE_KEY_PATH") or "/"):
        raise ConfigError(
            "log in to Snowflake",
            found="SNOWFLAKE_PRIVATE_KEY_PATH holds no path but something that looks like the key itself",
            next="put the key into SNOWFLAKE_PRIVATE_KEY, or the path of its file into SNOWFLAKE_PRIVATE_KEY_PATH",
        )
    optional = {
        "password": "SNOWFLAKE_PASSWORD",
        "private_key": "SNOWFLAKE_PRIVATE_KEY",
        "private_key_path": "SNOWFLAKE_PRIVATE_KEY_PATH",
        "private_key_password": "SNOWFLAKE_PRIVATE_KEY_PASSWORD",
        "role": "SNOWFLAKE_ROLE",
        "warehouse": "SNOWFLAKE_WAREHOUSE",
        "database": "SNOWFLAKE_DATABASE",
        "schema": "SNOWFLAKE_SCHEMA",
        "authenticator": "SNOWFLAKE_AUTHENTICATOR",
        "token": "SNOWFLAKE_TOKEN",
        "token_file_path": "SNOWFLAKE_TOKEN_FILE_PATH",
        "workload_identity_provider": "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER",
    }
    fields: dict[str, Any] = {name: dg.EnvVar(variable) for name, variable in optional.items() if source.get(variable)}
    extra: dict[str, object] = {
        "session_parameters": dict(SESSION),
        # At each login connector 4 asks clouds' metadata addresses and AWS STS where it runs, for its telemetry: up to
        # 0.6 s, four times a day's run (snowflake/connector/platform_detection.py; measured 0.72 s against 0.07 s).
        "platform_detection_timeout_seconds": 0.0,
        "socket_timeout": SOCKET_SECONDS,
    }
    for name in ("host", "protocol"):
        if source.get(f"SNOWFLAKE_{name.upper()}"):
            extra[name] = source[f"SNOWFLAKE_{name.upper()}"]
    if source.get("SNOWFLAKE_PORT"):
        extra["port"] = int(source["SNOWFLAKE_PORT"])
    secrets = [name for name in ("password", "private_key", "private_key_path") if name in fields]
    if len(secrets) > 1:
        raise ConfigError(
            "log in to Snowflake",
            found=f"{' and '.join(optional[name] for name in secrets)} are set",
            next="keep one: a key pair for a service, a password for a laptop's sandbox",
        )
    authenticator = source.get("SNOWFLAKE_AUTHENTICATOR", "").upper()
    tokens = [name for name in ("token", "token_file_path") if name in fields]
    if tokens and not authenticator and not secrets:
        raise ConfigError(
            "log in to Snowflake",
            found=f"{optional[tokens[0]]} is set, and SNOWFLAKE_AUTHENTICATOR does not say what kind of token it is",
            next=f"set SNOWFLAKE_AUTHENTICATOR to one of: {', '.join(TOKEN_AUTHENTICATORS)}, WORKLOAD_IDENTITY",
        )
    if authenticator in TOKEN_AUTHENTICATORS and not tokens:
        # An unset variable fails at run time with its name; without it the connector would send an empty token.
        fields["token"] = dg.EnvVar("SNOWFLAKE_TOKEN")
    if not secrets and not authenticator:
        # dagster-snowflake insists on one of them; an unset variable then fails at run time with its name.
        fields["password"] = dg.EnvVar("SNOWFLAKE_PASSWORD")
    return SnowflakeWithToken(
        account=dg.EnvVar("SNOWFLAKE_ACCOUNT"),
        user=dg.EnvVar("SNOWFLAKE_USER"),
        login_timeout=30,
        network_timeout=NETWORK_SECONDS,
        additional_snowflake_connection_args=extra,
        **fields,
    )


def resource_outside_dagster() -> SnowflakeResource:
    """The resource with its variables read, for code that Dagster does not run."""
    resource: SnowflakeResource = snowflake_resource().process_config_and_initialize()
    return resource
