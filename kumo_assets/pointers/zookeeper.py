"""The pointer as a ZooKeeper znode: versioned `setData`, a lost session resolved by reading back, ACLs by digest.

A version here is `<znode version>/<creating transaction>`, so that a znode deleted and made anew (whose version starts at
0 again) is never mistaken for the one that was read. kazoo is imported only when a query wants it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from kumo_serving.pointer import Pointer

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import ConfigError, ReleaseError
from kumo_assets.pointers.store import (
    RawPointer,
    Unrecorded,
    VersionedPointer,
    confirm,
    from_raw,
    read_failed,
    to_bytes,
)
from kumo_assets.pointers.zookeeper_sessions import AUTH, SECONDS, ZooKeeperSessions, open_session


class ZooKeeperPointerStore:
    """Compare-and-set on one znode, through a session of its own, or one that is `shared` and outlives it.

    KUMO_ASSETS_ZOOKEEPER_AUTH=`user:password` (digest) has only that user write, create and delete in its environment's
    folder, `/kumo_assets/<env>`; anybody reads. In `/kumo_assets` itself anybody may create, and only the user who made it
    delete: the environments of one ensemble, each with a user of its own, need not know of each other. What exists keeps
    its ACL: where a stranger may write to the ensemble, make `/kumo_assets/<env>` before the first promotion.
    """

    def __init__(self, names: QueryNames, hosts: str, path: str = "", shared: ZooKeeperSessions | None = None) -> None:
        if not hosts:
            raise ConfigError(
                "open the pointer in ZooKeeper",
                to=names.query,
                found="KUMO_ASSETS_ZOOKEEPER is not set",
                next="set it to host:port,host:port of the ensemble",
            )
        self.names = names
        self.hosts = hosts
        self.path = path or names.znode
        self.uri = f"zk://{hosts}{self.path}"
        self._client: Any = None
        self._shared = shared

    def peek(self) -> RawPointer | None:
        from kazoo.exceptions import ConnectionLoss, KazooException, NoNodeError, SessionExpiredError
        from kazoo.handlers.threading import KazooTimeoutError

        client = self._connected()
        for last in (False, True):
            try:
                client.sync_async(self.path).get(timeout=SECONDS)  # a follower may lag; sync catches it up
                data, stat = client.get_async(self.path).get(timeout=SECONDS)
                break
            except NoNodeError:
                return None
            except (ConnectionLoss, SessionExpiredError) as error:
                # A session that is lost is made anew by kazoo; reading twice costs nothing.
                if last:
                    raise read_failed(self.uri, error) from error
            except (KazooException, KazooTimeoutError, OSError) as error:
                raise read_failed(self.uri, error) from error
        return RawPointer(data, f"{stat.version}/{stat.czxid}", datetime.fromtimestamp(stat.mtime / 1000, UTC))

    def read(self) -> VersionedPointer | None:
        raw = self.peek()
        return from_raw(raw, self.names) if raw is not None else None

    def write(
        self, pointer: Pointer, move: LedgerEntry, expected: str | None, carried: Sequence[Unrecorded] = ()
    ) -> VersionedPointer:
        from kazoo.exceptions import BadVersionError, KazooException, NoAuthError, NodeExistsError, NoNodeError
        from kazoo.handlers.threading import KazooTimeoutError

        client = self._connected()
        data = to_bytes(pointer, move, carried)
        failure: Exception | None = None
        try:
            if expected is None:
                acl = self._acl()
                shared = self.path.rsplit("/", 3)[0]  # above the folders of the environment and the query
                if shared:
                    client.ensure_path_async(shared, acl=self._acl(create=True)).get(timeout=SECONDS)
                # The folders too: who may write a folder may delete the znode in it.
                client.ensure_path_async(self.path.rpartition("/")[0], acl=acl).get(timeout=SECONDS)
                client.create_async(self.path, data, acl=acl).get(timeout=SECONDS)
            else:
                version, _, created = expected.partition("/")
                stat = client.exists_async(self.path).get(timeout=SECONDS)
                if stat is None or str(stat.czxid) != created:
                    raise BadVersionError("the znode was deleted or made anew")
                client.set_async(self.path, data, version=int(version)).get(timeout=SECONDS)
        except NoAuthError as error:
            raise ReleaseError(
                "write the active pointer",
                to=self.uri,
                found="ZooKeeper does not let this user (NoAuth)",
                next="set KUMO_ASSETS_ZOOKEEPER_AUTH to the user:password that made it; the old pointer stands",
            ) from error
        except (KazooException, KazooTimeoutError, OSError) as error:
            # A lost session or a time-out may hide a success: the read-back shows it.
            failure = error
        lost = isinstance(failure, (BadVersionError, NodeExistsError, NoNodeError))
        return confirm(self, data, failure, lost=lost)

    def environment(self) -> dict[str, bytes]:
        """Every pointer of the environment, by address, whoever's it is. ReleaseError when ZooKeeper does not answer."""
        from kazoo.exceptions import KazooException, NoNodeError
        from kazoo.handlers.threading import KazooTimeoutError

        folder = self.path.rsplit("/", 2)[0]
        found: dict[str, bytes] = {}
        client = self._connected()
        try:
            client.sync_async(folder).get(timeout=SECONDS)
            for query in client.get_children_async(folder).get(timeout=SECONDS):
                path = f"{folder}/{query}/active"
                with suppress(NoNodeError):
                    found[f"zk://{self.hosts}{path}"] = client.get_async(path).get(timeout=SECONDS)[0]
        except NoNodeError:
            return found
        except (KazooException, KazooTimeoutError, OSError) as error:
            raise read_failed(f"zk://{self.hosts}{folder}", error) from error
        return found

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.stop()
            client.close()

    def _acl(self, *, create: bool = False) -> Any:
        """What a new znode gets: the user of the environment all, anybody to read, and with `create` to create in it."""
        from kazoo.security import make_acl, make_digest_acl

        user, _, password = os.environ.get(AUTH, "").partition(":")
        if not user:
            return None
        return [make_digest_acl(user, password, all=True), make_acl("world", "anyone", read=True, create=create)]

    def _connected(self) -> Any:
        if self._shared is not None:
            return self._shared.of(self.hosts, self.uri)
        if self._client is None:
            self._client = open_session(self.hosts, self.uri)
        return self._client
