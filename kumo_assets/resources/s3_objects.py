"""The objects of one S3 bucket: read, created once, replaced by compare-and-set, listed, deleted.

Every request for such an object is made here. So it is decided once which answers are retried, which mean that another
writer won, and which are errors. What an object's key is, and what its bytes mean, belong to the callers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ObjectStoreError
from kumo_assets.resources.aws import code_of, explain_error
from kumo_assets.resources.object_cache import ObjectCache

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

JSON = "application/json"
# S3, PutObject: 409 when another conditional write to the key is in progress; retry. 412 when the condition does not hold.
IN_PROGRESS = ("ConditionalRequestConflict", "OperationAborted", "409")
NOT_MET = ("PreconditionFailed", "412")
MISSING = ("NoSuchKey", "404")
FORBIDDEN = ("AccessDenied", "403")
# S3, GetObject: 416 for a range that begins at or behind the object's end.
BEHIND_THE_END = ("InvalidRange", "416")
# GetObject with If-None-Match, of an object that still has the tag.
UNCHANGED = ("304", "NotModified")
# What boto3 raises: for an error answer, or one that cannot be parsed; for none; for a broken connection.
FAULTS = (ClientError, BotoCoreError, OSError)
# Tries of one write that is answered with 409: eight take 2.5 s.
CONFLICTS, FIRST_PAUSE_SECONDS = 8, 0.02
# What a page is sent as. S3 sends XML, or nothing at all.
PAGE = "text/html"
NOT_S3S = "check AWS_ENDPOINT_URL, and any proxy in between"
# S3's id of a version that was written while the bucket kept none.
UNVERSIONED = "null"
# The most keys of one DeleteObjects request (S3's limit).
MOST_DELETED = 1000


@dataclass(frozen=True)
class Stored:
    """An object as read: its bytes, the tag that a compare-and-set compares, and when S3 says it was written. `version`
    is S3's id of this very write, "" where the bucket keeps no versions."""

    data: bytes
    etag: str
    modified: datetime
    version: str = ""


class Range(NamedTuple):
    """Some of an object's bytes, the tag of that object, and how many bytes it has in all."""

    data: bytes
    etag: str
    size: int


class Listed(NamedTuple):
    """An object as a listing shows it."""

    key: str
    modified: datetime


