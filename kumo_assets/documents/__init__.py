"""The JSON documents of a release and the ledger, as frozen values; what they mean, and nothing about where they are.

`base` has what all of them share, `release`, `verdict` and `ledger` the documents, `details` what each asset records;
`validation` holds a document against what it was read for.
Their field names and shapes are a contract: docs/architecture.md, "Documents", and docs/contract/.
"""

from kumo_assets.documents.base import (
    SCHEMA_VERSION,
    Document,
    JsonObject,
    Record,
    hours_since,
    moment_in,
    utc_now,
    utc_text,
)
from kumo_assets.documents.completion import Completion
from kumo_assets.documents.details import (
    Details,
    ExportDetails,
    ExportedFile,
    ImportDetails,
    KumoNotice,
    NoticeDetails,
    PostprocessedDetails,
    PredictionDetails,
    SampleDetails,
    SampledItem,
    WarehouseDetails,
)
from kumo_assets.documents.ledger import Action, LedgerEntry
from kumo_assets.documents.outcome import CalibrationRow, Figure, Outcome, RivalOutcome, Served, ServedDropped
from kumo_assets.documents.reference import Reference, ReferredTable
from kumo_assets.documents.release import (
    Artefact,
    Attempt,
    Forcing,
    GateRecord,
    KumoRecord,
    Opened,
    Rejection,
    Retirement,
    Seal,
    SealCounts,
)
from kumo_assets.documents.validation import ReadFor, digest_of, validate, validate_seal
from kumo_assets.documents.verdict import IMPORT_GATE, ComparedWith, EarlierVerdict, Verdict

__all__ = [
    "IMPORT_GATE",
    "SCHEMA_VERSION",
    "Action",
    "Artefact",
    "Attempt",
    "CalibrationRow",
    "ComparedWith",
    "Completion",
    "Details",
    "Document",
    "EarlierVerdict",
    "ExportDetails",
    "ExportedFile",
    "Figure",
    "Forcing",
    "GateRecord",
    "ImportDetails",
    "JsonObject",
    "KumoNotice",
    "KumoRecord",
    "LedgerEntry",
    "NoticeDetails",
    "Opened",
    "Outcome",
    "PostprocessedDetails",
    "PredictionDetails",
    "ReadFor",
    "Record",
    "Reference",
    "ReferredTable",
    "Rejection",
    "Retirement",
    "RivalOutcome",
    "SampleDetails",
    "SampledItem",
    "Seal",
    "SealCounts",
    "Served",
    "ServedDropped",
    "Verdict",
    "WarehouseDetails",
    "digest_of",
    "hours_since",
    "moment_in",
    "utc_now",
    "utc_text",
    "validate",
    "validate_seal",
]
