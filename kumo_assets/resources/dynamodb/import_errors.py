"""What to do about an error of ImportTable: one next step for each, in one line.

Two kinds of reason are read here: the codes with which a call is refused, and the failure codes of an import that was
started and ended badly (DynamoDB API reference, "ImportTable" and "ImportTableDescription"). Nothing is called here.
"""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

from kumo_assets.errors import ImportFailed
from kumo_assets.resources.aws import explain_error

SAME_RUN = "re-execute the run: what was started is adopted, not repeated"

# AWS's default quotas (DynamoDB developer guide, "Service, account, and table quotas").
MOST_TABLES, MOST_IMPORTS = 2_500, 50
_QUOTAS = {
    "size": (
        r"\b(?:size|bytes|[TGM]i?B)\b",
        "the quota is the size of all imports at once (15 TB in some regions, 1 TB in others): re-execute the run when "
        "other imports have ended, or ask AWS for more",
    ),
    "tables": (
        rf"\b(?:number of|too many|total) tables\b|tables? (?:limit|quota|per (?:account|region))|\b{MOST_TABLES}\b|2,500",
        f"the quota is tables of the account in this region ({MOST_TABLES:,} by default; `kumo-assets doctor` counts "
        "them): retire old releases (`kumo-assets retire QUERY`), or ask AWS for more",
    ),
    "imports": (
        r"\bimports?\b|\bconcurrent\b|\bsimultaneous",
        f"the quota is imports at once ({MOST_IMPORTS} by default): re-execute the run when others have ended, or lower "
        "the limit of Dagster's pool dynamodb_imports",
    ),
}
_NO_QUOTA_NAMED = (
    f"AWS does not say which quota; there are three: {MOST_IMPORTS} imports at once (try again later), {MOST_TABLES:,} "
    "tables (`kumo-assets doctor` counts them; retire old releases), and the size of all imports at once"
)

_REFUSED = {
    "ResourceInUseException": "find out who made the table of that name: names are never reused, so delete that table or "
    "build a new release",
    "ImportConflictException": "wait until the import that AWS names has ended, then re-execute the run, which adopts it",
    "IdempotentParameterMismatchException": "build a new release: this one's import was started with other parameters "
    "within the last 8 hours",
    "ValidationException": "correct what AWS names: `export:` and `table:` of the definition, KUMO_ASSETS_BUCKET, or the "
    "bucket's region, which must be the tables'; a re-execution of the run alone would meet the same answer",
    "ImportNotFoundException": SAME_RUN,
}
_FAILED = {
    "S3AccessDenied": "grant s3:GetObject and s3:ListBucket on the export to whoever runs this (deploy/iam), and "
    "kms:Decrypt where the bucket has a key of its own; then re-execute the run",
    "AccessDenied": "grant what the failure names (deploy/iam), then re-execute the run",
    "S3NoSuchBucket": "correct KUMO_ASSETS_BUCKET, and build a new release",
    "S3NoSuchKey": "find out who deleted the export (a lifecycle rule of the bucket?), and build a new release",
    "ItemValidationError": "look at the import's error log in CloudWatch (/aws-dynamodb/imports) for the item refused, "
    "fix postprocess.sql, and build a new release",
    "InvalidInput": "look at the import's error log in CloudWatch (/aws-dynamodb/imports), fix postprocess.sql, and build "
    "a new release",
    "KMS": "let whoever runs this use the bucket's and the table's key (kms:Decrypt, kms:GenerateDataKey), then re-execute "
    "the run",
}


def failed(doing: str, what: str, error: Exception) -> ImportFailed:
    """The error of one call, with the next step for its code."""
    found, following = explain_error(error, SAME_RUN)
    return ImportFailed(doing, to=what, found=in_line(found), next=step_after(error, following))


def step_after(error: Exception, otherwise: str) -> str:
    """The next step after a call that was refused; `otherwise` for a code without one of its own."""
    if not isinstance(error, ClientError):
        return otherwise
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "LimitExceededException":
        return step_after_quota(message)
    if code in ("AccessDeniedException", "AccessDenied"):
        action = re.search(r"perform: (\S+)", message)
        return (
            f"grant {action.group(1).rstrip('.,') if action else f'dynamodb:{error.operation_name}'} on it (deploy/iam "
            "has the whole policy; `doctor` starts no import, so it cannot try this one), then re-execute the run"
        )
    return _REFUSED.get(code, otherwise)


def step_after_quota(message: str) -> str:
    """Which quota AWS's message is about, and what to do."""
    for pattern, step in _QUOTAS.values():
        if re.search(pattern, message, re.IGNORECASE):
            return step
    return _NO_QUOTA_NAMED


def step_after_failure(failure: str) -> str:
    """The next step after an import that ended FAILED, from its failure code and message; "" when none is known."""
    code = failure.partition(" ")[0]
    known = next((step for name, step in _FAILED.items() if code.startswith(name)), "")
    return known or (step_after_quota(failure) if "LimitExceeded" in code else "")


def in_line(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())
