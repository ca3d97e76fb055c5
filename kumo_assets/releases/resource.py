"""Release objects and pointers as a Dagster resource. The one module of this room that imports Dagster.

Which environment and which bucket is read when a run starts, never when definitions load (rule 10).
"""

import threading
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.releases.cache import ReleaseCache
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.s3 import S3Resource
from kumo_assets.resources.s3_objects import ObjectStore


class ReleasesResource(dg.ConfigurableResource["ReleasesResource"]):
    """Where releases are kept: S3, as configured for the whole project.

    Dagster makes a new instance for each run, and for each tick of a sensor. What one reads is kept for the run;
    `share` is for whoever lives longer.
    """

    s3: dg.ResourceDependency[S3Resource]
    _client: Any = PrivateAttr(default=None)
    _making: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _cache: ReleaseCache = PrivateAttr(default_factory=ReleaseCache)

    def share(self, cache: ReleaseCache) -> None:
        """Work with a cache that outlives this instance. Call it before anything is read."""
        self._cache = cache

    def client(self) -> Any:
        """The S3 client, made once for each instance."""
        with self._making:  # the sensor's threads ask at once, and each would make one
            if self._client is None:
                self._client = self.s3.client(self._cache.sessions)
        return self._client

    def environment(self) -> Environment:
        """The environment of this process; ConfigError names a variable that is missing."""
        return Environment.from_variables()

    def store(self, query: str) -> ReleaseStore:
        """The release objects of one query."""
        names = self.environment().names(query)
        return ReleaseStore(names, ObjectStore(names.bucket, self.client(), self._cache.objects))

    def objects(self, bucket: str) -> ObjectStore:
        """The objects of a bucket, through this instance's client."""
        return ObjectStore(bucket, self.client(), self._cache.objects)

    def context(self, definition: QueryDefinition) -> ReleaseContext:
        """Everything the operations on a query's releases work through."""
        return ReleaseContext.from_environment(definition, self.environment(), s3=self.client(), cache=self._cache)
