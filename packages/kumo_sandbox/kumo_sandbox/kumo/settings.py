"""What the emulator is told by its environment: where state lives, who may call, and the warehouse it reads and writes.

Settings that tests change while it runs (key rotation, RBAC, pace) are in `live.py`; this module is read once at start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class WarehouseSettings:
    """How snowflake-connector-python reaches the warehouse (Snowflake's own, or fakesnow's server)."""

    host: str
    port: int
    protocol: str
    account: str
    user: str
    password: str = field(repr=False)
    database: str
    schema: str
    warehouse: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> WarehouseSettings:
        return cls(
            host=env.get("SNOWFLAKE_HOST", "127.0.0.1"),
            port=int(env.get("SNOWFLAKE_PORT", "443")),
            protocol=env.get("SNOWFLAKE_PROTOCOL", "http"),
            account=env.get("SNOWFLAKE_ACCOUNT", "sandbox"),
            user=env.get("SNOWFLAKE_USER", "kumo"),
            password=env.get("SNOWFLAKE_PASSWORD", "kumo"),
            database=env.get("SNOWFLAKE_DATABASE", "KUMO"),
            schema=env.get("SNOWFLAKE_SCHEMA", "PREDICTIONS"),
            warehouse=env.get("SNOWFLAKE_WAREHOUSE", "SANDBOX"),
        )


@dataclass(frozen=True)
class Settings:
    """Everything fixed for the life of one emulator process.

    `pace` is the length in seconds of each waiting stage of a job; `queries_file` an optional YAML file of predictive
    queries (see `queries.py`); `token` is a programmatic access token that the native
    app's ingress knows, besides the tokens of Snowflake's sessions.
    """

    state: Path
    api_key: str = field(repr=False)
    token: str = field(repr=False)
    warehouse: WarehouseSettings
    pace: float = 0.2
    concurrency: int = 2
    connector: str = "sandbox_snowflake"
    queries_file: Path | None = None
    rbac: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Raises `ValueError` naming the variable when one is missing or malformed."""
        env = os.environ if env is None else env
        state = env.get("KUMO_SANDBOX_KUMO_STATE")
        if not state:
            raise ValueError(
                "KUMO_SANDBOX_KUMO_STATE is not set: the folder in which the Kumo emulator keeps its state"
            )
        key = env.get("KUMO_SANDBOX_API_KEY", "demo:secret")
        if ":" not in key:
            raise ValueError("KUMO_SANDBOX_API_KEY must look like customer:secret (the vendor's keys do)")
        queries = env.get("KUMO_SANDBOX_QUERIES")
        return cls(
            state=Path(state),
            api_key=key,
            token=env.get("KUMO_SANDBOX_KUMO_TOKEN", "sandbox-token"),
            warehouse=WarehouseSettings.from_env(env),
            pace=float(env.get("KUMO_SANDBOX_PACE", "0.2")),
            concurrency=int(env.get("KUMO_SANDBOX_CONCURRENCY", "2")),
            connector=env.get("KUMO_SANDBOX_CONNECTOR", "sandbox_snowflake"),
            queries_file=Path(queries) if queries else None,
            rbac=env.get("KUMO_SANDBOX_RBAC", "").lower() in ("1", "true", "yes"),
        )
