"""The Kumo client as a Dagster resource: fields that come from environment variables, nothing else.

The only module of this package that imports Dagster; without it there is `environment.client_from_environment`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from kumo_assets.resources.kumo.client import KumoClient, open_client
from kumo_assets.resources.kumo.environment import VARIABLES


class KumoResource(dg.ConfigurableResource["KumoResource"]):
    """One Kumo tenant."""

    url: str = Field(description="Base URL, https://<customer>.kumoai.cloud/api")
    api_key: str = Field(default="", repr=False, description="`<customer>:<secret>`; or use token_file.")
    token_file: str = Field(default="", description="File with a Snowflake token for the native app.")
    authentication: str = Field(
        default="", description="For the native app: snowflake (log in by SNOWFLAKE_*), or none inside a notebook."
    )
    dialect: str = Field(default="sdk", description="sdk (2.x) or v3 (3.0)")
    group_id: str = Field(default="", description="RBAC group, where the tenant has RBAC")
    project_id: str = Field(default="", description="RBAC project, where the tenant has RBAC")
    project: str = Field(default="", description="Project of a 3.0 tenant: id, slug or name; the default one if empty")
    connect_seconds: float = 5.0
    read_seconds: float = 30.0

    def client(self) -> KumoClient:
        """A client to be used as a context manager. ConfigError for a wrong URL, dialect or authentication."""
        return open_client(
            self.url,
            self.api_key,
            token_file=self.token_file,
            authentication=self.authentication,
            dialect=self.dialect,
            group_id=self.group_id,
            project_id=self.project_id,
            project=self.project,
            connect_seconds=self.connect_seconds,
            read_seconds=self.read_seconds,
        )


def kumo_resource(environ: Mapping[str, str] | None = None) -> KumoResource:
    """The resource with each KUMO_* variable that is set, as `EnvVar`: read when a run starts, not now."""
    source = os.environ if environ is None else environ
    fields: dict[str, Any] = {name: dg.EnvVar(variable) for name, variable in VARIABLES.items() if source.get(variable)}
    return KumoResource(url=dg.EnvVar("KUMO_API_URL"), **fields)
