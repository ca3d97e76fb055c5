"""What a listing of the bucket shows of a query's releases, without reading any object; and the names of those objects.

Reading and writing the objects is in `store`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kumo_assets.config.names import ATTEMPT_PATTERN, QueryNames, ReleaseId
from kumo_assets.documents import utc_text
from kumo_assets.resources.s3_objects import Listed, ObjectStore

# The file that means each thing, under a release's prefix.
OPENED, SEAL, REJECTED, FORCED = "opened.json", "release.json", "rejected.json", "forced.json"
RETIRING, RETIRED, FALLBACK = "retiring.json", "retired.json", "fallback.json"
# Folders: what the placeholders of this release stand for, and which releases are built from this one's table.
REFERENCES, READERS = "references/", "readers/"
# How good the release was, by age, and the sample of what it serves, which outlives its tables.
OUTCOMES = "outcomes/"
SERVED, SERVED_DROPPED = f"{OUTCOMES}served.json", f"{OUTCOMES}dropped.json"
_OUTCOME = re.compile(rf"{OUTCOMES}([1-9][0-9]{{0,3}})\.json")

# The folders of a release that we fill by unloading, and these with all that we write beside them. Whatever else is in a
# release's folder is foreign.
EXPORT_FOLDER = re.compile(rf"export{ATTEMPT_PATTERN}/")
WRITTEN_IN_RELEASE = re.compile(
    rf"export{ATTEMPT_PATTERN}/.*"
    r"|(?:opened|release|rejected|forced|retiring|retired|fallback)\.json\Z"
    rf"|(?:artefacts|attempts|imports|verdicts|statistics|{OUTCOMES[:-1]}|{REFERENCES[:-1]})/[^/]+\.json\Z"
    rf"|{READERS}[^/]+\Z"
)


@dataclass(frozen=True)
class Listing:
    """What one listing shows of a release: its object names under its prefix, when the seal was written, when anything
    was last, and when the release was opened (all by S3's clock)."""

    release_id: str
    files: frozenset[str]
    sealed_at: str | None
    touched: str = ""
    opened_at: str = ""

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
    def keeps_sample(self) -> bool:
        """Whether a Snowflake table with a sample of what the release serves exists, by its records."""
        return SERVED in self.files and SERVED_DROPPED not in self.files

    @property
    def ages_judged(self) -> list[int]:
        """The ages, in days, that the release has an outcome for; ascending."""
        return sorted(int(found[1]) for name in self.files if (found := _OUTCOME.fullmatch(name)))

    @property
    def rejected(self) -> bool:
        return REJECTED in self.files

    @property
    def retired(self) -> bool:
        return RETIRING in self.files or RETIRED in self.files


def is_foreign(names: QueryNames, key: str) -> bool:
    """Whether a key among the releases is of an object that nothing of ours wrote. A folder's own marker is none."""
    release, _, name = key.removeprefix(names.releases_prefix).partition("/")
    return not key.endswith("/") and (ReleaseId.parse(release) is None or not WRITTEN_IN_RELEASE.match(name))


def list_releases(objects: ObjectStore, names: QueryNames, from_partition: str | None = None) -> list[Listing]:
    """Every release (of `from_partition` and later), oldest id first, from one pass over the prefix.

    Release ids sort by partition, so a narrow question costs a narrow listing (S3 StartAfter). Raises ObjectStoreError.
    """
    after = names.day_prefix(from_partition) if from_partition else None
    return gathered(objects.list(names.releases_prefix, after=after), names.releases_prefix)


def releases_of(objects: ObjectStore, names: QueryNames, partition: str) -> list[Listing]:
    """A partition's releases, oldest id first. Raises ObjectStoreError."""
    return gathered(objects.list(names.day_prefix(partition)), names.releases_prefix)


def gathered(listed: Iterable[Listed], root: str) -> list[Listing]:
    """The objects under a prefix, by release; what belongs to none is left out."""
    files: dict[str, dict[str, str]] = {}
    for key, modified in listed:
        release, _, name = key.removeprefix(root).partition("/")
        if name and (release in files or ReleaseId.parse(release) is not None):
            files.setdefault(release, {})[name] = utc_text(modified)
    return [
        Listing(release, frozenset(times), times.get(SEAL), max(times.values()), times.get(OPENED, ""))
        for release, times in sorted(files.items())
    ]
