"""Where a pointer's bytes are read from: an S3 object or a ZooKeeper znode. Reading only.

A store gives bytes and a version token (ETag, or znode version), or says that nothing changed; it never parses them
(`pointer`), and never remembers them (`refresh`). Compare-and-set is `kumo_assets.releases`. Stores are slow (network)
and belong on one background thread, never on the path of a request.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from kumo_serving.addresses import s3_address
from kumo_serving.errors import PointerError, PointerMissing

if TYPE_CHECKING:
    from kumo_serving.sessions import Shared

ZOOKEEPER_SECONDS = 5.0
# The longest pause between attempts to reach a ZooKeeper that is away. kazoo's own pauses double up to an hour
# (`_RETRY_COMPAT_DEFAULTS` in kazoo/client.py), and readers would miss promotions for as long after it is back.
ZOOKEEPER_RETRY_SECONDS = 2.0


class PointerBytes(msgspec.Struct, frozen=True):
    """What a store held: the document, and the token that a compare-and-set would compare."""

    data: bytes
    version: str


class PointerStore(Protocol):
    """Read side of a pointer store. `uri` names it in messages and in the file of the last known good."""

    uri: str
    # How often a caller should read: the pace of a change for S3, a backstop for a store with a watch. A store whose
    # reads have a price may also have `poll_seconds_of_many`, for a process that polls several such pointers.
    poll_seconds: float

    def read(self, known: str | None = None) -> PointerBytes | None:
        """The pointer, or None when its version is surely still `known`. Raises PointerMissing, PointerError."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Ask for `changed()` (called on any thread, at least once a change) where the store can; else do nothing."""

    def close(self) -> None:
        """Give back connections. The store may be used again and then connects anew."""


class S3Pointer:
    """A pointer in an S3 object, read by conditional GET: an unchanged pointer costs a 304.

    `S3Pointer("s3://bucket/key")` or `S3Pointer(bucket=..., key=...)`; an access point's ARN may stand for the bucket.
    Endpoint, region and credentials are those of the standard AWS variables and files, unless given.
    """

    poll_seconds = 1.0
    poll_seconds_of_many = 5.0

    def __init__(
        self,
        uri: str | None = None,
        *,
        bucket: str = "",
        key: str = "",
        region: str | None = None,
        endpoint_url: str | None = None,
        session: Any = None,
    ) -> None:
        uri = uri if uri is not None else f"s3://{bucket}/{key}"
        try:
            self._address = s3_address(uri)
        except ValueError as error:
            raise _bad_uri(uri, str(error)) from None
        self.bucket, self.key = self._address.bucket, self._address.key
        self.uri = f"s3://{self.bucket}/{self.key}"
        self._region = region
        self._endpoint_url = endpoint_url
        self._session = session
        self._shared: Shared | None = None
        self._client: Any = None
        self._pid = 0

    def read(self, known: str | None = None) -> PointerBytes | None:
        from botocore.exceptions import BotoCoreError, ClientError

        condition = {"IfNoneMatch": known} if known else {}
        try:
            answer = self._connected().get_object(Bucket=self.bucket, Key=self.key, **condition)
            return PointerBytes(answer["Body"].read(), answer["ETag"])
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = error.response.get("Error", {}).get("Code", "")
            if status == 304:
                return None
            if code in ("NoSuchKey", "404"):
                raise _missing(self.uri) from None
            raise PointerError(
                "read the active pointer",
                to=self.uri,
                found=f"S3 answered {status} {code}",
                # Without s3:ListBucket S3 says 403 where it would say 404.
                next="check that the object exists and that this service has s3:GetObject on it",
            ) from None
        except (BotoCoreError, OSError) as error:
            raise PointerError(
                "read the active pointer",
                to=self.uri,
                found=f"{type(error).__name__}: {error}",
                next="give this service a role, or the standard AWS variables"
                if "Credential" in type(error).__name__
                else "check the network",
            ) from None

    def watch(self, changed: Callable[[], None]) -> None:
        """S3 has nothing to watch: the caller polls."""

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._shared is not None and self._pid == os.getpid():
            self._shared.give_s3(client)

    def _connected(self) -> Any:
        # A forked child must not share its parent's sockets.
        if self._client is None or self._pid != os.getpid():
            from kumo_serving.sessions import shared

            self._shared = shared(self._session)
            self._client = self._shared.take_s3(self._address, self._region, self._endpoint_url)
            self._pid = os.getpid()
        return self._client


