"""The clauses of a COPY INTO that say by whose right, and how encrypted, Snowflake writes to S3. Credentials are never
among them: Snowflake's query history would keep them."""

from __future__ import annotations

from collections.abc import Mapping

from kumo_assets.resources.sql import literal, quote


def storage_clauses(integration: str, encryption: Mapping[str, str] | None = None) -> str:
    """STORAGE_INTEGRATION and ENCRYPTION, a line each; empty for none. `encryption` has the parameters as PutObject takes
    them (`resources.aws.encryption`)."""
    clauses = f"STORAGE_INTEGRATION = {quote(integration)}\n" if integration else ""
    if encryption:
        key = encryption.get("SSEKMSKeyId", "")
        kind = "AWS_SSE_S3" if encryption["ServerSideEncryption"] == "AES256" else "AWS_SSE_KMS"
        clauses += f"ENCRYPTION = (TYPE = {literal(kind)}{f' KMS_KEY_ID = {literal(key)}' if key else ''})\n"
    return clauses
