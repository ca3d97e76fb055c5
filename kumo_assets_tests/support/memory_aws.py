"""S3 and DynamoDB in memory, at the boto3 client's boundary: conditional writes, listings and table states as AWS answers
them, and a process that can be killed at any mutating call. For thousands of examples; the same tests run on MiniStack.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


class Killed(BaseException):
    """SIGKILL, as far as the code under test can tell: nothing catches it, nothing runs after it."""


def answer(code: str, status: int, operation: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


@dataclass
class Clock:
    """S3's clock: whole seconds, moved by the test."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def tick(self, seconds: float = 1.0) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@dataclass
class Memory:
    """One account. `before` is called with the operation's name before each mutating call, and may raise Killed."""

    clock: Clock = field(default_factory=Clock)
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    versioned: bool = False
    versions: dict[str, list[str]] = field(default_factory=dict)  # by key, oldest first
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    read: int = 0  # bytes that ranges gave
    before: Callable[[str], None] = lambda operation: None
    requests: Counter[str] = field(default_factory=Counter)  # S3's, by operation; a listing is one for each 1,000 keys
    number: int = field(default_factory=itertools.count().__next__)

    def s3(self) -> Any:
        return MemoryS3(self)

    def dynamodb(self) -> Any:
        return MemoryDynamoDB(self)


class MemoryS3:
    """The calls that releases make."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.meta = SimpleNamespace(endpoint_url=f"memory://{memory.number}")

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **options: Any) -> dict[str, Any]:
        self.memory.before(f"PutObject {Key}")
        standing = self.memory.objects.get(Key)
        if options.get("IfNoneMatch") == "*" and standing is not None:
            raise answer("PreconditionFailed", 412, "PutObject")
        if "IfMatch" in options:
            if standing is None:
                raise answer("NoSuchKey", 404, "PutObject")
            if etag(standing[0]) != options["IfMatch"]:
                raise answer("PreconditionFailed", 412, "PutObject")
        self.memory.objects[Key] = (Body, self.memory.clock.tick())
        return {"ETag": etag(Body), **self._version(Key, new=True)}

    def get_object(
        self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str = "", IfNoneMatch: str = ""
    ) -> dict[str, Any]:
        self.memory.requests["GetObject"] += 1
        found = self.memory.objects.get(Key)
        if found is None:
            raise answer("NoSuchKey", 404, "GetObject")
        if IfMatch and IfMatch != etag(found[0]):
            raise answer("PreconditionFailed", 412, "GetObject")
        if etag(found[0]) == IfNoneMatch:
            unchanged = answer("304", 304, "GetObject")
            headers = {"last-modified": format_datetime(found[1], usegmt=True)}
            if "VersionId" in self._version(Key):
                headers["x-amz-version-id"] = self._version(Key)["VersionId"]
            unchanged.response["ResponseMetadata"]["HTTPHeaders"] = headers
            raise unchanged
        if Range:
            return self._range(found, *map(int, Range.removeprefix("bytes=").split("-")))
        return {"Body": io.BytesIO(found[0]), "ETag": etag(found[0]), "LastModified": found[1], **self._version(Key)}

    def _range(self, found: tuple[bytes, datetime], first: int, last: int) -> dict[str, Any]:
        data, modified = found
        if first >= len(data):
            raise answer("InvalidRange", 416, "GetObject")
        part = data[first : last + 1]
        self.memory.read += len(part)
        return {
            "Body": io.BytesIO(part),
            "ETag": etag(data),
            "LastModified": modified,
            "ContentRange": f"bytes {first}-{first + len(part) - 1}/{len(data)}",
        }

    def _version(self, key: str, *, new: bool = False) -> dict[str, str]:
        if not self.memory.versioned:
            return {}
        kept = self.memory.versions.setdefault(key, [])
        if new:
            kept.append(f"v{len(kept)}")
        return {"VersionId": kept[-1]}

    def list_object_versions(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:
        found = [
            {"Key": key, "VersionId": version}
            for key, kept in sorted(self.memory.versions.items())
            if key.startswith(Prefix)
            for version in reversed(kept)
        ]
        return {"IsTruncated": False, "Versions": found}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.memory.objects:
            raise answer("404", 404, "HeadObject")
        return {}

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.memory.before(f"DeleteObject {Key}")
        self.memory.objects.pop(Key, None)
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.memory.before("DeleteObjects")
        for item in Delete["Objects"]:
            self.memory.objects.pop(item["Key"], None)
        return {"Deleted": Delete["Objects"]}

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str, StartAfter: str = "", MaxKeys: int = 1000, Delimiter: str = ""
    ) -> dict[str, Any]:
        date = self.memory.clock.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        found = [
            {"Key": key, "LastModified": modified}
            for key, (_, modified) in sorted(self.memory.objects.items())
            if key.startswith(Prefix) and key > StartAfter
        ]
        self.memory.requests["ListObjectsV2"] += max(1, -(-len(found) // 1000)) if MaxKeys > 1 else 1
        if Delimiter:
            names = {item["Key"].removeprefix(Prefix) for item in found}
            folders = sorted({name.split(Delimiter)[0] + Delimiter for name in names if Delimiter in name})
            return {"IsTruncated": False, "CommonPrefixes": [{"Prefix": Prefix + folder} for folder in folders]}
        return {"IsTruncated": False, "Contents": found, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def get_paginator(self, name: str) -> Any:
        assert name == "list_objects_v2"

        def paginate(**options: Any) -> Iterator[dict[str, Any]]:
            yield self.list_objects_v2(**options)

        return SimpleNamespace(paginate=paginate)


class MemoryDynamoDB:
    """Tables with a state and items; what is deleted is gone at once."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def create_table(
        self, *, TableName: str, DeletionProtectionEnabled: bool = False, Tags: Any = (), **_: Any
    ) -> dict[str, Any]:
        self.memory.before(f"CreateTable {TableName}")
        assert TableName not in self.memory.tables
        self.memory.tables[TableName] = {"protected": DeletionProtectionEnabled, "items": {}, "tags": list(Tags)}
        return {}

    def put_item(self, *, TableName: str, Item: dict[str, Any]) -> dict[str, Any]:
        self.memory.tables[TableName]["items"][Item["e"]["S"]] = Item
        return {}

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        found = self._table(TableName, "DescribeTable")
        return {
            "Table": {
                "TableArn": f"arn:aws:dynamodb:us-east-1:0:table/{TableName}",
                "TableStatus": "ACTIVE",
                "DeletionProtectionEnabled": found["protected"],
            }
        }

    def list_tags_of_resource(self, *, ResourceArn: str) -> dict[str, Any]:
        return {"Tags": self._table(ResourceArn.rpartition("/")[2], "ListTagsOfResource")["tags"]}

    def update_table(self, *, TableName: str, DeletionProtectionEnabled: bool) -> dict[str, Any]:
        self.memory.before(f"UpdateTable {TableName}")
        self._table(TableName, "UpdateTable")["protected"] = DeletionProtectionEnabled
        return {}

    def delete_table(self, *, TableName: str) -> dict[str, Any]:
        self.memory.before(f"DeleteTable {TableName}")
        if self._table(TableName, "DeleteTable")["protected"]:
            raise answer("ValidationException", 400, "DeleteTable")
        del self.memory.tables[TableName]
        return {}

    def list_tables(self, **_: Any) -> dict[str, Any]:
        return {"TableNames": sorted(self.memory.tables)}

    def _table(self, name: str, operation: str) -> dict[str, Any]:
        found = self.memory.tables.get(name)
        if found is None:
            raise answer("ResourceNotFoundException", 400, operation)
        return found


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
