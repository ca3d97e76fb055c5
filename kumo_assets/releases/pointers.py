"""The write side of the pointer stores: compare-and-set with a read-back (rule 4), and how a hand edit is told apart.

The document itself, and reading it, belong to `kumo_serving.pointer`. What we write carries a digest of itself; a
document without it, or with another one, was written by a person, and is honoured as rule 9 says.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from kumo_serving.pointer import Pointer, dump_pointer, parse_pointer

from kumo_assets.errors import ConfigError, LostRace, ReleaseError
from kumo_assets.spec.environment import Environment
from kumo_assets.spec.names import QueryNames

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ZOOKEEPER_SECONDS = 10.0


@dataclass(frozen=True)
class VersionedPointer:
    """A pointer as read: the token a compare-and-set compares, and whether a person wrote it."""

    pointer: Pointer
    version: str
    hand_edited: bool


class PointerStore(Protocol):
    """Where one query's pointer is kept. One writer of many wins; the others get LostRace."""

    uri: str

    def read(self) -> VersionedPointer | None:
        """The pointer, None when there is none yet. PointerMalformed or ReleaseError when it cannot be read."""

    def write(self, pointer: Pointer, expected: str | None) -> VersionedPointer:
        """Write when the stored version is `expected` (None: when there is none), and read back what stands."""

    def close(self) -> None:
        """Give back connections."""


def digest_of(pointer: Pointer) -> str:
    return hashlib.sha256(dump_pointer(pointer)).hexdigest()[:16]


def to_bytes(pointer: Pointer) -> bytes:
    """The document as we write it: `dump_pointer`'s, with a digest a person would not update."""
    document = json.loads(dump_pointer(pointer))
    document["digest"] = digest_of(pointer)
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def from_bytes(data: bytes, version: str, names: QueryNames) -> VersionedPointer:
    """Parse what a store holds. Raises PointerMalformed naming the field."""
    pointer = parse_pointer(data, names.query, names.environment)
    written = json.loads(data.decode("utf-8-sig")).get("digest")
    return VersionedPointer(pointer, version, hand_edited=written != digest_of(pointer))


class S3PointerStore:
    """The pointer as an S3 object: `If-None-Match: *` creates, `If-Match` moves; 412 lost, 409 asked again."""

    def __init__(self, names: QueryNames, s3: S3Client, key: str | None = None) -> None:
        self.names = names
        self.s3 = s3
        self.key = key or names.pointer_key
        self.uri = f"s3://{names.bucket}/{self.key}"

    def read(self) -> VersionedPointer | None:
        try:
            answer = self.s3.get_object(Bucket=self.names.bucket, Key=self.key)
            return from_bytes(answer["Body"].read(), answer["ETag"], self.names)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise _failed("read the active pointer", self.uri, error) from error
        except (BotoCoreError, OSError) as error:
            raise _failed("read the active pointer", self.uri, error) from error

    def write(self, pointer: Pointer, expected: str | None) -> VersionedPointer:
        data = to_bytes(pointer)
        condition: dict[str, Any] = {"IfMatch": expected} if expected else {"IfNoneMatch": "*"}
        trouble: Exception | None = None
        for _ in range(5):
            try:
                self.s3.put_object(
                    Bucket=self.names.bucket, Key=self.key, Body=data, ContentType="application/json", **condition
                )
                trouble = None
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("ConditionalRequestConflict", "409"):
                    continue
                # 412 after a retry by the SDK may be our own first write; 404: the object was deleted meanwhile. The
                # read-back tells what stands.
                trouble = error
            except (BotoCoreError, OSError) as error:
                trouble = error
            break
        return _read_back(self, pointer, trouble)

    def close(self) -> None:
        """The client is shared; nothing to give back."""


