"""The bundle of outside systems every operation works through, and reading a release and the pointer out of it.

Made from the environment and one query's definition, or from a pointer's address alone: a rollback must not need a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from kumo_serving.errors import PointerMalformed
from kumo_serving.pointer import KeyAttribute

from kumo_assets.errors import ConfigError, ReleaseError
from kumo_assets.releases.decision import Active, Candidate
from kumo_assets.releases.documents import Seal
from kumo_assets.releases.ledger import Ledger, is_move
from kumo_assets.releases.pointers import PointerStore, VersionedPointer, open_pointer_store, pointer_store_at
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.dynamodb import tables
from kumo_assets.spec.environment import Environment
from kumo_assets.spec.load import QueryDefinition
from kumo_assets.spec.names import QueryNames
from kumo_assets.spec.query import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass
class Outside:
    """One query's release objects, pointer, ledger and tables, in one environment.

    `definition` is None when the bundle was made from a pointer's address: then the definition's options are at their
    defaults, which ask less of a table. `trial` looks entities up in a release's table as a service would, and gives
    words for each that got no answer.
    """

    names: QueryNames
    definition: QueryDefinition | None
    store: ReleaseStore
    pointers: PointerStore
    ledger: Ledger
    make_dynamodb: Callable[[], Any] = field(repr=False)
    trial: Callable[[Seal, list[str]], Mapping[str, str]] = field(default_factory=lambda: trial, repr=False)

    @property
    def query(self) -> str:
        return self.names.query

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Made when first wanted: a sensor's tick over a hundred queries wants none."""
        client: DynamoDBClient = self.make_dynamodb()
        return client

    @property
    def table(self) -> Table:
        """What the definition asks of a table."""
        return self.definition.spec.table if self.definition is not None else Table()

    def now(self) -> datetime:
        """The time by S3's clock, which also dates the seals: this machine's may be wrong (fault 19). Told in whole
        seconds, and so rounded up: what S3 has dated is never in the future."""
        answer: Any = self.store.listing_answer()
        told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return parsedate_to_datetime(told) + timedelta(seconds=1) if told else datetime.now(UTC)

    def close(self) -> None:
        self.pointers.close()


def outside(
    definition: QueryDefinition,
    environment: Environment,
    s3: Any = None,
    dynamodb: Any = None,
    *,
    pointer_uri: str | None = None,
) -> Outside:
    """The bundle made from the environment's variables. ConfigError names what is missing; no call is made yet."""
    from kumo_assets.resources.aws import dynamodb_client, s3_client

    names = environment.names(definition.name)
    client = s3 or s3_client()
    pointers = (
        pointer_store_at(pointer_uri, names, lambda: client)
        if pointer_uri
        else open_pointer_store(definition.spec.pointer.store, names, lambda: client, environment)
    )
    return Outside(
        names=names,
        definition=definition,
        store=ReleaseStore(names, client),
        pointers=pointers,
        ledger=Ledger(names, client),
        make_dynamodb=(lambda: dynamodb) if dynamodb is not None else dynamodb_client,
    )


def outside_of_pointer(uri: str, s3: Any = None, dynamodb: Any = None) -> Outside:
    """The bundle made from a pointer's address alone: the document there says the rest. Reads the pointer once.

    Raises ConfigError when nothing is there, PointerMalformed when the document does not say which query it is of.
    """
    from kumo_assets.resources.aws import dynamodb_client, s3_client

    client = s3 or s3_client()
    unknown = QueryNames(environment="unknown", query="unknown", bucket="unknown")
    store = pointer_store_at(uri, unknown, lambda: client)
    try:
        raw = store.peek()
    finally:
        store.close()
    if raw is None:
        raise ConfigError("read the active pointer", to=uri, found="nothing is there", next="correct the address")
    names = _names_in(raw.data, uri)
    region = _region_in(raw.data)
    return Outside(
        names=names,
        definition=None,
        store=ReleaseStore(names, client),
        pointers=pointer_store_at(uri, names, lambda: client),
        ledger=Ledger(names, client),
        make_dynamodb=(lambda: dynamodb) if dynamodb is not None else partial(dynamodb_client, region),
    )


def _names_in(data: bytes, uri: str) -> QueryNames:
    """Environment, query and bucket from the document's `releases`, `s3://<bucket>/<env>/<query>/releases/`."""
    try:
        parts = json.loads(data.decode("utf-8-sig"))["releases"].removeprefix("s3://").split("/")
        return QueryNames(bucket=parts[0], environment=parts[1], query=parts[2])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PointerMalformed(
            "read the active pointer",
            to=uri,
            found=f"field 'releases' does not say where the releases are ({type(error).__name__}: {error})",
            next="name the query instead of --pointer: its definition says where they are",
        ) from error


def _region_in(data: bytes) -> str | None:
    region = json.loads(data.decode("utf-8-sig")).get("region")
    return region if isinstance(region, str) and region else None


def trial(seal: Seal, sample: list[str]) -> dict[str, str]:
    """Look the sample up in the sealed table through the very reader that services use; words by entity without answer.

    Raises ReadError when there are no credentials or no region.
    """
    from kumo_serving import Answer, TableReader

    reader = TableReader(seal.table, key=KeyAttribute(**seal.key), item_format=seal.item_format, region=seal.region)
    try:
        outcomes = reader.get_many(list(sample))
    finally:
        reader.close()
    return {entity: str(outcomes.get(entity)) for entity in sample if not isinstance(outcomes.get(entity), Answer)}


def candidate_of(world: Outside, release: str) -> Candidate:
    """What the decision wants to know of a release, read now; `with_table` adds what its table lacks."""
    store = world.store
    opened = store.opened(release)
    sealed = store.sealed(release)
    return Candidate(
        release_id=release,
        opened=opened,
        sealed=sealed,
        verdicts=store.required_verdicts(opened) if opened is not None else {},
        rejected=store.rejection(release) is not None,
        retired=store.retirement(release) is not None,
    )


def with_table(world: Outside, candidate: Candidate) -> Candidate:
    """The same candidate, its table looked at."""
    if candidate.sealed is None:
        return candidate
    found = tables.describe(world.dynamodb, candidate.sealed.seal.table)
    return replace(candidate, table_fault=tables.fault(found, world.table))


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


def put_back(world: Outside, found: VersionedPointer | None) -> str | None:
    """Words when the ledger knows a later generation than the pointer that stands: somebody deleted the pointer, or put
    an old document back, digest and all. None when all is in order. One listing, and each new entry read once."""
    since = datetime.fromisoformat(found.move.at) if found is not None and found.move is not None else None
    generation = found.pointer.generation if found is not None else 0
    later = [
        record.entry
        for record in world.ledger.read(world.ledger.names_since(since))
        if is_move(record.entry) and record.entry.generation > generation
    ]
    if not later:
        return None
    # Somebody may simply have moved on between our read and the listing: then what stands is no longer what we read.
    now = world.pointers.peek()
    if (now.version if now is not None else None) != (found.version if found is not None else None):
        return None
    newest = max(later, key=lambda entry: entry.generation)
    told = f"generation {newest.generation} ({newest.action} to {newest.to_release or 'nothing'} by {newest.by})"
    if found is None:
        return f"the pointer was deleted: the ledger knows {told}"
    return f"an old pointer, generation {generation}, was put back over {told}"


def definition_of(world: Outside) -> QueryDefinition:
    """The definition, for operations that cannot do without; ReleaseError for a bundle made from an address."""
    if world.definition is None:
        raise ReleaseError(
            "read the definition of", to=world.query, found="only a pointer's address was given", next="name the query"
        )
    return world.definition
