"""The bundle of outside systems every operation works through, and reading a release and the pointer out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kumo_assets.releases.decision import Active, Candidate
from kumo_assets.releases.ledger import Ledger
from kumo_assets.releases.pointers import PointerStore, VersionedPointer, open_pointer_store
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.dynamodb import tables
from kumo_assets.spec.environment import Environment
from kumo_assets.spec.load import QueryDefinition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Outside:
    """One query's release objects, pointer, ledger and tables, in one environment."""

    definition: QueryDefinition
    store: ReleaseStore
    pointers: PointerStore
    ledger: Ledger
    dynamodb: DynamoDBClient

    @property
    def query(self) -> str:
        return self.definition.name

    def close(self) -> None:
        self.pointers.close()


def outside(definition: QueryDefinition, environment: Environment, s3: Any = None, dynamodb: Any = None) -> Outside:
    """The bundle made from the environment's variables. ConfigError names what is missing; no call is made yet."""
    from kumo_assets.resources.aws import dynamodb_client, s3_client

    names = environment.names(definition.name)
    client = s3 or s3_client()
    return Outside(
        definition=definition,
        store=ReleaseStore(names, client),
        pointers=open_pointer_store(definition.spec.pointer.store, names, client, environment),
        ledger=Ledger(names, client),
        dynamodb=dynamodb or dynamodb_client(),
    )


def candidate_of(world: Outside, release: str, *, look_at_table: bool) -> Candidate:
    """Everything the decision wants to know of a release, read now."""
    store = world.store
    opened = store.opened(release)
    sealed = store.sealed(release)
    fault = None
    if look_at_table and sealed is not None:
        fault = tables.fault(tables.describe(world.dynamodb, sealed.seal.table), world.definition.spec.table)
    return Candidate(
        release_id=release,
        opened=opened,
        sealed=sealed,
        verdicts=store.required_verdicts(opened) if opened is not None else {},
        rejected=store.rejection(release) is not None,
        retired=store.retirement(release) is not None,
        table_fault=fault,
    )


def active_of(world: Outside, found: VersionedPointer | None) -> Active | None:
    """What the decision wants to know of the pointer."""
    if found is None:
        return None
    pointer = found.pointer
    release = pointer.served_release_id
    sealed = world.store.sealed(release) if release else None
    return Active(
        release_id=release,
        partition=pointer.served_partition,
        generation=pointer.generation,
        order=sealed.order if sealed is not None else None,
        held=f"{pointer.hold.reason} ({pointer.hold.by}, {pointer.hold.at})" if pointer.hold is not None else None,
        hand_edited=found.hand_edited,
    )
