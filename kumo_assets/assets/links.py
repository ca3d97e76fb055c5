"""Where a person looks at an artefact, and what it is estimated to cost: console links and AWS prices. No calls.

Prices are those of us-east-1 in AWS's public price lists, for a person's sense of size; a bill is AWS's own.
"""

from __future__ import annotations

import os
from urllib.parse import quote

import dagster as dg

# DynamoDB "Data import from Amazon S3", per uncompressed GB (serving_facts marks it as remembered).
IMPORT_DOLLARS_PER_GB = 0.15
# DynamoDB standard table class and S3 Standard, per GB and month.
TABLE_DOLLARS_PER_GB_MONTH = 0.25
S3_DOLLARS_PER_GB_MONTH = 0.023
DAYS_PER_MONTH = 30.4
# Each item is billed 100 bytes beyond its data (AWS: "Item sizes and formats").
ITEM_OVERHEAD_BYTES = 100


def s3_link(bucket: str, prefix: str) -> dg.MetadataValue:
    """The S3 console at a prefix; the plain URI where another endpoint than AWS's stands in."""
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3"):
        return dg.MetadataValue.path(f"s3://{bucket}/{prefix}")
    return dg.MetadataValue.url(f"https://console.aws.amazon.com/s3/buckets/{bucket}?prefix={quote(prefix)}")


def table_link(region: str, table: str) -> dg.MetadataValue:
    """The DynamoDB console at a table; its name where another endpoint than AWS's stands in."""
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"):
        return dg.MetadataValue.text(f"{table} in {region}")
    return dg.MetadataValue.url(
        f"https://{region}.console.aws.amazon.com/dynamodbv2/home?region={region}#table?name={quote(table)}"
    )


def estimated_dollars(
    *, source_bytes: int, items: int, export_bytes: int, replicas: int, kept_days: float
) -> dict[str, float]:
    """What one release costs at AWS, in US dollars: the import once, then its table and export for as long as it is kept.

    `source_bytes` are the import's uncompressed bytes; a replica stores the table again. Reads are not in it.
    """
    gigabytes = source_bytes / 1e9
    stored = (source_bytes + ITEM_OVERHEAD_BYTES * items) / 1e9 * (1 + replicas)
    months = kept_days / DAYS_PER_MONTH
    parts = {
        "import": gigabytes * IMPORT_DOLLARS_PER_GB,
        "table": stored * TABLE_DOLLARS_PER_GB_MONTH * months,
        "export": export_bytes / 1e9 * S3_DOLLARS_PER_GB_MONTH * months,
    }
    return {**parts, "together": sum(parts.values())}