class ZooKeeperPointerStore:
    """The pointer as a znode: versioned `setData`. `expected` is the version and the creating transaction, so that a
    znode deleted and made anew (whose version starts at 0 again) is not mistaken for the one that was read.

    ACLs: KUMO_ASSETS_ZOOKEEPER_AUTH=`user:password` (digest) lets only that user write, and anybody read.
    """

    def __init__(self, names: QueryNames, hosts: str, path: str | None = None) -> None:
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

    def read(self) -> VersionedPointer | None:
        from kazoo.exceptions import KazooException, NoNodeError
        from kazoo.handlers.threading import KazooTimeoutError

        client = self._connected()
        try:
            client.sync_async(self.path).get(timeout=ZOOKEEPER_SECONDS)  # a follower may lag; sync catches it up
            data, stat = client.get_async(self.path).get(timeout=ZOOKEEPER_SECONDS)
        except NoNodeError:
            return None
        except (KazooException, KazooTimeoutError, OSError) as error:
            raise _failed("read the active pointer", self.uri, error) from error
        return from_bytes(data, f"{stat.version}/{stat.czxid}", self.names)

    def write(self, pointer: Pointer, expected: str | None) -> VersionedPointer:
        from kazoo.exceptions import KazooException
        from kazoo.handlers.threading import KazooTimeoutError

        client = self._connected()
        data = to_bytes(pointer)
        trouble: Exception | None = None
        try:
            if expected is None:
                parent = self.path.rpartition("/")[0]
                client.ensure_path_async(parent).get(timeout=ZOOKEEPER_SECONDS)
                client.create_async(self.path, data, acl=self._acl()).get(timeout=ZOOKEEPER_SECONDS)
            else:
                version, _, created = expected.partition("/")
                stat = client.exists_async(self.path).get(timeout=ZOOKEEPER_SECONDS)
                if stat is None or str(stat.czxid) != created:
                    raise _lost(self.uri, "the znode was deleted or made anew")
                client.set_async(self.path, data, version=int(version)).get(timeout=ZOOKEEPER_SECONDS)
        except (KazooException, KazooTimeoutError, OSError) as error:
            # BadVersion and NodeExists lost; a lost session or a time-out may hide a success: the read-back tells.
            trouble = error
        return _read_back(self, pointer, trouble)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.stop()
            client.close()

    def _acl(self) -> Any:
        from kazoo.security import make_acl, make_digest_acl

        user, _, password = os.environ.get("KUMO_ASSETS_ZOOKEEPER_AUTH", "").partition(":")
        if not user:
            return None
        return [make_digest_acl(user, password, all=True), make_acl("world", "anyone", read=True)]

    def _connected(self) -> Any:
        if self._client is None:
            from kazoo.client import KazooClient
            from kazoo.handlers.threading import KazooTimeoutError

            auth = os.environ.get("KUMO_ASSETS_ZOOKEEPER_AUTH")
            client = KazooClient(
                hosts=self.hosts, timeout=ZOOKEEPER_SECONDS, auth_data=[("digest", auth)] if auth else None
            )
            try:
                client.start(timeout=ZOOKEEPER_SECONDS)
            except (KazooTimeoutError, OSError) as error:
                client.stop()
                client.close()
                raise _failed("connect to ZooKeeper at", self.hosts, error) from error
            self._client = client
        return self._client


def open_pointer_store(store: str, names: QueryNames, s3: S3Client, environment: Environment) -> PointerStore:
    """The store a query's definition names: `s3` or `zookeeper`."""
    if store == "zookeeper":
        return ZooKeeperPointerStore(names, environment.zookeeper)
    return S3PointerStore(names, s3)


def _read_back(store: PointerStore, wanted: Pointer, trouble: Exception | None) -> VersionedPointer:
    """What stands after a write. Ours: written. Another's: lost. Nothing of the kind and an error: that error."""
    found = store.read()
    if found is not None and found.pointer == wanted:
        return found
    if (
        found is not None
        and trouble is not None
        and found.pointer.generation < wanted.generation
        and not _is_lost(trouble)
    ):
        raise _failed("write the active pointer", store.uri, trouble) from trouble
    raise _lost(store.uri, f"generation {found.pointer.generation} stands" if found else "it is gone")


def _is_lost(trouble: Exception) -> bool:
    """True for the answers that mean somebody else was first."""
    code = trouble.response["Error"]["Code"] if isinstance(trouble, ClientError) else type(trouble).__name__
    return code in ("PreconditionFailed", "412", "BadVersionError", "NodeExistsError", "NoSuchKey", "NoNodeError")


def _lost(uri: str, found: str) -> LostRace:
    return LostRace(
        "move the active pointer",
        to=uri,
        found=f"somebody else moved it meanwhile: {found}",
        next="look at `kumo-assets status`; ask again if it is still wanted",
    )


def _failed(doing: str, what: str, error: Exception) -> ReleaseError:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return ReleaseError(
        doing, to=what, found=f"{code}: {error}".rstrip(": "), next="try again; readers keep the last pointer they saw"
    )
