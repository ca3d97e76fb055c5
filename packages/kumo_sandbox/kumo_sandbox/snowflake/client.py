"""A connection to Snowflake, the sandbox's or a real one, by the vendor's connector and the SNOWFLAKE_* variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def connect(env: Mapping[str, str]) -> Any:
    """Raises the connector's own errors. Close it, or use it as a context manager."""
    # Importing the connector takes two seconds (it imports pandas).
    import snowflake.connector

    return snowflake.connector.connect(
        account=env["SNOWFLAKE_ACCOUNT"],
        user=env["SNOWFLAKE_USER"],
        password=env["SNOWFLAKE_PASSWORD"],
        host=env["SNOWFLAKE_HOST"],
        port=int(env["SNOWFLAKE_PORT"]),
        protocol=env["SNOWFLAKE_PROTOCOL"],
        database=env["SNOWFLAKE_DATABASE"],
        schema=env.get("SNOWFLAKE_SCHEMA"),
        login_timeout=20,
        network_timeout=600,
        session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
    )
