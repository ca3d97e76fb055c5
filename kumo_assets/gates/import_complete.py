"""Gate `import_complete`: counts agree or nothing moves (rule 6). No mode and no force overrides it, so its registration
is here and not among the settings of a query.

The import overwrites duplicate keys in random order and calls it success, and one bad line can cost the rest of an
object and count as one error. So every count is compared, and sampled items with their source rows. What promotion does
with the verdict is in `kumo_assets.releases.decision`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kumo_assets.config.query import NOT_SHOWN
from kumo_assets.config.registration import Gate
from kumo_assets.documents import IMPORT_GATE, Opened, Verdict
from kumo_assets.gates.judgement import ABSOLUTE, Judgement, to_verdict


class ImportComplete(Gate):
    """Always in block mode, on every release: no field of `GatesSpec` has this type, so no query can set it."""

    asset = "dynamodb_table"
    about = (
        "Distinct keys in SQL = rows exported = items imported, no errors, sampled items equal their source rows. "
        "Cannot be switched off or overridden."
    )
    advice = "look at the import's error log in CloudWatch (/aws-dynamodb/imports)"
    errors_always_block = True

    mode: Literal["block"] = "block"


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


def faults(evidence: ImportEvidence, show_entities: bool = True) -> list[str]:
    """Every way in which the import is incomplete; empty when it is complete. Without `show_entities` none is named."""
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
        named = f", {evidence.differing[0]} among them" if show_entities else ""
        found.append(
            f"{len(evidence.differing)} of {evidence.sampled} sampled items differ from their source rows{named}"
        )
    return found


def judge_import(evidence: ImportEvidence, *, opened: Opened, run_id: str, show_entities: bool = True) -> Verdict:
    """The verdict to store; always in block mode."""
    found = faults(evidence, show_entities)
    differing = list(evidence.differing[:20])
    judgement = Judgement(
        severity="error" if found else "ok",
        message="; ".join(found)
        or f"{evidence.imported:,} items, as many as rows exported and keys in SQL; {evidence.sampled} sampled items equal their rows",
        value=float(evidence.imported - evidence.keys),
        limits={"block": 0},
        baseline=ABSOLUTE,
        evidence={**vars(evidence), "differing": differing if show_entities or not differing else [NOT_SHOWN]},
        bars={
            "keys in SQL": (None, float(evidence.keys)),
            "rows exported": (None, float(evidence.exported)),
            "items imported": (None, float(evidence.imported)),
        },
        always=True,
    )
    return to_verdict(judgement, opened, IMPORT_GATE, ImportComplete.asset, ImportComplete().judged_mode, run_id)
