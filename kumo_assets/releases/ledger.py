"""The ledger: one object per event, appended, never changed; it outlives Dagster's own storage.

Names start with the time, so a listing is the history in order. A move's name is made of the pointer document it
belongs to (its time and digest), so that whoever records it, the mover or whoever finds it unrecorded after a crash,
writes the same object, once.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import ReleaseError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Actions that wrote a new pointer document, and so have a generation of their own.
MOVES = ("promote", "force", "rollback", "hold", "unhold", "retire")
# Clocks of different machines may differ by this much; listings start so much earlier.
SKEW = timedelta(hours=1)
STAMP = "%Y%m%dT%H%M%S.%fZ"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_move(entry: LedgerEntry) -> bool:
    """True for what wrote a pointer document (a retirement does so once, and has an entry for each release too)."""
    return entry.action in MOVES and entry.generation > 0


def name_of(entry: LedgerEntry, mark: str) -> str:
    """The object's name under the ledger's prefix."""
    return f"{_stamp(datetime.fromisoformat(entry.at))}-{mark}.json"


def time_in(name: str) -> datetime:
    """The time in an entry's name; the epoch for a name of any other kind."""
    try:
        return datetime.strptime(name.partition("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return EPOCH


@dataclass(frozen=True)
class Recorded:
    """An entry, and the object it stands in: its name orders it, and says whose it is."""

    name: str
    entry: LedgerEntry


class Ledger:
    """History of one query. Raises ReleaseError when S3 does not answer."""

    def __init__(self, names: QueryNames, s3: S3Client) -> None:
        self.names = names
        self.s3 = s3

    def append(self, entry: LedgerEntry, mark: str | None = None) -> None:
        """Write one entry. `mark` is the pointer document's it belongs to; the same entry under it is written once."""
        key = self.names.ledger_prefix + name_of(entry, mark or secrets.token_hex(4))
        try:
            self.s3.put_object(
                Bucket=self.names.bucket, Key=key, Body=entry.to_json(), ContentType="application/json", IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                return  # recorded already, by us (a retry after a lost answer) or by whoever found it unrecorded
            raise self._failed("append to", key, error) from error
        except (BotoCoreError, OSError) as error:
            raise self._failed("append to", key, error) from error

    def names_since(self, moment: datetime | None = None) -> list[str]:
        """Names of the entries from `moment` (less clock skew) on, oldest first; all without one. One listing."""
        return list(self.listed_since(moment))

    def listed_since(self, moment: datetime | None = None) -> dict[str, datetime]:
        """The same names, with the time S3 gives each: a mover's own clock may be wrong (fault 19)."""
        start = _stamp(moment - SKEW) if moment is not None and moment > EPOCH else ""
        prefix = self.names.ledger_prefix
        after = {"StartAfter": prefix + start} if start else {}
        try:
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.names.bucket,
                Prefix=prefix,
                **after,  # type: ignore[arg-type]
            )
            return {
                item["Key"].removeprefix(prefix): item["LastModified"]
                for page in pages
                for item in page.get("Contents", [])
            }
        except (ClientError, BotoCoreError, OSError) as error:
            raise self._failed("list", prefix, error) from error

    def read(self, names: list[str]) -> list[Recorded]:
        """These entries, in this order, read side by side. Entries never change, so each is read once a process."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            return list(pool.map(self._entry, names))

    def history(self, limit: int | None = None) -> list[LedgerEntry]:
        """Entries, newest first, at most `limit`."""
        names = sorted(self.names_since(), reverse=True)[:limit]
        return [found.entry for found in self.read(names)]

    def moves(self) -> list[LedgerEntry]:
        """Every move of the pointer, in order of generation."""
        entries = (found.entry for found in self.read(self.names_since()))
        return sorted(filter(is_move, entries), key=lambda entry: entry.generation)

    def _entry(self, name: str) -> Recorded:
        key = self.names.ledger_prefix + name
        try:
            return _read(_Source(self.s3, str(self.s3.meta.endpoint_url), self.names.bucket, key), name)
        except (ClientError, BotoCoreError, OSError) as error:
            raise self._failed("read", key, error) from error

    def _failed(self, doing: str, key: str, error: Exception) -> ReleaseError:
        return ReleaseError(
            f"{doing} the ledger",
            to=f"s3://{self.names.bucket}/{key}",
            found=f"{type(error).__name__}: {error}",
            next="try again; what was done stands, and is recorded when the ledger answers again",
        )


@dataclass(frozen=True, eq=False)
class _Source:
    """An object and the client to read it with; equal when the object is the same, whatever the client."""

    s3: S3Client
    endpoint: str
    bucket: str
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str, str]:
        return (self.endpoint, self.bucket, self.key)


@lru_cache(maxsize=4096)
def _read(source: _Source, name: str) -> Recorded:
    body = source.s3.get_object(Bucket=source.bucket, Key=source.key)["Body"].read()
    return Recorded(name, LedgerEntry.from_json(body, f"s3://{source.bucket}/{source.key}"))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(STAMP)
