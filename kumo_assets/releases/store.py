"""The documents of a query's releases: written once, and read back. What they mean is in `documents`.

`opened.json`, artefacts, the seal and rejections are created only where there is none, so that of two writers one wins and
the other gets the winner's. Verdicts may be decided again until the seal, and are frozen by it. What a listing shows is
in `listing`; how S3 is asked is in `resources.s3_objects`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kumo_assets.config.names import QueryNames, ReleaseId
from kumo_assets.documents import (
    IMPORT_GATE,
    Artefact,
    Attempt,
    Document,
    Forcing,
    Opened,
    Outcome,
    Reference,
    Rejection,
    Retirement,
    Seal,
    Served,
    ServedDropped,
    Verdict,
    digest_of,
    utc_text,
    validate_seal,
)
from kumo_assets.errors import DamagedDocument, ReleaseError
from kumo_assets.releases.bell import ring
from kumo_assets.releases.listing import (
    FALLBACK,
    FORCED,
    OPENED,
    OUTCOMES,
    READERS,
    REFERENCES,
    REJECTED,
    RETIRED,
    RETIRING,
    SEAL,
    SERVED,
    SERVED_DROPPED,
    Listing,
    list_releases,
    releases_of,
)
from kumo_assets.releases.release_documents import ReleaseDocuments
from kumo_assets.resources.s3_objects import Stored

_FOLDERS: dict[str, type[Document]] = {
    "verdicts": Verdict,
    "attempts": Attempt,
    REFERENCES.rstrip("/"): Reference,
}
_KINDS: dict[str, type[Document]] = {
    REJECTED: Rejection,
    FORCED: Forcing,
    RETIRING: Retirement,
    RETIRED: Retirement,
    SERVED: Served,
    SERVED_DROPPED: ServedDropped,
}
# Partition, time of the seal by S3's clock, release id: the one ordering of a query's releases (rule 5).
Order = tuple[str, str, str]


@dataclass(frozen=True)
class SealedRelease:
    """A seal, and when S3's own clock says it was written: what orders releases of one partition (rule 5)."""

    seal: Seal
    sealed_at: str

    @property
    def release_id(self) -> str:
        return self.seal.release_id

    @property
    def order(self) -> Order:
        """Releases sort by partition, then by when they were sealed; the id settles a tie."""
        return (self.seal.partition, self.sealed_at, self.seal.release_id)


