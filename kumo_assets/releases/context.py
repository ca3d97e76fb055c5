"""`ReleaseContext`: one query's release objects, pointer, ledger and tables, which every operation works through.

It is made from the environment and a query's definition, or from a pointer's address alone: a rollback must not need a
file. What the promotion decision wants to know is read from it in `evidence`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import NoRegionError
from kumo_serving.errors import PointerMalformed

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import QueryNames
from kumo_assets.config.query import Table
from kumo_assets.documents import Seal
from kumo_assets.errors import ConfigError, ReleaseError
from kumo_assets.pointers.opening import ObjectsIn, open_pointer_store, pointer_store_at
from kumo_assets.pointers.store import PointerStore
from kumo_assets.releases.cache import ReleaseCache
from kumo_assets.releases.ledger import Ledger
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.aws import Sessions
from kumo_assets.resources.dynamodb import tables
from kumo_assets.resources.s3_objects import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@dataclass
class ReleaseContext:
    """One query's release objects, pointer, ledger and tables, in one environment.

    `definition` is None when the context was made from a pointer's address: then the definition's options are at their
    defaults, which ask less of a table. `trial` looks entities up in a release's table as a service would, and gives
    a message for each that got no answer. `cache` is what was asked already, by this context or by earlier ones. `zookeeper`
    is the environment's ensemble, where other queries may have their pointers.
    """

    names: QueryNames
    definition: QueryDefinition | None
    store: ReleaseStore
    pointers: PointerStore
    ledger: Ledger
    make_dynamodb: Callable[[], DynamoDBClient] = field(repr=False)
    cache: ReleaseCache = field(default_factory=ReleaseCache, repr=False)
    zookeeper: str = ""
    trial: Callable[[Seal, list[str]], Mapping[str, str]] = field(default_factory=lambda: trial, repr=False)
    _abroad: dict[str, DynamoDBClient] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(
        cls,
        definition: QueryDefinition,
        environment: Environment,
        s3: S3Client | None = None,
        dynamodb: DynamoDBClient | None = None,
        *,
        pointer_uri: str | None = None,
        cache: ReleaseCache | None = None,
    ) -> ReleaseContext:
        """The context that the environment's variables name. ConfigError names what is missing; no call is made yet.

        Clients that are not given are made, DynamoDB's when it is first wanted. `cache` is one that outlives the context.
        """
        cache = cache or ReleaseCache()
        names = environment.names(definition.name)
        objects_in = _objects(s3, cache)
        pointers = (
            pointer_store_at(pointer_uri, names, objects_in)
            if pointer_uri
            else open_pointer_store(definition.spec.pointer.store, names, objects_in, environment, cache.zookeeper)
        )
        objects = objects_in(names.bucket)
        return cls(
            names=names,
            definition=definition,
            store=ReleaseStore(names, objects),
            pointers=pointers,
            ledger=Ledger(names, objects),
            make_dynamodb=(lambda: dynamodb) if dynamodb is not None else cache.sessions.dynamodb,
            cache=cache,
            zookeeper=environment.zookeeper,
        )

    @classmethod
    def from_pointer_uri(
        cls, uri: str, s3: S3Client | None = None, dynamodb: DynamoDBClient | None = None
    ) -> ReleaseContext:
        """The context that the pointer document at an address describes. Reads the pointer once.

        Raises ConfigError when nothing is there, or a document of another query, environment or bucket than the address
        is of; PointerMalformed when the document does not say whose it is.
        """
        cache = ReleaseCache()
        objects_in = _objects(s3, cache)
        store = pointer_store_at(uri, QueryNames(environment="unknown", query="unknown", bucket="unknown"), objects_in)
        try:
            raw = store.peek()
        finally:
            store.close()
        if raw is None:
            raise ConfigError("read the active pointer", to=uri, found="nothing is there", next="correct the address")
        names = _names_in(raw.data, uri)
        _must_be_the_address_of(names, raw.data, uri)
        objects = objects_in(names.bucket)
        region = _region_in(raw.data)
        return cls(
            names=names,
            definition=None,
            store=ReleaseStore(names, objects),
            pointers=pointer_store_at(uri, names, objects_in),
            ledger=Ledger(names, objects),
            make_dynamodb=(lambda: dynamodb) if dynamodb is not None else partial(cache.sessions.dynamodb, region),
            cache=cache,
        )

    @property
    def query(self) -> str:
        return self.names.query

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Made when first wanted: a sensor's tick over a hundred queries wants none."""
        return self.make_dynamodb()

    def dynamodb_in(self, region: str) -> DynamoDBClient:
        """A client for the region that a release's table is in, whatever region this process is set to, if any: a person
        who rolls back may sit at a machine of another one."""
        if region in self._abroad:
            return self._abroad[region]
        try:
            here = getattr(getattr(self.dynamodb, "meta", None), "region_name", region)
        except NoRegionError:
            here = None
        if not region or here == region:
            return self.dynamodb
        self._abroad[region] = self.cache.sessions.dynamodb(region)
        return self._abroad[region]

    @property
    def table(self) -> Table:
        """What the definition asks of a table."""
        return self.definition.spec.table if self.definition is not None else Table()

    @property
    def objects(self) -> ObjectStore:
        """The bucket that the releases are in."""
        return self.store.objects

    def now(self) -> datetime:
        """The time by S3's clock, which also dates the seals: this machine's clock may be wrong."""
        return self.objects.now(self.names.releases_prefix)

    def close(self) -> None:
        self.pointers.close()


