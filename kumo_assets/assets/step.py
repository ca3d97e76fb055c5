"""What every asset of the chain does around its own work: which release it builds, what it adopts, what it proves.

An asset that already has its artefact record returns it: re-running adopts (rule 2), as long as the definition still
says what the artefact was made from. S3 is the only outside system here. What the Dagster UI shows is in `ui`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import dagster as dg

from kumo_assets.assets.keys import code_version
from kumo_assets.assets.made_from import made_from_now
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN, QueryNames
from kumo_assets.config.partitions import demand_partition
from kumo_assets.documents import Artefact, Attempt, Details, Opened, WarehouseDetails, utc_now
from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.gates.own import gates_of
from kumo_assets.releases.fingerprints import (
    MadeFrom,
    differences,
    fingerprint_of,
    first_difference,
    without_fingerprint,
)
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import RunIdentity, open_release, run_of
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table


@dataclass(frozen=True)
class Step:
    """One asset's work on one release."""

    definition: QueryDefinition
    store: ReleaseStore
    run: RunIdentity
    opened: Opened
    asset: str
    warn: Callable[[str], object]
    started: float = field(default_factory=time.perf_counter)

    @property
    def names(self) -> QueryNames:
        return self.store.names

    @property
    def release_id(self) -> str:
        return self.opened.release_id

    def existing(self) -> Artefact | None:
        """The artefact of this asset that the release adopted, or that an earlier attempt of the run has proved."""
        return self.store.artefact(self.store.home(self.opened, self.asset), self.asset)

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

    @cached_property
    def made_from(self) -> MadeFrom:
        """What this asset is made from, by the definition of now and the artefact it is built on."""
        position = CHAIN.index(self.asset)
        source = self.upstream(CHAIN[position - 1]) if position else None
        return made_from_now(self.definition, self.opened.partition)(self.asset, source)

    def begin_attempt(self, number: int) -> Attempt:
        """Record what an attempt is made from, before anything is started under its name. The record that exists then:
        this run's, or that of a run before or beside it."""
        return self.store.begin_attempt(
            Attempt(
                query=self.definition.name,
                release_id=self.release_id,
                asset=self.asset,
                attempt=number,
                made_from=dict(self.made_from),
                fingerprint=fingerprint_of(self.made_from),
                run_id=self.run.run_id,
                by=self.run.by,
                begun_at=utc_now(),
            )
        )

    def attempt(self, number: int) -> Attempt | None:
        """What an attempt was begun with. None for one that was not begun, or by an earlier version."""
        return self.store.attempt(self.release_id, self.asset, number)

    def other_run(self, begun: Attempt | None) -> str:
        """The run that began an attempt, when it is not this one; "" otherwise."""
        return f"run {begun.run_id} of {begun.by}" if begun is not None and begun.run_id != self.run.run_id else ""

    def differs(self, begun: Attempt | None) -> str:
        """How what an attempt was begun with differs from the definition of now; "" when it agrees, or is not known."""
        return "; ".join(differences(begun.made_from, self.made_from)) if begun is not None else ""

    def prove(
        self, *, name: str, attempt: int, rows: int, entities: int, seconds_outside: float, details: Details
    ) -> Artefact:
        """Record that the artefact exists and is what it should be. Written once; the first record stays.

        Raises Refused when that one is another run's, made from another definition.
        """
        recorded = self.store.write_artefact(
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
                made_from=dict(self.made_from),
                fingerprint=fingerprint_of(self.made_from),
                details=details,
            )
        )
        found = differences(recorded.made_from, self.made_from)
        if found:
            raise _edited(self.definition, self.opened, self.asset, self.release_id, "; ".join(found))
        return recorded


def begin(
    context: dg.AssetExecutionContext, definition: QueryDefinition, releases: ReleasesResource, asset: str
) -> Step:
    """Open this run's release, or find it open, before anything is launched.

    Raises ConfigError for a day that is no partition of the query, ReleaseError when the run starts mid-chain and there is
    nothing upstream to adopt, and Refused when an artefact that the release has, or would adopt, was made from another
    definition.
    """
    started = time.perf_counter()
    run = run_of(context)
    refuse_the_future(run.partition, definition)
    store = releases.store(definition.name)
    assets = CHAIN[: CHAIN.index(asset) + 1]

    def judge(release: Opened) -> None:
        found = first_difference(store, release, made_from_now(definition, run.partition), assets)
        if found is not None:
            raise _edited(definition, release, found.asset, found.release_id, found.what)

    opened = open_release(
        store,
        run,
        definition,
        asset,
        gates=gates_of(definition),
        code_version=code_version(definition),
        judge=judge,
    )
    for older in without_fingerprint(store, opened, assets):
        context.log.warning(
            f"{older} of release {store.home(opened, older)} was recorded by an earlier version, which did not say what "
            "it was made from; it counts as made from this definition"
        )
    if opened.adopted:
        adopted = ", ".join(f"{name} of {release}" for name, release in opened.adopted.items())
        context.log.info(f"Release {opened.release_id} adopts {adopted}")
    return Step(
        definition=definition,
        store=store,
        run=run,
        opened=opened,
        asset=asset,
        warn=context.log.warning,
        started=started,
    )


def _edited(definition: QueryDefinition, opened: Opened, asset: str, home: str, what: str) -> Refused:
    """The error of a release that has, or would adopt, an artefact of another definition. It names the command that
    builds what the definition says now."""
    command = f"kumo-assets materialize {definition.name} --partition {opened.partition}"
    if asset == CHAIN[0]:
        following = f"put the definition back, or compute the predictions anew: {command} --fresh"
    else:
        following = f"{command}: a new release gets what the definition says now, and this one stays as it is"
    return Refused(
        "go on with release",
        to=opened.release_id,
        found=f"the definition was edited after {asset} of {home} was made: {what}",
        next=following,
    )


def refuse_the_future(partition: str, definition: QueryDefinition, now: datetime | None = None) -> None:
    """ConfigError for a day that has not ended in the query's time zone, or is outside of its schedule. Dagster's API
    accepts any partition key, and the run would wait for that day's logs, or pay for a day that nobody wants."""
    demand_partition(definition, partition, now, doing=f"materialise {definition.name} for")


def table_of(artefact: Artefact) -> str:
    """The quoted name of the Snowflake table that an artefact of `predictions` or `postprocessed` is."""
    place = artefact.details_as(WarehouseDetails)
    return table(place.database, place.schema_name, artefact.name)


def predictions_of(warehouse: Warehouse, artefact: Artefact) -> tuple[str, dict[str, str]]:
    """(what to select predictions from, column -> SQL type), with every column's name in upper case."""
    place = artefact.details_as(WarehouseDetails)
    return warehouse.readable(place.database, place.schema_name, artefact.name)
