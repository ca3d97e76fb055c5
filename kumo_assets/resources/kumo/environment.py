"""Which environment variables configure the client, and a client from them, for code that runs without Dagster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.client import KumoClient, open_client

# Optional argument of `open_client` -> its variable. The URL, which is required, is in KUMO_API_URL.
VARIABLES = {
    "api_key": "KUMO_API_KEY",
    "token_file": "KUMO_SNOWFLAKE_TOKEN_FILE",
    "authentication": "KUMO_AUTHENTICATION",
    "dialect": "KUMO_API_DIALECT",
    "group_id": "KUMO_GROUP_ID",
    "project_id": "KUMO_PROJECT_ID",
    "project": "KUMO_PROJECT",
}


def client_from_environment(environ: Mapping[str, str] | None = None) -> KumoClient:
    """A client of the tenant that the environment names, to be used as a context manager. Nothing is asked of Kumo yet.

    ConfigError when the URL, or every way to authenticate, is missing, and as `open_client` raises it.
    """
    source = os.environ if environ is None else environ
    if not source.get("KUMO_API_URL"):
        raise ConfigError("reach Kumo", found="KUMO_API_URL is not set", next="set KUMO_API_URL")
    if not any(source.get(VARIABLES[way]) for way in ("api_key", "token_file", "authentication")):
        raise ConfigError(
            "reach Kumo",
            found="KUMO_API_KEY is not set",
            next="set KUMO_API_KEY; for the Snowflake native app KUMO_AUTHENTICATION or KUMO_SNOWFLAKE_TOKEN_FILE",
        )
    fields: Mapping[str, Any] = {name: source[variable] for name, variable in VARIABLES.items() if source.get(variable)}
    return open_client(source["KUMO_API_URL"], **fields)