def _objects(s3: S3Client | None, cache: ReleaseCache) -> ObjectsIn:
    """The objects of a bucket, all through one client."""
    client = s3 or cache.sessions.s3()
    return lambda bucket: ObjectStore(bucket, client, cache.objects)


def _names_in(data: bytes, uri: str) -> QueryNames:
    """Environment, query and bucket from the document's `releases`, `s3://<bucket>/<env>/<query>/releases/`."""
    try:
        parts = json.loads(data.decode("utf-8-sig"))["releases"].removeprefix("s3://").split("/")
        return QueryNames(bucket=parts[0], environment=parts[1], query=parts[2])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise PointerMalformed(
            "read the active pointer",
            to=uri,
            found=f"field 'releases' does not say where the releases are ({type(error).__name__}: {error})",
            next="name the query instead of --pointer: its definition says where they are",
        ) from error


def _must_be_the_address_of(names: QueryNames, data: bytes, uri: str) -> None:
    """Refuse a document that was copied here from elsewhere: a rollback by this address would write there."""
    document = json.loads(data.decode("utf-8-sig"))
    wanted = f"s3://{names.bucket}/{names.pointer_key}" if uri.startswith("s3://") else names.znode
    says = (document.get("query") or names.query, document.get("environment") or names.environment)
    # In front of a znode's path are the hosts, and the path that they are confined to.
    at_home = uri == wanted or (uri.startswith("zk://") and uri.endswith(wanted))
    if at_home and says == (names.query, names.environment):
        return
    raise ConfigError(
        "use the pointer at",
        to=uri,
        found=f"the document there is of {says[0]!r} in {says[1]!r}, with releases in {names.releases_uri}: it was "
        "copied or edited, and what is done here would be written there",
        next="name the query instead of --pointer, in its own environment; or put its own document back",
    )


def _region_in(data: bytes) -> str | None:
    region = json.loads(data.decode("utf-8-sig")).get("region")
    return region if isinstance(region, str) and region else None


def trial(seal: Seal, sample: list[str]) -> dict[str, str]:
    """Look the sample up in the sealed table through the reader that services use; a message for each that got no answer.

    Raises ReadError when there are no credentials or no region. Where a proxy leads to DynamoDB, which readers never go
    through (kumo_serving, README), boto3 looks them up. Services have another way there; a person at this machine has not.
    """
    from kumo_serving import Answer, TableReader

    if proxied(seal.region):
        stored = tables.read_items(Sessions().dynamodb(seal.region), seal.table, seal.key.name, list(sample))
        return {entity: "no item" for entity in sample if entity not in stored}

    reader = TableReader(seal.table, key=seal.key, item_format=seal.item_format, region=seal.region)
    try:
        outcomes = reader.get_many(list(sample))
    finally:
        reader.close()
    return {entity: str(outcomes.get(entity)) for entity in sample if not isinstance(outcomes.get(entity), Answer)}


def proxied(region: str) -> bool:
    """Whether this process's variables name a proxy for DynamoDB in that region."""
    from botocore.utils import get_environ_proxies

    url = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("AWS_ENDPOINT_URL")
    url = url or f"https://dynamodb.{region}.amazonaws.com"
    return urlsplit(url).scheme in get_environ_proxies(url)


def definition_of(ctx: ReleaseContext) -> QueryDefinition:
    """The definition, for operations that cannot do without; ReleaseError for a context made from an address."""
    if ctx.definition is None:
        raise ReleaseError(
            "read the definition of", to=ctx.query, found="only a pointer's address was given", next="name the query"
        )
    return ctx.definition
