"""Release objects and pointers as a Dagster resource. The one module of this room that imports Dagster.

Which environment and which bucket is read when a run starts, never when definitions load (rule 10).
"""

import threading
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Seal
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.s3 import S3Resource

_making = threading.Lock()


class ReleasesResource(dg.ConfigurableResource):
    """Where releases are kept: S3, as configured for the whole project."""

    s3: dg.ResourceDependency[S3Resource]
    _client: Any = PrivateAttr(default=None)

    def client(self) -> Any:
        """The S3 client, made once a run."""
        with _making:  # the sensor's threads ask at once, and each would make one
            if self._client is None:
                self._client = self.s3.get_client()
        return self._client

    def environment(self) -> Environment:
        """The environment of this process; ConfigError names a variable that is missing."""
        return Environment.from_variables()

    def store(self, query: str) -> ReleaseStore:
        """The release objects of one query."""
        return ReleaseStore(self.environment().names(query), self.client())

    def context(self, definition: QueryDefinition) -> ReleaseContext:
        """Everything the operations on a query's releases work through."""
        return ReleaseContext.from_environment(definition, self.environment(), s3=self.client())

    def active_seal(self, definition: QueryDefinition) -> Seal | None:
        """The seal of the release that is served now: the gates' baseline. None before the first promotion."""
        ctx = self.context(definition)
        try:
            found = ctx.pointers.read()
            release = found.pointer.served_release_id if found is not None else ""
            sealed = ctx.store.sealed(release) if release else None
            return sealed.seal if sealed is not None else None
        finally:
            ctx.close()
