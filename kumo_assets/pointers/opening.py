"""Which pointer store a definition or an address means. Adding a store is a module beside this one and a line in `STORES`.

An address names its store by its scheme: `s3://bucket/key`, `zk://host:port,host:port/path`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kumo_assets.config.environment import Environment
from kumo_assets.config.names import QueryNames
from kumo_assets.errors import ConfigError
from kumo_assets.pointers.store import PointerStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An S3 client is made only by a store that wants one.
S3Maker = Callable[[], "S3Client"]


@dataclass(frozen=True)
class Opening:
    """How one kind of store is opened. `name` is what a definition writes under `pointer.store`; `address` is where a
    query's pointer is kept in an environment; `open` takes what follows `scheme://` in an address."""

    name: str
    address: Callable[[QueryNames, Environment], str]
    open: Callable[[str, QueryNames, S3Maker], PointerStore]


def _open_s3(address: str, names: QueryNames, s3: S3Maker) -> PointerStore:
    from kumo_assets.pointers.s3 import S3PointerStore

    bucket, _, key = address.partition("/")
    return S3PointerStore(names, s3(), bucket=bucket, key=key)


def _open_zookeeper(address: str, names: QueryNames, s3: S3Maker) -> PointerStore:
    from kumo_assets.pointers.zookeeper import ZooKeeperPointerStore

    hosts, slash, path = address.partition("/")
    return ZooKeeperPointerStore(names, hosts, path=slash + path)


STORES = {
    "s3": Opening("s3", lambda names, environment: f"{names.bucket}/{names.pointer_key}", _open_s3),
    "zk": Opening("zookeeper", lambda names, environment: environment.zookeeper + names.znode, _open_zookeeper),
}


def open_pointer_store(name: str, names: QueryNames, s3: S3Maker, environment: Environment) -> PointerStore:
    """The store that a query's definition names, at the query's usual address in this environment."""
    opening = next(opening for opening in STORES.values() if opening.name == name)
    return opening.open(opening.address(names, environment), names, s3)


def pointer_store_at(uri: str, names: QueryNames, s3: S3Maker) -> PointerStore:
    """The store of a pointer at an address. ConfigError for a text that is no address of a known store."""
    scheme, separator, address = uri.partition("://")
    if not separator or scheme not in STORES:
        raise ConfigError(
            "open the active pointer",
            to=repr(uri),
            found="it is not a pointer's address",
            next="write s3://bucket/<env>/<query>/active.json or zk://host:port/kumo_assets/<env>/<query>/active",
        )
    return STORES[scheme].open(address, names, s3)
