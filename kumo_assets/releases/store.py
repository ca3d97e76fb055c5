"""Release objects on S3: written once, read back as documents, listed in one pass. What they mean is in `documents`.

`opened.json`, artefacts, the seal, rejections are created with `If-None-Match: *`, so that of two writers one wins and
the other is handed the winner's. Verdicts may be decided again until the seal, and are frozen by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.config.names import QueryNames, ReleaseId
from kumo_assets.documents import (
    IMPORT_GATE,
    Artefact,
    Document,
    Forcing,
    Opened,
    Rejection,
    Retirement,
    Seal,
    Verdict,
    utc_text,
)
from kumo_assets.errors import ReleaseError
from kumo_assets.resources.aws import trouble

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

D = TypeVar("D", bound=Document)
K = TypeVar("K")

MOST_KEPT = 4096
_kept: dict[tuple[str, str, str], object] = {}

# The file that means each thing, under a release's prefix.
OPENED, SEAL, REJECTED, FORCED = "opened.json", "release.json", "rejected.json", "forced.json"
RETIRING, RETIRED, FALLBACK = "retiring.json", "retired.json", "fallback.json"


@dataclass(frozen=True)
class SealedRelease:
    """A seal, and when S3's own clock says it was written: what orders releases of one partition (rule 5)."""

    seal: Seal
    sealed_at: str

    @property
    def release_id(self) -> str:
        return self.seal.release_id

    @property
    def order(self) -> tuple[str, str, str]:
        """Releases sort by partition, then by when they were sealed; the id settles a tie."""
        return (self.seal.partition, self.sealed_at, self.seal.release_id)


@dataclass(frozen=True)
class Listing:
    """What one listing shows of a release: its object names under its prefix, when the seal was written, and when
    anything was last (all by S3's clock)."""

    release_id: str
    files: frozenset[str]
    sealed_at: str | None
    touched: str = ""

    @property
    def partition(self) -> str:
        return ReleaseId.checked(self.release_id).partition

    @property
    def order(self) -> tuple[str, str, str]:
        """Sorts as `SealedRelease.order` does; an unsealed release comes before the sealed ones of its partition."""
        return (self.partition, self.sealed_at or "", self.release_id)

    @property
    def sealed(self) -> bool:
        return self.sealed_at is not None

    @property
    def rejected(self) -> bool:
        return REJECTED in self.files

    @property
    def retired(self) -> bool:
        return RETIRING in self.files or RETIRED in self.files


