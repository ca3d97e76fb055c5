"""What a proof is estimated to cost, said before it begins. Prices are lists' of us-east-1; a bill is the vendor's own."""

from __future__ import annotations

from collections.abc import Collection

from kumo_assets.proving.assumptions import Area
from kumo_assets.proving.values import broken_lists, items_of, plain_lists

# An X-Small warehouse takes a credit an hour and is billed for a minute at least, once it is resumed (Snowflake,
# "Understanding compute cost"); a credit is 2 to 4 dollars by edition.
SNOWFLAKE_DOLLARS = 2 / 60 * 4.0
# S3 PUT, LIST and GET requests, of which a proof makes a few hundred at 0.005 dollars a thousand.
S3_DOLLARS = 500 / 1000 * 0.005
# One unit of warm throughput, once, and a table of a few hundred items for less than an hour.
TABLE_DOLLARS = 0.001
HOURS_KEPT = 1.0


def estimate(areas: Collection[Area]) -> dict[str, float]:
    """US dollars by vendor, and together. A job of Kumo's, and replicas, are not in it."""
    from kumo_assets.assets.links import estimated_dollars

    items = items_of(plain_lists()) | items_of(broken_lists())
    size = sum(len(entity.encode()) + len(p.encode()) for entity, p in items.items())
    parts: dict[str, float] = {}
    if "snowflake" in areas:
        parts["Snowflake"] = SNOWFLAKE_DOLLARS
    if "dynamodb" in areas:
        imported = estimated_dollars(
            source_bytes=size, items=len(items), export_bytes=size, replicas=0, kept_days=HOURS_KEPT / 24
        )
        parts["DynamoDB"] = imported["together"] + TABLE_DOLLARS
    parts["S3"] = S3_DOLLARS
    return {**parts, "together": sum(parts.values())}


def in_words(dollars: dict[str, float]) -> str:
    """The estimate in a line, in cents."""
    parts = ", ".join(f"{vendor} {100 * sum_:.1f}" for vendor, sum_ in dollars.items() if vendor != "together")
    return f"estimated cost: {100 * dollars['together']:.1f} US cents ({parts})"
