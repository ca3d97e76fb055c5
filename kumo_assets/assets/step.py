"""What every asset of the chain does around its own work: which release it builds, what it adopts, what it proves.

An asset that already has its artefact record returns it: re-running adopts (rule 2). S3 is the only outside system here.
What the Dagster UI shows is in `ui`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from kumo_assets.assets.keys import code_version
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import QueryNames
from kumo_assets.config.partitions import demand_partition
from kumo_assets.documents import Artefact, Details, Opened, WarehouseDetails, utc_now
from kumo_assets.errors import ReleaseError
from kumo_assets.gates.own import gates_of
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import RunIdentity, open_release, run_of
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.sql import table


@dataclass(frozen=True)
class Step:
    """One asset's work on one release."""

    definition: QueryDefinition
    store: ReleaseStore
    run: RunIdentity
    opened: Opened
    asset: str
    started: float = field(default_factory=time.perf_counter)

    @property
    def names(self) -> QueryNames:
        return self.store.names

    @property
    def release_id(self) -> str:
        return self.opened.release_id

    def existing(self) -> Artefact | None:
        """This release's own artefact of this asset, if an earlier attempt of the run has proved it."""
        return self.store.artefact(self.release_id, self.asset)

    def upstream(self, asset: str) -> Artefact:
        """The artefact that this release builds on: its own, or the one that its `opened.json` says it adopted."""
        home = self.store.home(self.opened, asset)
        artefact = self.store.artefact(home, asset)
        if artefact is None:
            raise ReleaseError(
                f"build {self.asset} of release",
                to=self.release_id,
                found=f"release {home} has no {asset}",
                next=f"materialise {asset} for partition {self.opened.partition} first",
            )
        return artefact

    def prove(
        self, *, name: str, attempt: int, rows: int, entities: int, seconds_outside: float, details: Details
    ) -> Artefact:
        """Record that the artefact exists and is what it should be. Written once; the first record stays."""
        return self.store.write_artefact(
            Artefact(
                query=self.definition.name,
                release_id=self.release_id,
                asset=self.asset,
                attempt=attempt,
                name=name,
                rows=rows,
                entities=entities,
                seconds_outside=round(seconds_outside, 3),
                created_at=utc_now(),
                details=details,
            )
        )


def begin(
    context: dg.AssetExecutionContext, definition: QueryDefinition, releases: ReleasesResource, asset: str
) -> Step:
    """Open this run's release, or find it open, before anything is launched.

    Raises ConfigError for a day that is no partition of the query, ReleaseError when the run starts mid-chain and there is
    nothing upstream to adopt.
    """
    started = time.perf_counter()
    run = run_of(context)
    refuse_the_future(run.partition, definition)
    store = releases.store(definition.name)
    opened = open_release(
        store,
        run,
        definition,
        asset,
        gates=gates_of(definition),
        code_version=code_version(definition),
    )
    if opened.adopted:
        adopted = ", ".join(f"{name} of {release}" for name, release in opened.adopted.items())
        context.log.info(f"Release {opened.release_id} adopts {adopted}")
    return Step(definition=definition, store=store, run=run, opened=opened, asset=asset, started=started)


def refuse_the_future(partition: str, definition: QueryDefinition, now: datetime | None = None) -> None:
    """ConfigError for a day that has not ended in the query's time zone, or is outside of its schedule. Dagster's API
    accepts any partition key, and the run would wait for that day's logs, or pay for a day that nobody wants."""
    demand_partition(definition, partition, now, doing=f"materialise {definition.name} for")


def table_of(artefact: Artefact) -> str:
    """The quoted name of the Snowflake table that an artefact of `predictions` or `postprocessed` is."""
    place = artefact.details_as(WarehouseDetails)
    return table(place.database, place.schema_name, artefact.name)
