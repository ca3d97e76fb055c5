"""What a listing of the bucket shows of a query's releases, without reading any object; and the names of those objects.

Reading and writing the objects is in `store`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kumo_assets.config.names import QueryNames, ReleaseId
from kumo_assets.documents import utc_text
from kumo_assets.resources.s3_objects import ObjectStore

# The file that means each thing, under a release's prefix.
OPENED, SEAL, REJECTED, FORCED = "opened.json", "release.json", "rejected.json", "forced.json"
RETIRING, RETIRED, FALLBACK = "retiring.json", "retired.json", "fallback.json"
# Folders: what the placeholders of this release stand for, and which releases are built from this one's table.
REFERENCES, READERS = "references/", "readers/"


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


def list_releases(objects: ObjectStore, names: QueryNames, from_partition: str | None = None) -> list[Listing]:
    """Every release (of `from_partition` and later), oldest id first, from one pass over the prefix.

    Release ids sort by partition, so a narrow question costs a narrow listing (S3 StartAfter). Raises ObjectStoreError.
    """
    root = names.releases_prefix
    after = names.day_prefix(from_partition) if from_partition else None
    files: dict[str, set[str]] = {}
    sealed: dict[str, str] = {}
    touched: dict[str, str] = {}
    for key, modified in objects.list(root, after=after):
        release, _, name = key.removeprefix(root).partition("/")
        if not name or (release not in files and ReleaseId.parse(release) is None):
            continue
        files.setdefault(release, set()).add(name)
        touched[release] = max(touched.get(release, ""), utc_text(modified))
        if name == SEAL:
            sealed[release] = utc_text(modified)
    return [
        Listing(release, frozenset(files[release]), sealed.get(release), touched[release]) for release in sorted(files)
    ]


def releases_of(objects: ObjectStore, names: QueryNames, partition: str) -> list[str]:
    """The ids of a partition's releases, in order. Raises ObjectStoreError."""
    keys = (item.key.removeprefix(names.releases_prefix) for item in objects.list(names.day_prefix(partition)))
    prefixes = {key.partition("/")[0] for key in keys}
    return sorted(release for release in prefixes if ReleaseId.parse(release) is not None)