class ReleaseStore:
    """The release objects of one query in one environment. Raises ReleaseError when S3 does not answer."""

    def __init__(self, names: QueryNames, s3: S3Client) -> None:
        self.names = names
        self.s3 = s3

    # ---- opening, artefacts, statistics

    def open(self, opened: Opened) -> Opened:
        """Write `opened.json`, or return the one that stands. ReleaseError when that one is of another run."""
        found = self._create(opened.release_id, OPENED, opened)
        if (found.root_run_id, found.partition, found.query) != (opened.root_run_id, opened.partition, opened.query):
            raise ReleaseError(
                "open the release",
                to=opened.release_id,
                found=f"it belongs to run {found.root_run_id} of {found.query}, partition {found.partition}",
                next="start the run again: two run ids share their first 8 digits",
            )
        return found

    def opened(self, release: str) -> Opened | None:
        return self._kept(release, OPENED, lambda: self._read(release, OPENED, Opened))

    def write_artefact(self, artefact: Artefact) -> Artefact:
        """Record an artefact once; the first record stays and is returned."""
        name = f"artefacts/{artefact.asset}.json"
        kept = self._kept(artefact.release_id, name, lambda: self._create(artefact.release_id, name, artefact))
        assert kept is not None, "what was just created, or stood already, is there"
        return kept

    def artefact(self, release: str, asset: str) -> Artefact | None:
        name = f"artefacts/{asset}.json"
        return self._kept(release, name, lambda: self._read(release, name, Artefact))

    def write_statistics(self, release: str, asset: str, counts: dict[str, Any]) -> None:
        """Keep the counts of one asset's gates. They become the next release's baseline with the seal."""
        self._put(release, f"statistics/{asset}.json", json.dumps(counts).encode(), create=False)

    def statistics(self, release: str, asset: str) -> dict[str, Any] | None:
        """The counts kept of one asset; None when it has none."""
        data = self._get(release, f"statistics/{asset}.json")
        return json.loads(data) if data is not None else None

    def put_fallback(self, release: str, item_format: str, prediction: Any) -> str:
        """Write the fallback list; its S3 URI. `prediction` has the shape of an item's `p`."""
        document = {
            "schema_version": 1,
            "query": self.names.query,
            "release_id": release,
            "item_format": item_format,
            "p": prediction,
        }
        self._put(release, FALLBACK, json.dumps(document, ensure_ascii=False).encode(), create=False)
        return f"s3://{self.names.bucket}/{self.names.release_prefix(release)}{FALLBACK}"

    # ---- verdicts

    def write_verdict(self, verdict: Verdict) -> Verdict:
        """Store a gate's outcome. Until the seal a new one takes the place of one that stands; after it, a missing one
        may still arrive, and one that stands is returned as it is."""
        name = f"verdicts/{verdict.gate}.json"
        data = verdict.to_json()
        if self._put(verdict.release_id, name, data, create=True):
            return verdict
        if self._exists(verdict.release_id, SEAL):
            return self.verdict(verdict.release_id, verdict.gate) or verdict
        self._put(verdict.release_id, name, data, create=False)
        return verdict

    def verdict(self, release: str, gate: str) -> Verdict | None:
        return self._read(release, f"verdicts/{gate}.json", Verdict)

    def verdicts(self, release: str) -> dict[str, Verdict]:
        """Every stored verdict of a release, by gate."""
        prefix = self.names.release_prefix(release)
        found = {}
        for key, _ in self._list(f"{prefix}verdicts/"):
            verdict = self._read(release, key.removeprefix(prefix), Verdict)
            if verdict is not None:
                found[verdict.gate] = verdict
        return found

    def home(self, opened: Opened, asset: str) -> str:
        """The release whose artefact and verdicts of `asset` this one goes by: its own, or the one it adopted."""
        return opened.adopted.get(asset, opened.release_id)

    def required_verdicts(self, opened: Opened) -> dict[str, Verdict | None]:
        """Every verdict a promotion of this release must show, None where it is missing or of another release.

        Adopted artefacts bring the verdicts of the release they come from (rule 2). The import's is always required
        (rule 6), whatever the definition says.
        """
        wanted: dict[str, tuple[str, str]] = {
            gate: (self.home(opened, record.asset), record.asset) for gate, record in opened.gates.items()
        }
        wanted[IMPORT_GATE] = (self.home(opened, "dynamodb_table"), "dynamodb_table")
        found: dict[str, Verdict | None] = {}
        for gate, (home, _) in wanted.items():
            verdict = self.verdict(home, gate)
            found[gate] = (
                verdict if verdict is not None and (verdict.release_id, verdict.gate) == (home, gate) else None
            )
        return found

    # ---- seal and after

    def seal(self, seal: Seal) -> Seal:
        """Seal the release once; the first seal stays and is returned."""
        return self._create(seal.release_id, SEAL, seal)

    def sealed(self, release: str) -> SealedRelease | None:
        """The seal, with the time S3 gives it; None for a release that is not sealed."""

        def read() -> SealedRelease | None:
            answer = self._answer(release, SEAL)
            if answer is None:
                return None
            data, modified = answer
            return SealedRelease(Seal.from_json(data, self._where(release, SEAL)), utc_text(modified))

        return self._kept(release, SEAL, read)

    def reject(self, rejection: Rejection) -> Rejection:
        return self._create(rejection.release_id, REJECTED, rejection)

    def rejection(self, release: str) -> Rejection | None:
        return self._read(release, REJECTED, Rejection)

    def force(self, forcing: Forcing) -> Forcing:
        return self._create(forcing.release_id, FORCED, forcing)

    def forcing(self, release: str) -> Forcing | None:
        return self._read(release, FORCED, Forcing)

    def mark_retiring(self, retirement: Retirement) -> Retirement:
        return self._create(retirement.release_id, RETIRING, retirement)

    def unmark_retiring(self, release: str) -> None:
        """Take the mark back, before anything was deleted: the release went live after all."""
        try:
            self.s3.delete_object(Bucket=self.names.bucket, Key=self.names.release_prefix(release) + RETIRING)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _failed("take back", self._where(release, RETIRING), error) from error

    def mark_retired(self, retirement: Retirement) -> Retirement:
        return self._create(retirement.release_id, RETIRED, retirement)

    def retirement(self, release: str) -> Retirement | None:
        return self._read(release, RETIRED, Retirement) or self._read(release, RETIRING, Retirement)

    # ---- listing

    def listings(self, from_partition: str | None = None) -> list[Listing]:
        """Every release (of `from_partition` and later), oldest id first, from one pass over the prefix.

        Release ids sort by partition, so a narrow question costs a narrow listing (S3 StartAfter).
        """
        root = self.names.releases_prefix
        after = self.names.day_prefix(from_partition) if from_partition else None
        files: dict[str, set[str]] = {}
        sealed: dict[str, str] = {}
        touched: dict[str, str] = {}
        for key, modified in self._list(root, after):
            release, _, name = key.removeprefix(root).partition("/")
            if not name or (release not in files and ReleaseId.parse(release) is None):
                continue
            files.setdefault(release, set()).add(name)
            touched[release] = max(touched.get(release, ""), utc_text(modified))
            if name == SEAL:
                sealed[release] = utc_text(modified)
        return [
            Listing(release, frozenset(files[release]), sealed.get(release), touched[release])
            for release in sorted(files)
        ]

    def newest_with(self, partition: str, asset: str) -> str | None:
        """The newest release of `partition` that can vouch for `asset`, with its own artefact or an adopted one."""
        prefix = self.names.day_prefix(partition)
        releases = sorted(
            {key.removeprefix(self.names.releases_prefix).partition("/")[0] for key, _ in self._list(prefix)}
        )
        holding = []
        for release in releases:
            opened = self.opened(release) if ReleaseId.parse(release) is not None else None
            if opened is None or self.retirement(release) is not None:
                continue
            artefact = self.artefact(self.home(opened, asset), asset)
            if artefact is not None:
                holding.append((opened.opened_at, release))
        return max(holding)[1] if holding else None

    # ---- S3

    def _kept(self, release: str, name: str, read: Callable[[], K | None]) -> K | None:
        """What is written once and never deleted is read once a process: a sensor asks for the same seals each tick."""
        key = (str(self.s3.meta.endpoint_url), self.names.bucket, self.names.release_prefix(release) + name)
        if key in _kept:
            return cast("K", _kept[key])
        found = read()
        if found is not None:
            while len(_kept) >= MOST_KEPT:
                _kept.pop(next(iter(_kept)), None)
            _kept[key] = found
        return found

    def _where(self, release: str, name: str) -> str:
        return f"s3://{self.names.bucket}/{self.names.release_prefix(release)}{name}"

    def _read(self, release: str, name: str, kind: type[D]) -> D | None:
        data = self._get(release, name)
        return None if data is None else kind.from_json(data, self._where(release, name))

    def _get(self, release: str, name: str) -> bytes | None:
        answer = self._answer(release, name)
        return None if answer is None else answer[0]

    def _answer(self, release: str, name: str) -> tuple[bytes, datetime] | None:
        try:
            answer = self.s3.get_object(Bucket=self.names.bucket, Key=self.names.release_prefix(release) + name)
            return answer["Body"].read(), answer["LastModified"]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise _failed("read", self._where(release, name), error) from error
        except (BotoCoreError, OSError) as error:
            raise _failed("read", self._where(release, name), error) from error

    def _exists(self, release: str, name: str) -> bool:
        try:
            self.s3.head_object(Bucket=self.names.bucket, Key=self.names.release_prefix(release) + name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise _failed("look for", self._where(release, name), error) from error
        except BotoCoreError as error:
            raise _failed("look for", self._where(release, name), error) from error
        return True

    def _create(self, release: str, name: str, document: D) -> D:
        """Write once. A time-out that hid a success shows itself as our own document standing there."""
        if not self._put(release, name, document.to_json(), create=True):
            found = self._read(release, name, type(document))
            if found is not None:
                return found
        return document

    def _put(self, release: str, name: str, data: bytes, *, create: bool) -> bool:
        """True when written, False when `create` lost to an object that stands."""
        key = self.names.release_prefix(release) + name
        condition: dict[str, str] = {"IfNoneMatch": "*"} if create else {}
        for _ in range(5):
            try:
                self.s3.put_object(
                    Bucket=self.names.bucket,
                    Key=key,
                    Body=data,
                    ContentType="application/json",
                    **condition,  # type: ignore[arg-type]
                )
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("PreconditionFailed", "412"):
                    return False
                if code in ("ConditionalRequestConflict", "409"):
                    continue  # S3: another conditional write is under way; ask again.
                raise _failed("write", self._where(release, name), error) from error
            except (BotoCoreError, OSError) as error:
                raise _failed("write", self._where(release, name), error) from error
            return True
        raise ReleaseError(
            "write", to=self._where(release, name), found="five conflicts with other writers in a row", next="try again"
        )

    def keys(self, prefix: str) -> list[str]:
        """The key of every object under a prefix of the bucket."""
        return [key for key, _ in self._list(prefix)]

    def listing_answer(self) -> Any:
        """S3's whole answer to the smallest listing: its headers tell S3's own time."""
        try:
            return self.s3.list_objects_v2(Bucket=self.names.bucket, Prefix=self.names.releases_prefix, MaxKeys=1)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _failed("list", self.names.releases_uri, error) from error

    def _list(self, prefix: str, after: str | None = None) -> Iterator[tuple[str, datetime]]:
        start = {"StartAfter": after} if after else {}
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.names.bucket,
                Prefix=prefix,
                **start,  # type: ignore[arg-type]
            ):
                for item in page.get("Contents", []):
                    yield item["Key"], item["LastModified"]
        except (ClientError, BotoCoreError, OSError) as error:
            raise _failed("list", f"s3://{self.names.bucket}/{prefix}", error) from error


def _failed(doing: str, what: str, error: Exception) -> ReleaseError:
    found, following = trouble(error, "try again; nothing was half-written")
    return ReleaseError(doing, to=what, found=found, next=following)