class ZooKeeperPointer:
    """A pointer in a znode. Needs the extra `kumo-serving[zookeeper]`; `hosts` is `host:port,host:port`."""

    poll_seconds = 10.0

    def __init__(self, hosts: str, path: str) -> None:
        if not hosts or not path.startswith("/") or path == "/":
            raise _bad_uri(f"zk://{hosts}{path}")
        self.hosts = hosts
        self.path = path
        self.uri = f"zk://{hosts}{path}"
        self._client: Any = None
        self._pid = 0
        self._changed: Callable[[], None] | None = None

    def read(self, known: str | None = None) -> PointerBytes | None:
        client = self._connected()
        from kazoo.exceptions import KazooException, NoNodeError
        from kazoo.handlers.threading import KazooTimeoutError

        # Watches fire once, so each read sets one again; kazoo keeps them in a set, so one still set is not doubled.
        watcher = self._fired if self._changed is not None else None
        try:
            data, stat = client.get_async(self.path, watch=watcher).get(timeout=ZOOKEEPER_SECONDS)
        except NoNodeError:
            if watcher is not None:
                client.exists_async(self.path, watch=watcher)
            raise _missing(self.uri) from None
        except (KazooException, KazooTimeoutError, OSError) as error:
            raise _zookeeper(self.uri, error) from None
        # Never "unchanged": a znode deleted and made again starts at version 0 again, and the bytes are here anyway.
        return PointerBytes(data, str(stat.version))

    def watch(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.stop()
            with contextlib.suppress(OSError):
                client.close()

    def _fired(self, event: object) -> None:
        if self._changed is not None:
            self._changed()

    def _connected(self) -> Any:
        # A forked child has its parent's client without the threads that drive it.
        if self._client is None or self._pid != os.getpid():
            self._client = self._connect()
            self._pid = os.getpid()
        return self._client

    def _connect(self) -> Any:
        try:
            from kazoo.client import KazooClient
            from kazoo.handlers.threading import KazooTimeoutError
            from kazoo.protocol.states import KazooState
        except ImportError:
            raise PointerError(
                "read the active pointer",
                to=self.uri,
                found="kazoo is not installed",
                next="install kumo-serving[zookeeper]",
            ) from None

        client = KazooClient(
            hosts=self.hosts,
            timeout=ZOOKEEPER_SECONDS,
            connection_retry={"max_tries": -1, "max_delay": ZOOKEEPER_RETRY_SECONDS},
        )

        def state(now: str) -> None:
            # A session that was lost took its watches with it: read again on every reconnect.
            if now == KazooState.CONNECTED and self._changed is not None:
                self._changed()

        client.add_listener(state)
        try:
            client.start(timeout=ZOOKEEPER_SECONDS)
        except (KazooTimeoutError, OSError) as error:
            client.stop()
            client.close()
            raise _zookeeper(self.uri, error) from None
        return client


def open_pointer(uri: str, session: Any = None) -> S3Pointer | ZooKeeperPointer:
    """A store from `s3://bucket/key` or `zk://host:port[,host:port]/path`. Raises PointerError for any other text.

    `session` is the botocore session that reads from S3, by default the one that all readers of the process share.
    """
    if uri.startswith("s3://"):
        return S3Pointer(uri, session=session)
    if uri.startswith("zk://"):
        hosts, slash, path = uri.removeprefix("zk://").partition("/")
        return ZooKeeperPointer(hosts, slash + path)
    raise _bad_uri(uri)


def _bad_uri(uri: str, found: str = "it is not a pointer's address") -> PointerError:
    return PointerError(
        "open the active pointer",
        to=repr(uri),
        found=found,
        next="write s3://bucket/<env>/<query>/active.json or zk://host:port/kumo_assets/<env>/<query>/active",
    )


def _missing(uri: str) -> PointerMissing:
    return PointerMissing(
        "read the active pointer", to=uri, found="nothing is there", next="promote a first release of this query"
    )


def _zookeeper(uri: str, error: Exception) -> PointerError:
    return PointerError(
        "read the active pointer",
        to=uri,
        found=f"{type(error).__name__}: {error}".rstrip(": "),
        next="check that the ZooKeeper ensemble is reachable and that this service may read the znode",
    )
