"""Releases' predictions to make, as the `predictions` asset hands them to a source: over the emulator's Snowflake, with S3
in memory. No Dagster is here."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from kumo_sandbox.testing.releases import definition

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import Attempt
from kumo_assets.models.registry import ModelRegistry
from kumo_assets.releases.fingerprints import fingerprint_of
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.sources.protocol import PredictionWork
from kumo_assets_tests.resources.kumo.world import ANCHOR, CONNECTOR, QUERY, World, new_release
from kumo_assets_tests.support.memory_aws import Memory

POLL = {"first_seconds": 0.05, "max_seconds": 0.2, "deadline_minutes": 0.5, "table_seconds": 0.3}


class Begun:
    """The attempts of one release whose definition is never edited."""

    def __init__(self) -> None:
        self.records: dict[int, Attempt] = {}

    def attempt(self, number: int) -> Attempt | None:
        return self.records.get(number)

    def differs(self, begun: Attempt | None) -> str:
        return ""

    def begin_attempt(self, number: int) -> Attempt:
        record = Attempt(
            query="q",
            release_id="20171031-0000000a",
            asset="predictions",
            attempt=number,
            made_from={},
            fingerprint=fingerprint_of({}),
            run_id="r",
            by="ann",
            begun_at="2017-11-01T02:00:00.000Z",
        )
        return self.records.setdefault(number, record)


@dataclass
class Works:
    """Work on one bucket; `said` is what all of it wrote to its runs' logs."""

    world: World
    memory: Memory = field(default_factory=Memory)
    said: list[str] = field(default_factory=list)

    def of_release(self, query: str = "q1", **settings: Any) -> PredictionWork:
        """A new release of 2017-10-31; `settings` are those of `source.kumo`."""
        kumo = {"predictive_query_id": QUERY, "connector": CONNECTOR, "poll": POLL} | settings
        names = QueryNames("tests", query, "bucket")
        release = new_release()
        return PredictionWork(
            definition=definition(query, source={"kumo": kumo}),
            names=names,
            registry=ModelRegistry(names, ObjectStore("bucket", self.memory.s3())),
            resources={},
            say=self.said.append,
            warn=self.said.append,
            progress=lambda line: None,
            cancelling=lambda: False,
            partition=(ANCHOR - timedelta(days=1)).date().isoformat(),
            release_id=release,
            root_run_id=str(uuid.uuid4()),
            anchor=ANCHOR,
            warehouse=self.world.warehouse,
            attempts=Begun(),
        )
