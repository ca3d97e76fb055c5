"""The ledger: one object per event, appended, never changed; it outlives Dagster's own storage.

Names start with the time, so a listing is the history in order. The newest are read, the whole is there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ReleaseError
from kumo_assets.releases.documents import LedgerEntry
from kumo_assets.spec.names import QueryNames

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Ledger:
    """History of one query."""

    def __init__(self, names: QueryNames, s3: S3Client) -> None:
        self.names = names
        self.s3 = s3

    def append(self, entry: LedgerEntry) -> None:
        """Write one entry under a new name. ReleaseError when S3 does not take it."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        key = f"{self.names.ledger_prefix}{stamp}-{secrets.token_hex(4)}.json"
        try:
            self.s3.put_object(
                Bucket=self.names.bucket, Key=key, Body=entry.to_json(), ContentType="application/json", IfNoneMatch="*"
            )
        except (ClientError, BotoCoreError, OSError) as error:
            raise ReleaseError(
                "append to the ledger",
                to=f"s3://{self.names.bucket}/{key}",
                found=f"{type(error).__name__}: {error}",
                next=f"nothing else failed; the entry was {entry.action} {entry.from_release} -> {entry.to_release}",
            ) from error

    def history(self, limit: int | None = None) -> list[LedgerEntry]:
        """Entries, newest first, at most `limit`."""
        keys = sorted(self._keys(), reverse=True)[:limit]
        return [self._read(key) for key in keys]

    def _keys(self) -> Iterator[str]:
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.names.bucket, Prefix=self.names.ledger_prefix
            ):
                for item in page.get("Contents", []):
                    yield item["Key"]
        except (ClientError, BotoCoreError, OSError) as error:
            raise ReleaseError(
                "list the ledger",
                to=f"s3://{self.names.bucket}/{self.names.ledger_prefix}",
                found=f"{type(error).__name__}: {error}",
                next="try again",
            ) from error

    def _read(self, key: str) -> LedgerEntry:
        body = self.s3.get_object(Bucket=self.names.bucket, Key=key)["Body"].read()
        return LedgerEntry.from_json(body, f"s3://{self.names.bucket}/{key}")
