"""The one place where a stored document is held against what it was read for, and against the others of its release.

A document that parses can still be another release's, query's or environment's, copied or edited by hand, or contradict
itself. Whoever reads one for a release gets it from here, or a DamagedDocument. What to do about one is the reader's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from kumo_assets.config.names import CHAIN, QueryNames, ReleaseId
from kumo_assets.documents.base import Document, damaged
from kumo_assets.documents.outcome import Outcome
from kumo_assets.documents.release import Artefact, Opened, Seal
from kumo_assets.documents.verdict import IMPORT_GATE, Verdict


@dataclass(frozen=True)
class ReadFor:
    """What a document was read for. `name` is the object's name in the release's folder: it says which asset an artefact
    is of, and which gate a verdict. `asset` is the one that a verdict must be about, where that is known. Without a release
    (the ledger), only the query is compared."""

    names: QueryNames
    release_id: str = ""
    name: str = ""
    asset: str = ""

    def identity(self) -> dict[str, str]:
        """What every field that says whose the document is must say, by field."""
        expected = {"query": self.names.query}
        release = ReleaseId.parse(self.release_id)
        if release is not None:
            expected |= {"environment": self.names.environment, "release_id": str(release)}
            expected["partition"] = release.partition
        folder, _, stem = self.name.removesuffix(".json").partition("/")
        if stem:
            expected["asset" if folder == "artefacts" else "gate"] = stem
        return expected | ({"asset": self.asset} if self.asset else {})


def validate(document: Document, read_for: ReadFor, where: str) -> None:
    """Return when the document is what it was read for. DamagedDocument names the address `where` and the first fault."""
    for fault in _faults(document, read_for):
        raise damaged(type(document), where, fault)


def digest_of(data: bytes) -> str:
    """What a seal records of `opened.json` as it is stored."""
    return hashlib.sha256(data).hexdigest()


def validate_seal(
    seal: Seal, names: QueryNames, opened: Opened, stored_digest: str, imported: Artefact | None, where: str
) -> None:
    """Return when the release's documents are those that were sealed. DamagedDocument names the first that is not.

    `stored_digest` is that of `opened.json` as stored. A release opened by an earlier version and sealed by a later one has
    the digest of the later one's writing of it. `imported` is the record of `dynamodb_table`, and `where` the address of
    the release's folder.
    """
    if seal.opened not in (stored_digest, digest_of(opened.to_json())):
        fault = "it was changed after the release was sealed: its sha256 is not the seal's `opened`"
        raise damaged(Opened, f"{where}opened.json", fault)
    if imported is None or imported.name != seal.table:
        made = repr(imported.name) if imported is not None else "nothing"
        raise damaged(Seal, f"{where}release.json", f"table: {seal.table!r}, and by its record the import made {made}")
    lists = f"/{names.release_prefix(opened.adopted.get('s3_export', opened.release_id))}fallback.json"
    if seal.fallback is not None and not seal.fallback.endswith(lists):
        raise damaged(Seal, f"{where}release.json", f"fallback: {seal.fallback!r} is not the list of this release")


def _faults(document: Document, read_for: ReadFor) -> Iterator[str]:
    for field, expected in read_for.identity().items():
        found = getattr(document, field, expected)
        if found != expected:
            yield f"{field}: {found!r}, where {expected!r} was read"
    if isinstance(document, Opened):
        yield from _faults_of_opened(document)
    elif isinstance(document, Artefact) and document.asset == "dynamodb_table":
        if read_for.names.release_of_table(document.name) != document.release_id:
            yield f"name: {document.name!r} is no table of this release"
    elif isinstance(document, Verdict):
        yield from _contradictions(document)
    elif isinstance(document, Outcome):
        if read_for.name != f"outcomes/{document.age_days}.json":
            yield f"age_days: {document.age_days}, where {read_for.name!r} was read"
    elif isinstance(document, Seal):
        yield from _faults_of_seal(document, read_for.names)


def _faults_of_opened(opened: Opened) -> Iterator[str]:
    release = ReleaseId.parse(opened.release_id)
    if release is not None and opened.root_run_id.replace("-", "")[:8].lower() != release.run:
        yield f"root_run_id: {opened.root_run_id!r} did not open this release"
    for asset, home in opened.adopted.items():
        if asset not in CHAIN[:-1] or ReleaseId.parse(home) is None:
            yield f"adopted.{asset}: {home!r} cannot be adopted"


def _faults_of_seal(seal: Seal, names: QueryNames) -> Iterator[str]:
    if names.release_of_table(seal.table) != seal.release_id:
        yield f"table: {seal.table!r} is no table of this release"
    if seal.artefacts.get("dynamodb_table", seal.table) != seal.table:
        yield f"artefacts.dynamodb_table: {seal.artefacts['dynamodb_table']!r}, and table: {seal.table!r}"


def _contradictions(verdict: Verdict) -> Iterator[str]:
    if verdict.passed != (verdict.severity == "ok"):
        yield f"passed: {verdict.passed}, and severity: {verdict.severity!r}"
    if verdict.mode == "warn" and verdict.severity == "error":
        yield "mode: 'warn', and severity: 'error'"
    if verdict.gate != IMPORT_GATE:
        return
    if verdict.asset != "dynamodb_table" or verdict.mode != "block" or verdict.severity == "warn":
        yield f"the import is judged on dynamodb_table, blocks, and never warns; found {verdict.asset!r}, {verdict.mode!r}"
    counts = [verdict.evidence[name] for name in ("keys", "exported", "imported") if name in verdict.evidence]
    if verdict.passed and (any(count != counts[0] for count in counts) or verdict.evidence.get("errors")):
        yield f"passed: True, and evidence: {counts} items, {verdict.evidence.get('errors', 0)} errors"
