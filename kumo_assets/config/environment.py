"""The one variable that names the environment, the bucket, and what else operational code reads from variables.

Read when used, never at import: definitions load with no network and no credentials (rule 10). Credentials are not
here; each system's own SDK reads its own.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kumo_assets.config.names import QueryNames
from kumo_assets.errors import ConfigError


def required(variable: str, meaning: str, environ: Mapping[str, str] | None = None) -> str:
    """The value of an environment variable; `ConfigError` naming it when unset or empty."""
    value = (os.environ if environ is None else environ).get(variable, "").strip()
    if not value:
        raise ConfigError(
            "read the environment variable",
            to=variable,
            found="it is not set",
            next=f'set {variable} to {meaning} (on a laptop: eval "$(kumo-sandbox env)")',
        )
    return value


def is_loopback(host: str) -> bool:
    """True for a host that is this machine: what answers there is an emulator, or a tunnel."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _account(text: str) -> str:
    if text and not re.fullmatch(r"\d{12}", text):
        raise ConfigError(
            "read the environment variable",
            to="KUMO_ASSETS_BUCKET_OWNER",
            found=f"{text!r} is no AWS account",
            next="set it to the 12 digits of the account that the bucket belongs to, or unset it",
        )
    return text


@dataclass(frozen=True)
class Environment:
    """Which environment this process works in, and where its releases live. Snowflake unloads there through the named
    `stage` (`DATABASE.SCHEMA.STAGE`), whose URL is this environment's part of the bucket; without one through the
    `storage_integration`, to a URL. `bucket_owner` is the AWS account that the bucket belongs to, where it is another one."""

    name: str
    bucket: str
    storage_integration: str = ""
    stage: str = ""
    bucket_owner: str = ""
    zookeeper: str = ""

    @classmethod
    def from_variables(cls, environ: Mapping[str, str] | None = None) -> Environment:
        source = os.environ if environ is None else environ
        return cls(
            name=required("KUMO_ASSETS_ENV", "local, staging or production", source),
            bucket=required("KUMO_ASSETS_BUCKET", "the S3 bucket of releases and pointers", source),
            storage_integration=source.get("KUMO_ASSETS_STORAGE_INTEGRATION", ""),
            stage=source.get("KUMO_ASSETS_STAGE", "").strip(),
            bucket_owner=_account(source.get("KUMO_ASSETS_BUCKET_OWNER", "").strip()),
            zookeeper=source.get("KUMO_ASSETS_ZOOKEEPER", ""),
        )

    def names(self, query: str) -> QueryNames:
        """Names of one query's artefacts here. Raises ConfigError for a malformed environment, query or bucket."""
        return QueryNames(environment=self.name, query=query, bucket=self.bucket)
