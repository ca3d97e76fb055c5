"""The pointer as an S3 object: `If-None-Match: *` creates, `If-Match: <etag>` moves; 412 means another writer
won; 409 means one is in progress, so the write is retried.

An ETag is a hash of the content, so equal bytes have equal tags; the body's generation keeps every version different.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from kumo_serving.pointer import Pointer

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.pointers.store import (
    RawPointer,
    VersionedPointer,
    confirm,
    from_raw,
    read_failed,
    to_bytes,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFLICTS = 8


class S3PointerStore:
    """Compare-and-set on one object."""

    def __init__(self, names: QueryNames, s3: S3Client, *, bucket: str = "", key: str = "") -> None:
        self.names = names
        self.s3 = s3
        self.bucket = bucket or names.bucket
        self.key = key or names.pointer_key
        self.uri = f"s3://{self.bucket}/{self.key}"

    def peek(self) -> RawPointer | None:
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=self.key)
            return RawPointer(answer["Body"].read(), answer["ETag"], answer["LastModified"])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise read_failed(self.uri, error) from error
        except (BotoCoreError, OSError) as error:
            raise read_failed(self.uri, error) from error

    def read(self) -> VersionedPointer | None:
        raw = self.peek()
        return from_raw(raw, self.names) if raw is not None else None

    def write(self, pointer: Pointer, move: LedgerEntry, expected: str | None) -> VersionedPointer:
        data = to_bytes(pointer, move)
        condition: dict[str, Any] = {"IfMatch": expected} if expected else {"IfNoneMatch": "*"}
        trouble: Exception | None = None
        for attempt in range(CONFLICTS):
            try:
                self.s3.put_object(
                    Bucket=self.bucket, Key=self.key, Body=data, ContentType="application/json", **condition
                )
                trouble = None
                break
            except ClientError as error:
                trouble = error
                if error.response["Error"]["Code"] not in ("ConditionalRequestConflict", "409"):
                    break
                # AWS: a 409 says that another conditional write was under way; ask again.
                time.sleep(0.02 * 2**attempt)
            except (BotoCoreError, OSError) as error:
                trouble = error
                break
        return confirm(self, pointer, move, trouble, lost=_surely_lost(trouble))

    def close(self) -> None:
        """The client is shared; nothing to give back."""


def _surely_lost(trouble: Exception | None) -> bool:
    """True for a 412, or a 404 (the object was deleted meanwhile). Even after a retry of the SDK, when the 412 may be
    our own first write's doing: then our document stands, which the read-back sees first."""
    if not isinstance(trouble, ClientError):
        return False
    return trouble.response["Error"]["Code"] in ("PreconditionFailed", "412", "NoSuchKey", "404")