class ReleaseStore(ReleaseDocuments):
    """The release objects of one query in one environment. Raises DamagedDocument for a document that is not what it was
    read for, ObjectStoreError when S3 does not answer. A text that is no release id names no release: nothing is found."""

    # ---- opening, artefacts

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
        found = self._stored_opened(release)
        return found[0] if found is not None else None

    def digest_of_opened(self, release: str) -> str:
        """What a seal records of the stored `opened.json`. ReleaseError when there is none."""
        found = self._stored_opened(release)
        if found is None:
            raise ReleaseError("seal the release", to=release, found="it has no opened.json", next="start a new run")
        return found[1]

    def _stored_opened(self, release: str) -> tuple[Opened, str] | None:
        """`opened.json` and the digest of its stored bytes."""
        if ReleaseId.parse(release) is None:
            return None

        def parse(stored: Stored) -> tuple[Opened, str]:
            return self._parsed(release, OPENED, Opened, stored), digest_of(stored.data)

        return self.objects.get_once(self._key(release, OPENED), parse)

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

    # ---- tables of other releases that this one is made with

    def write_reference(self, reference: Reference) -> Reference:
        """Record what a name stands for, once; the first record stays and is returned."""
        return self._create(reference.release_id, f"{REFERENCES}{reference.name}.json", reference)

    def reference(self, release: str, name: str) -> Reference | None:
        return self._read_once(release, f"{REFERENCES}{name}.json", Reference)

    def mark_read(self, release: str, reader: QueryNames, reading: str) -> None:
        """Note beside `release` that the release `reading` of the query `reader` is built from its table. The note is its
        name alone; retirement reads it from the listing."""
        self.objects.create(self._key(release, f"{READERS}{reader.query}-{reading}"), b"")

    # ---- statistics

    def write_statistics(self, release: str, asset: str, counts: dict[str, Any]) -> None:
        """Keep the counts of one asset's gates. They become the next release's baseline with the seal."""
        self.objects.put(self._key(release, f"statistics/{asset}.json"), json.dumps(counts).encode())

    def statistics(self, release: str, asset: str) -> dict[str, Any] | None:
        """The counts kept of one asset; None when it has none."""
        key = self._key(release, f"statistics/{asset}.json")
        stored = self.objects.get(key)
        if stored is None:
            return None
        try:
            counts = json.loads(stored.data)
            fault = "" if isinstance(counts, dict) else f"it is a {type(counts).__name__}"
        except (ValueError, RecursionError) as error:
            counts, fault = {}, str(error)
        if fault:
            raise DamagedDocument(
                "read the counts in", to=self.objects.uri(key), found=fault, next="build a new release"
            )
        return dict(counts)

    def write_import(self, release: str, attempt: int, table: str, arn: str) -> None:
        """Record the import of one attempt the moment it is known, once: DynamoDB may list only imports that ended."""
        document = {"schema_version": 1, "query": self.names.query, "release_id": release, "attempt": attempt}
        data = json.dumps(document | {"table": table, "import_arn": arn}).encode()
        self.objects.create(self._key(release, f"imports/{attempt}.json"), data)

    def import_arn(self, release: str, attempt: int) -> str | None:
        """The recorded import of an attempt; None without a record, or with one that cannot be read: it is only a short
        cut, and the import is then found by its token or its table."""
        stored = self.objects.get(self._key(release, f"imports/{attempt}.json"))
        try:
            arn = json.loads(stored.data)["import_arn"] if stored is not None else None
        except (ValueError, TypeError, KeyError):
            return None
        return arn if isinstance(arn, str) and arn else None

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
        existing = self.objects.create_once(key, verdict.to_json())
        if existing is None:
            return verdict
        if self.objects.exists(self._key(verdict.release_id, SEAL)):
            where = self.objects.uri(key)
            return self.verdict(verdict.release_id, verdict.gate) or Verdict.from_json(existing.data, where)
        with suppress(DamagedDocument):
            before = self.verdict(verdict.release_id, verdict.gate)
            if before is not None:
                verdict = verdict.after(before)
        self.objects.put(key, verdict.to_json())
        return verdict

    def verdict(self, release: str, gate: str, asset: str = "", *, once: bool = False) -> Verdict | None:
        """A gate's verdict; `asset` is the one that it must be about, where the caller knows. With `once` it is read at most
        once for each cache: for a sealed release, whose verdicts are frozen."""
        read = self._read_once if once else self._read
        return read(release, f"verdicts/{gate}.json", Verdict, asset)

    def verdicts(self, release: str) -> dict[str, Verdict]:
        """Every stored verdict of a release, by gate; damaged ones left out."""
        prefix = self.names.release_prefix(release)
        names = [item.key.removeprefix(prefix) for item in self.objects.list(f"{prefix}verdicts/")]
        return self.verdicts_in(release, names)

    def verdicts_in(self, release: str, names: Iterable[str], *, once: bool = False) -> dict[str, Verdict]:
        """The verdicts among these object names of a release, by gate; damaged ones left out. `once` as in `verdict`."""
        read = self._read_once if once else self._read
        stored = {}
        for name in sorted(names):
            if not name.startswith("verdicts/") or not name.endswith(".json"):
                continue
            with suppress(DamagedDocument):
                verdict = read(release, name, Verdict)
                if verdict is not None:
                    stored[verdict.gate] = verdict
        return stored

    def home(self, opened: Opened, asset: str) -> str:
        """The release whose artefact and verdicts of `asset` this one goes by: its own, or the one it adopted."""
        return opened.adopted.get(asset, opened.release_id)

    def required_verdicts(
        self, opened: Opened, damaged: dict[str, DamagedDocument] | None = None, *, once: bool = False
    ) -> dict[str, Verdict | None]:
        """Every verdict a promotion of this release must show, None where it is missing or damaged; what is damaged is
        added to `damaged`, by gate.

        Adopted artefacts bring the verdicts of the release they come from (rule 2). The import's is always required
        (rule 6), whatever the definition says.
        """
        assets = {gate: record.asset for gate, record in opened.gates.items()} | {IMPORT_GATE: "dynamodb_table"}
        required: dict[str, Verdict | None] = {}
        for gate, asset in assets.items():
            try:
                required[gate] = self.verdict(self.home(opened, asset), gate, asset, once=once)
            except DamagedDocument as error:
                required[gate] = None
                if damaged is not None:
                    damaged[gate] = error
        return required

    # ---- seal and after

    def seal(self, seal: Seal) -> Seal:
        """Seal the release once; the first seal stays and is returned."""
        sealed = self._create(seal.release_id, SEAL, seal)
        ring(self.objects, self.names, seal.release_id)
        return sealed

    def sealed(self, release: str) -> SealedRelease | None:
        """The seal, with the time S3 gives it; None for a release that is not sealed. DamagedDocument when the release's
        other documents are not those that were sealed."""
        if ReleaseId.parse(release) is None:
            return None

        sealed = self._stored_seal(release)
        found = self._stored_opened(release)
        if sealed is not None and found is not None:
            folder = self.objects.uri(self.names.release_prefix(release))
            validate_seal(sealed.seal, self.names, *found, self.artefact(release, "dynamodb_table"), folder)
        return sealed

    def _stored_seal(self, release: str) -> SealedRelease | None:
        def parse(stored: Stored) -> SealedRelease:
            return SealedRelease(self._parsed(release, SEAL, Seal, stored), utc_text(stored.modified))

        return self.objects.get_once(self._key(release, SEAL), parse)

    def order_of(self, release: str) -> Order | None:
        """What orders this release among the others; None when it is not sealed. A damaged seal has the time of its object
        all the same."""
        if ReleaseId.parse(release) is None:
            return None
        try:
            sealed = self._stored_seal(release)
        except DamagedDocument:
            stored = self.objects.get(self._key(release, SEAL))
            if stored is None:
                return None
            return (ReleaseId.checked(release).partition, utc_text(stored.modified), release)
        return sealed.order if sealed is not None else None

    def reject(self, rejection: Rejection) -> Rejection:
        return self._mark(rejection.release_id, REJECTED, rejection)

    def rejection(self, release: str) -> Rejection | None:
        return self._read(release, REJECTED, Rejection)

    def force(self, forcing: Forcing) -> Forcing:
        return self._mark(forcing.release_id, FORCED, forcing)

    def forcing(self, release: str) -> Forcing | None:
        return self._read(release, FORCED, Forcing)

    def mark_retiring(self, retirement: Retirement) -> Retirement:
        return self._mark(retirement.release_id, RETIRING, retirement)

    def unmark_retiring(self, release: str) -> None:
        """Take the mark back, before anything was deleted: the release went live after all."""
        self.objects.delete_many([self._key(release, RETIRING)])

    def mark_retired(self, retirement: Retirement) -> Retirement:
        return self._mark(retirement.release_id, RETIRED, retirement)

    def retirement(self, release: str) -> Retirement | None:
        return self._read(release, RETIRED, Retirement) or self._read(release, RETIRING, Retirement)

    # ---- outcomes

    def write_served(self, served: Served) -> Served:
        """Record which sample of what the release serves was kept; the first record stays and is returned."""
        return self._create(served.release_id, SERVED, served)

    def served(self, release: str) -> Served | None:
        """The sample that was kept; None when none was, or when it was dropped since."""
        if self._read(release, SERVED_DROPPED, ServedDropped) is not None:
            return None
        return self._read_once(release, SERVED, Served)

    def mark_served_dropped(self, dropped: ServedDropped) -> ServedDropped:
        return self._mark(dropped.release_id, SERVED_DROPPED, dropped)

    def write_outcome(self, outcome: Outcome) -> Outcome:
        """Record how good the release was at an age; the first record stays and is returned."""
        return self._create(outcome.release_id, f"{OUTCOMES}{outcome.age_days}.json", outcome)

    def outcome(self, release: str, age: int) -> Outcome | None:
        return self._read_once(release, f"{OUTCOMES}{age}.json", Outcome)

    # ---- listing

    def listings(self, from_partition: str | None = None) -> list[Listing]:
        """Every release (of `from_partition` and later), oldest id first, from one pass over the prefix."""
        return list_releases(self.objects, self.names, from_partition)

    def of_day(self, partition: str) -> list[tuple[Listing, Opened]]:
        """The releases of a partition, the one opened last by S3's clock first (within one of its seconds, by the writers'
        own). One whose `opened.json` is damaged is left out."""
        found = []
        for item in releases_of(self.objects, self.names, partition):
            with suppress(DamagedDocument):
                opened = self.opened(item.release_id)
                if opened is not None:
                    found.append((item, opened))
        return sorted(found, key=lambda one: (one[0].opened_at, one[1].opened_at, one[0].release_id), reverse=True)

    def newest_with(self, partition: str, asset: str) -> str | None:
        """The release of `partition` opened last that can vouch for `asset`, with its own artefact or an adopted one. One
        with a damaged document vouches for nothing."""
        for item, opened in self.of_day(partition):
            release = item.release_id
            with suppress(DamagedDocument):
                if self.retirement(release) is not None:
                    continue
                if item.sealed:
                    self.sealed(release)
                if self.artefact(self.home(opened, asset), asset) is not None:
                    return release
        return None

    # ---- one object

    def document(self, release: str, name: str) -> Document | None:
        """The document of this name in a release's folder, whichever it is; None when there is none, or when a name is not
        that of a document. DamagedDocument when it is not what it must be."""
        if name == SEAL:
            sealed = self.sealed(release)
            return sealed.seal if sealed is not None else None
        if name == OPENED:
            return self.opened(release)
        folder, _, file = name.rpartition("/")
        if folder == "artefacts":
            return self.artefact(release, file.removesuffix(".json"))
        kind = _KINDS.get(name) or (Outcome if f"{folder}/" == OUTCOMES else _FOLDERS.get(folder))
        return self._read(release, name, kind) if kind is not None else None


def _attempt_name(asset: str, number: int) -> str:
    return f"attempts/{asset}-a{number}.json"