class ObjectStore:
    """One bucket. Every method raises ObjectStoreError when S3 does not answer, or refuses for any reason but those named.

    `client` retries throttles, 5xx and lost connections by itself (`resources.aws.client_config`). A write that was done,
    and whose answer was lost, is therefore tried again and may then be told that somebody was first: itself. A caller to
    whom that matters reads back.
    """

    def __init__(self, bucket: str, client: S3Client, cache: ObjectCache | None = None) -> None:
        self.bucket = bucket
        self.client = client
        self.cache = cache if cache is not None else ObjectCache()

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    # ---- reading

    def get(self, key: str) -> Stored | None:
        """The object, None when there is none.

        S3 says 404 of a missing object only to a caller who may list the whole bucket, and 403 to others (S3, GetObject). A
        caller of ours may list its environment's keys and no others (deploy/iam), so what is forbidden is looked for.
        """
        return self._get(key, None)

    def get_current(self, key: str) -> Stored | None:
        """The same, of an object that is read again and again: what this store's cache has of it is sent along
        (`If-None-Match`), and S3 sends it again only where it was written since. The answer is as current as that of `get`.
        """
        name = f"last read of {key}"
        known = cast("Stored | None", self.cache.get(self.bucket, name)) if self.cache.conditional else None
        found = self._get(key, known)
        if found is not None and found is not known:
            self.cache.put(self.bucket, name, found)
        return found

    def _get(self, key: str, known: Stored | None) -> Stored | None:
        condition: dict[str, Any] = {"IfNoneMatch": known.etag} if known is not None else {}
        for last in (False, True):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key, **condition)
                data = answer["Body"].read()
                break
            except FAULTS as error:
                code = code_of(error)
                if code in MISSING:
                    return None
                if known is not None and code in UNCHANGED:
                    return known if self._same_write(known, error) else self._get(key, None)
                if code in FORBIDDEN and not self._listed(key):
                    return None
                # One that is there now may have been written since: it is read once more.
                if last or code not in FORBIDDEN:
                    raise self._failed("read", key, error) from error
        if not answer.get("ETag") or not answer.get("LastModified"):
            raise self._not_s3s("read", key, "no ETag or no Last-Modified")
        version = answer.get("VersionId", "")
        return Stored(data, answer["ETag"], answer["LastModified"], "" if version == UNVERSIONED else version)

    def _same_write(self, known: Stored, unchanged: Exception) -> bool:
        """Whether a 304 is of the very write that is known. A tag is a hash of the content: a person may have put the same
        content back meanwhile, which must be seen. S3 says when, and in a bucket with versions which, in the headers."""
        response: Any = unchanged.response if isinstance(unchanged, ClientError) else {}
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        date, version = headers.get("last-modified"), headers.get("x-amz-version-id", "").replace(UNVERSIONED, "")
        if not date or (known.version and not version):
            self.cache.conditional = False  # or each read would be two
            return False
        return parsedate_to_datetime(date) == known.modified and version == known.version

    def get_range(self, key: str, start: int, length: int, *, etag: str = "") -> Range | None:
        """`length` bytes from `start` on, or fewer at the end. None when there is no such object, or, with `etag`, not the
        one with that tag. An empty object has an empty range."""
        condition: dict[str, Any] = {"IfMatch": etag} if etag else {}
        try:
            answer = self.client.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes={start}-{start + length - 1}", **condition
            )
            data = answer["Body"].read()
        except FAULTS as error:
            if code_of(error) in (*MISSING, *NOT_MET):
                return None
            if code_of(error) in BEHIND_THE_END:
                return Range(b"", etag, start)
            raise self._failed("read", key, error) from error
        whole = answer.get("ContentRange", "").rpartition("/")[2]
        if not answer.get("ETag") or not whole.isdigit() or len(data) > length:
            raise self._not_s3s("read", key, "no ETag or no Content-Range")
        return Range(data, answer["ETag"], int(whole))

    def get_once(self, key: str, parse: Callable[[Stored], T]) -> T | None:
        """The parsed content of an object that is written once and never deleted: read at most once for each cache.

        None, which is not remembered, when there is no such object. A key always goes with the same `parse`.
        """
        cached = self.cache.get(self.bucket, key)
        if cached is not None:
            return cast("T", cached)
        stored = self.get(key)
        if stored is None:
            return None
        value = parse(stored)
        self.cache.put(self.bucket, key, value)
        return value

    def _listed(self, key: str) -> bool:
        """Whether a listing shows the object; True where it may not be listed either, so that the refusal is reported."""
        try:
            return self.exists(key)
        except ObjectStoreError:
            return True

    def exists(self, key: str) -> bool:
        """Whether there is such an object. It lists, because HEAD says 403 of a missing object to a caller who may list
        one prefix only (S3, HeadObject)."""
        try:
            answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        except FAULTS as error:
            raise self._failed("look for", key, error) from error
        self._must_be_a_listing("look for", key, answer)
        return any(item.get("Key") == key for item in answer.get("Contents", []))

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders right under a prefix that ends in `/`, without what is in them."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
        found: list[str] = []
        try:
            for page in pages:
                self._must_be_a_listing("list", prefix, page)
                found += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
        except FAULTS as error:
            raise self._failed("list", prefix, error) from error
        return [folder.removeprefix(prefix).rstrip("/") for folder in found]

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[Listed]:
        """Every object under a prefix, in order of keys; with `after`, those whose keys sort after it. 1,000 a request."""
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **start)
        try:
            for page in pages:
                self._must_be_a_listing("list", prefix, page)
                for item in page.get("Contents", []):
                    yield Listed(item["Key"], item["LastModified"])
        except FAULTS as error:
            raise self._failed("list", prefix, error) from error

    def versions(self, key: str) -> tuple[str, ...]:
        """The ids of an object's newest versions, newest first; at most 1,000, deletions left out. That of a write which
        the bucket kept no version of is "" ("null" in S3's own words)."""
        try:
            answer: Any = self.client.list_object_versions(Bucket=self.bucket, Prefix=key)
        except FAULTS as error:
            raise self._failed("list the versions of", key, error) from error
        self._must_be_a_listing("list the versions of", key, answer)
        ids = [item["VersionId"] for item in answer.get("Versions", []) if item["Key"] == key]
        return tuple("" if one == UNVERSIONED else one for one in ids)

    def now(self, prefix: str = "") -> datetime:
        """The time by S3's clock, from the Date of a listing's answer; this machine's when the answer has none.

        S3 reports whole seconds, so one is added: no S3 timestamp can then appear to be in the future. `prefix` is one
        that this caller may list.
        """
        try:
            answer: Any = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1)
        except FAULTS as error:
            raise self._failed("list", prefix, error) from error
        self._must_be_a_listing("list", prefix, answer)
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return parsedate_to_datetime(date) + timedelta(seconds=1) if date else datetime.now(UTC)

    # ---- writing

    def put(self, key: str, data: bytes, *, content_type: str = JSON) -> None:
        """Write the object, whatever was there."""
        self._put(key, data, content_type, {})

    def create(self, key: str, data: bytes, *, content_type: str = JSON) -> bool:
        """Write the object if there is none (`If-None-Match: *`). False when S3 says that there is one."""
        return self._put(key, data, content_type, {"IfNoneMatch": "*"})

    def create_once(self, key: str, data: bytes, *, content_type: str = JSON) -> Stored | None:
        """Write the object if there is none: None then. Otherwise the one that exists, which after a write whose answer was
        lost is our own.

        That there is one is looked at, and never only believed. Raises ObjectStoreError when S3 says that there is one,
        and there is none.
        """
        pause = FIRST_PAUSE_SECONDS
        for last in (False, False, True):
            if self.create(key, data, content_type=content_type):
                return None
            existing = self.get(key)
            if existing is not None:
                return existing
            if not last:  # it may have been deleted in between
                time.sleep(pause)
                pause *= 2
        raise ObjectStoreError(
            "write",
            to=self.uri(key),
            found="the store says that the object exists, and there is none",
            next="use AWS S3, or a store that honours If-None-Match; `kumo-assets doctor` tries it",
        )

    def replace(self, key: str, data: bytes, *, etag: str, content_type: str = JSON) -> bool:
        """Write the object if it is the one with this tag (`If-Match`). False when it is another, or gone.

        A tag is a hash of the content, so a caller whose versions must differ gives them different bytes.
        """
        return self._put(key, data, content_type, {"IfMatch": etag})

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete these objects, 1,000 a request; one that does not exist is no error. Raises at the first request of which
        S3 could not delete something; later ones are not made."""
        left = iter(keys)
        while batch := list(islice(left, MOST_DELETED)):
            try:
                # Not quietly: an answer that names nothing may be a proxy's page.
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in batch]}
                )
            except FAULTS as error:
                raise self._failed("delete", batch[0], error) from error
            for wrong in answer.get("Errors", []):
                raise ObjectStoreError(
                    "delete",
                    to=self.uri(wrong.get("Key", batch[0])),
                    found=f"{wrong.get('Code', '')}: {wrong.get('Message', '')}",
                    next="grant s3:DeleteObject (deploy/iam), and try again",
                )
            unknown = set(batch) - {done.get("Key", "") for done in answer.get("Deleted", [])}
            if unknown:
                raise self._not_s3s("delete", min(unknown), "no word of it")

    def _put(self, key: str, data: bytes, content_type: str, condition: dict[str, Any]) -> bool:
        attempt = 1
        while True:
            try:
                answer: Any = self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=data, ContentType=content_type, **condition
                )
                if not answer.get("ETag") or _is_page(answer):
                    raise self._not_s3s("write", key, "no ETag, or it is a page")
                return True
            except FAULTS as error:
                code = code_of(error)
                if condition and code in (*NOT_MET, *MISSING):
                    return False
                if code not in IN_PROGRESS or attempt == CONFLICTS:
                    raise self._failed("write", key, error) from error
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            attempt += 1

    def _must_be_a_listing(self, doing: str, prefix: str, answer: Any) -> None:
        """S3 always says whether there is more (ListObjectsV2, IsTruncated). A page that happens to be XML does not, and
        would read as an empty listing."""
        if "IsTruncated" not in answer or _is_page(answer):
            raise self._not_s3s(doing, prefix, "no IsTruncated, or it is a page")

    def _not_s3s(self, doing: str, key: str, found: str) -> ObjectStoreError:
        return ObjectStoreError(doing, to=self.uri(key), found=f"the answer has {found}: it is not S3's", next=NOT_S3S)

    def _failed(self, doing: str, key: str, error: Exception) -> ObjectStoreError:
        found, advice = explain_error(error, "try again")
        return ObjectStoreError(doing, to=self.uri(key), found=found, next=advice)


def _is_page(answer: Any) -> bool:
    kind = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", "")
    return str(kind).startswith(PAGE)


@contextmanager
def describing(doing: str, consequence: str) -> Iterator[None]:
    """Errors of a store inside the block say that `doing` failed, and what follows from it, beside their own advice."""
    try:
        yield
    except ObjectStoreError as error:
        raise ObjectStoreError(doing, to=error.to, found=error.found, next=f"{error.next}; {consequence}") from error
