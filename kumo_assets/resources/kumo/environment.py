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
    "dialect": "KUMO_API_DIALECT",
    "group_id": "KUMO_GROUP_ID",
    "project_id": "KUMO_PROJECT_ID",
}


def client_from_environment(environ: Mapping[str, str] | None = None) -> KumoClient:
    """A client of the tenant that the environment names, to be used as a context manager. Nothing is asked of Kumo yet.

    ConfigError when the URL, or both key and token file, are missing, and as `open_client` raises it.
    """
    source = os.environ if environ is None else environ
    for variable in ("KUMO_API_URL", "KUMO_API_KEY"):
        if not source.get(variable) and not (variable == "KUMO_API_KEY" and source.get("KUMO_SNOWFLAKE_TOKEN_FILE")):
            raise ConfigError("reach Kumo", found=f"{variable} is not set", next=f"set {variable}")
    fields: Mapping[str, Any] = {name: source[variable] for name, variable in VARIABLES.items() if source.get(variable)}
    return open_client(source["KUMO_API_URL"], **fields)
