"""Release objects and pointers as a Dagster resource. The one module of this room that imports Dagster.

Which environment and which bucket is read when a run starts, never when definitions load (rule 10).
"""

from __future__ import annotations

import dagster as dg
from dagster_aws.s3 import S3Resource

from kumo_assets.releases.store import ReleaseStore
from kumo_assets.spec.environment import Environment


class ReleasesResource(dg.ConfigurableResource):
    """Where releases are kept: S3, as configured for the whole project."""

    s3: dg.ResourceDependency[S3Resource]

    def environment(self) -> Environment:
        """The environment of this process; ConfigError names a variable that is missing."""
        return Environment.from_variables()

    def store(self, query: str) -> ReleaseStore:
        """The release objects of one query."""
        return ReleaseStore(self.environment().names(query), self.s3.get_client())
