"""Gate `import_complete`: counts agree or nothing moves (rule 6). No mode and no force overrides it.

The import overwrites duplicate keys in random order and calls it success, and one bad line can cost the rest of an
object and count as one error: so every count is compared, and sampled items with their source rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kumo_assets.documents import IMPORT_GATE, Opened, Verdict
from kumo_assets.gates.judgement import Judgement, to_verdict

GATE = IMPORT_GATE


@dataclass(frozen=True)
class ImportEvidence:
    """Distinct keys in SQL, rows exported, items imported and processed, errors, the import's own status and failure,
    how many items were sampled, and the entities whose item differs from its source row."""

    keys: int
    exported: int
    imported: int
    processed: int
    errors: int
    status: str
    failure: str
    sampled: int
    differing: Sequence[str]
    table: str


def faults(evidence: ImportEvidence) -> list[str]:
    """Every way in which the import is not whole; empty when it is."""
    found = []
    if evidence.status != "COMPLETED":
        found.append(f"the import ended {evidence.status}: {evidence.failure or 'no reason given'}")
    if evidence.errors:
        found.append(f"{evidence.errors:,} errors (one may stand for the rest of an object)")
    if not evidence.keys == evidence.exported == evidence.imported:
        found.append(
            f"{evidence.keys:,} distinct keys in SQL, {evidence.exported:,} rows exported, {evidence.imported:,} items imported"
        )
    if evidence.imported == 0:
        found.append("nothing was imported")
    if evidence.sampled == 0:
        found.append("no item was sampled")
    if evidence.differing:
        found.append(
            f"{len(evidence.differing)} of {evidence.sampled} sampled items differ from their source rows, "
            f"{evidence.differing[0]} among them"
        )
    return found


def judge_import(evidence: ImportEvidence, *, opened: Opened, run_id: str) -> Verdict:
    """The verdict to store; always in block mode."""
    found = faults(evidence)
    judgement = Judgement(
        severity="error" if found else "ok",
        message="; ".join(found)
        or f"{evidence.imported:,} items, as many as rows exported and keys in SQL; {evidence.sampled} sampled items equal their rows",
        value=float(evidence.imported - evidence.keys),
        limits={"block": 0},
        baseline={"kind": "absolute"},
        evidence={**vars(evidence), "differing": list(evidence.differing[:20])},
        bars={
            "keys in SQL": (None, float(evidence.keys)),
            "rows exported": (None, float(evidence.exported)),
            "items imported": (None, float(evidence.imported)),
        },
    )
    return to_verdict(judgement, opened, GATE, "dynamodb_table", "block", run_id)
