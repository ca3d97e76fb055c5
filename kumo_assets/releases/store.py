"""The documents of a query's releases: written once, and read back. What they mean is in `documents`.

`opened.json`, artefacts, the seal and rejections are created only where there is none, so that of two writers one wins and
the other gets the winner's. Verdicts may be decided again until the seal, and are frozen by it. What a listing shows is
in `listing`; how S3 is asked is in `resources.s3_objects`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import (
    IMPORT_GATE,
    Artefact,
    Attempt,
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
from kumo_assets.releases.listing import (
    FALLBACK,
    FORCED,
    OPENED,
    REJECTED,
    RETIRED,
    RETIRING,
    SEAL,
    Listing,
    list_releases,
    releases_of,
)
from kumo_assets.resources.s3_objects import ObjectStore, Stored

D = TypeVar("D", bound=Document)


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


class ReleaseStore:
    """The release objects of one query in one environment. Raises ReleaseError for a damaged document, ObjectStoreError
    when S3 does not answer."""

    def __init__(self, names: QueryNames, objects: ObjectStore) -> None:
        self.names = names
        self.objects = objects

    # ---- opening, artefacts, statistics

    def open(self, opened: Opened) -> Opened:
        """Write `opened.json`, or return the existing one. ReleaseError when that one is of another run."""
        existing = self._create(opened.release_id, OPENED, opened)
        owner = (existing.root_run_id, existing.partition, existing.query)
        if owner != (opened.root_run_id, opened.partition, opened.query):
            raise ReleaseError(
                "open the release",
                to=opened.release_id,
                found=f"it belongs to run {existing.root_run_id} of {existing.query}, partition {existing.partition}",
                next="start the run again: two run ids share their first 8 digits",
            )
        return existing

    def opened(self, release: str) -> Opened | None:
        return self._read_once(release, OPENED, Opened)

    def write_artefact(self, artefact: Artefact) -> Artefact:
        """Record an artefact once; the first record stays and is returned."""
        name = f"artefacts/{artefact.asset}.json"
        recorded = self._create(artefact.release_id, name, artefact)
        self.objects.cache.put(self.objects.bucket, self._key(artefact.release_id, name), recorded)
        return recorded

    def artefact(self, release: str, asset: str) -> Artefact | None:
        return self._read_once(release, f"artefacts/{asset}.json", Artefact)

    def begin_attempt(self, attempt: Attempt) -> Attempt:
        """Record what an attempt is made from, before it starts; the first record stays and is returned."""
        return self._create(attempt.release_id, _attempt_name(attempt.asset, attempt.attempt), attempt)

    def attempt(self, release: str, asset: str, number: int) -> Attempt | None:
        """What an attempt was begun with; None for one that was not begun, or by an earlier version."""
        return self._read(release, _attempt_name(asset, number), Attempt)

    def write_statistics(self, release: str, asset: str, counts: dict[str, Any]) -> None:
        """Keep the counts of one asset's gates. They become the next release's baseline with the seal."""
        self.objects.put(self._key(release, f"statistics/{asset}.json"), json.dumps(counts).encode())

    def statistics(self, release: str, asset: str) -> dict[str, Any] | None:
        """The counts kept of one asset; None when it has none."""
        stored = self.objects.get(self._key(release, f"statistics/{asset}.json"))
        return json.loads(stored.data) if stored is not None else None

    def put_fallback(self, release: str, item_format: str, prediction: Any) -> str:
        """Write the fallback list; its S3 URI. `prediction` has the shape of an item's `p`."""
        document = {
            "schema_version": 1,
            "query": self.names.query,
            "release_id": release,
            "item_format": item_format,
            "p": prediction,
        }
        key = self._key(release, FALLBACK)
        self.objects.put(key, json.dumps(document, ensure_ascii=False).encode())
        return self.objects.uri(key)

    # ---- verdicts

    def write_verdict(self, verdict: Verdict) -> Verdict:
        """Store a gate's outcome. Until the seal a new one replaces the existing one, and records the settings that it was
        judged by; after it, a missing one may still arrive, and an existing one is returned as it is."""
        key = self._key(verdict.release_id, f"verdicts/{verdict.gate}.json")
        if self.objects.create(key, verdict.to_json()):
            return verdict
        before = self.verdict(verdict.release_id, verdict.gate)
        if self.objects.exists(self._key(verdict.release_id, SEAL)):
            return before or verdict
        if before is not None:
            verdict = verdict.after(before)
        self.objects.put(key, verdict.to_json())
        return verdict

    def verdict(self, release: str, gate: str) -> Verdict | None:
        return self._read(release, f"verdicts/{gate}.json", Verdict)

    def verdicts(self, release: str) -> dict[str, Verdict]:
        """Every stored verdict of a release, by gate."""
        prefix = self.names.release_prefix(release)
        stored = {}
        for item in self.objects.list(f"{prefix}verdicts/"):
            verdict = self._read(release, item.key.removeprefix(prefix), Verdict)
            if verdict is not None:
                stored[verdict.gate] = verdict
        return stored

    def home(self, opened: Opened, asset: str) -> str:
        """The release whose artefact and verdicts of `asset` this one goes by: its own, or the one it adopted."""
        return opened.adopted.get(asset, opened.release_id)

    def required_verdicts(self, opened: Opened) -> dict[str, Verdict | None]:
        """Every verdict a promotion of this release must show, None where it is missing or of another release.

        Adopted artefacts bring the verdicts of the release they come from (rule 2). The import's is always required
        (rule 6), whatever the definition says.
        """
        homes = {gate: self.home(opened, record.asset) for gate, record in opened.gates.items()}
        homes[IMPORT_GATE] = self.home(opened, "dynamodb_table")
        required: dict[str, Verdict | None] = {}
        for gate, home in homes.items():
            verdict = self.verdict(home, gate)
            ours = verdict is not None and (verdict.release_id, verdict.gate) == (home, gate)
            required[gate] = verdict if ours else None
        return required

    # ---- seal and after

    def seal(self, seal: Seal) -> Seal:
        """Seal the release once; the first seal stays and is returned."""
        return self._create(seal.release_id, SEAL, seal)

    def sealed(self, release: str) -> SealedRelease | None:
        """The seal, with the time S3 gives it; None for a release that is not sealed."""

        key = self._key(release, SEAL)

        def parse(stored: Stored) -> SealedRelease:
            return SealedRelease(Seal.from_json(stored.data, self.objects.uri(key)), utc_text(stored.modified))

        return self.objects.get_once(key, parse)

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
        self.objects.delete_many([self._key(release, RETIRING)])

    def mark_retired(self, retirement: Retirement) -> Retirement:
        return self._create(retirement.release_id, RETIRED, retirement)

    def retirement(self, release: str) -> Retirement | None:
        return self._read(release, RETIRED, Retirement) or self._read(release, RETIRING, Retirement)

    # ---- listing

    def listings(self, from_partition: str | None = None) -> list[Listing]:
        """Every release (of `from_partition` and later), oldest id first, from one pass over the prefix."""
        return list_releases(self.objects, self.names, from_partition)

    def newest_with(self, partition: str, asset: str) -> str | None:
        """The newest release of `partition` that can vouch for `asset`, with its own artefact or an adopted one."""
        holding = []
        for release in releases_of(self.objects, self.names, partition):
            opened = self.opened(release)
            if opened is None or self.retirement(release) is not None:
                continue
            artefact = self.artefact(self.home(opened, asset), asset)
            if artefact is not None:
                holding.append((opened.opened_at, release))
        return max(holding)[1] if holding else None

    # ---- one object

    def _key(self, release: str, name: str) -> str:
        return self.names.release_prefix(release) + name

    def _read(self, release: str, name: str, kind: type[D]) -> D | None:
        key = self._key(release, name)
        stored = self.objects.get(key)
        return kind.from_json(stored.data, self.objects.uri(key)) if stored is not None else None

    def _read_once(self, release: str, name: str, kind: type[D]) -> D | None:
        """The same, of a document that is written once and never deleted."""
        key = self._key(release, name)
        return self.objects.get_once(key, lambda stored: kind.from_json(stored.data, self.objects.uri(key)))

    def _create(self, release: str, name: str, document: D) -> D:
        """Write once; the document that exists then. After a write whose answer was lost, that is our own."""
        if self.objects.create(self._key(release, name), document.to_json()):
            return document
        return self._read(release, name, type(document)) or document


def _attempt_name(asset: str, number: int) -> str:
    return f"attempts/{asset}-a{number}.json"
