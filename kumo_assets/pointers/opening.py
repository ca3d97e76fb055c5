"""Which pointer store a definition or an address means. Adding a store is a module beside this one and a line in `STORES`.

An address names its store by its scheme: `s3://bucket/key`, `zk://host:port,host:port/path`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kumo_assets.config.environment import Environment
from kumo_assets.config.names import QueryNames
from kumo_assets.errors import ConfigError
from kumo_assets.pointers.store import PointerStore
from kumo_assets.pointers.zookeeper_sessions import ZooKeeperSessions
from kumo_assets.resources.s3_objects import ObjectStore

# The objects of a bucket, by its name: only a store on S3 asks for them.
ObjectsIn = Callable[[str], ObjectStore]


@dataclass(frozen=True)
class Opening:
    """How one kind of store is opened. `name` is what a definition writes under `pointer.store`; `address` is where a
    query's pointer is kept in an environment; `open` takes what follows `scheme://` in an address."""

    name: str
    address: Callable[[QueryNames, Environment], str]
    open: Callable[[str, QueryNames, ObjectsIn, ZooKeeperSessions | None], PointerStore]


def _open_s3(
    address: str, names: QueryNames, objects_in: ObjectsIn, sessions: ZooKeeperSessions | None
) -> PointerStore:
    from kumo_assets.pointers.s3 import S3PointerStore

    bucket, _, key = address.partition("/")
    return S3PointerStore(names, objects_in(bucket), key)


def _open_zookeeper(
    address: str, names: QueryNames, objects_in: ObjectsIn, sessions: ZooKeeperSessions | None
) -> PointerStore:
    from kumo_assets.pointers.zookeeper import ZooKeeperPointerStore

    hosts, slash, path = address.partition("/")
    return ZooKeeperPointerStore(names, hosts, path=slash + path, shared=sessions)


STORES = {
    "s3": Opening("s3", lambda names, environment: f"{names.bucket}/{names.pointer_key}", _open_s3),
    "zk": Opening("zookeeper", lambda names, environment: environment.zookeeper + names.znode, _open_zookeeper),
}


def open_pointer_store(
    name: str,
    names: QueryNames,
    objects_in: ObjectsIn,
    environment: Environment,
    sessions: ZooKeeperSessions | None = None,
) -> PointerStore:
    """The store that a query's definition names, at the query's usual address in this environment. `sessions` are those of
    a process that opens many stores."""
    opening = next(opening for opening in STORES.values() if opening.name == name)
    return opening.open(opening.address(names, environment), names, objects_in, sessions)


def pointer_store_at(uri: str, names: QueryNames, objects_in: ObjectsIn) -> PointerStore:
    """The store of a pointer at an address. ConfigError for a text that is no address of a known store."""
    scheme, separator, address = uri.partition("://")
    if not separator or scheme not in STORES:
        raise ConfigError(
            "open the active pointer",
            to=repr(uri),
            found="it is not a pointer's address",
            next="write s3://bucket/<env>/<query>/active.json or zk://host:port/kumo_assets/<env>/<query>/active",
        )
    return STORES[scheme].open(address, names, objects_in, None)
