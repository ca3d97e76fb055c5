"""`raw/<table>` of logs outside Snowflake: what Dagster shows of them, and their observation.

How far they reach is read in `resources.raw_logs`. Logs in Snowflake, and the asset that has all of them, are in `raw`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from kumo_assets.assets.keys import raw_key
from kumo_assets.assets.ui import Metadata
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.resources.raw_logs.reach import reach

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def kinds_of(raw: RawTable) -> set[str]:
    """The kinds that Dagster shows: the system that the log is in, as far as the definition says."""
    if raw.counted:
        return {"snowflake", "kafka"} if raw.kafka else {"snowflake"}
    system = {"s3": {"s3"}, "none": set()}.get(raw.freshness_from, {"python"})
    return system | ({"snowflake"} if raw.table else set())


def described(raw: RawTable, where: str) -> str:
    """One sentence for a log whose definition has no description."""
    if raw.counted:
        return f"Raw logs streamed into {where}."
    if raw.freshness_from == "s3":
        return f"Raw logs under {raw.location}, read by the newest objects there."
    place = f"Raw logs in {where}" if where else "Raw logs outside Snowflake"
    if raw.freshness_from == "none":
        return f"{place}; nobody says how far they reach, so they are not waited for."
    return f"{place}; {raw.freshness_from} says how far they reach."


def what_is_checked(raw: RawTable) -> str:
    """What the check `has_rows` holds the log to."""
    if raw.counted:
        return f"At least {raw.min_rows} rows"
    return f"At least one object under {raw.location}" if raw.location else f"{raw.freshness_from} names a newest event"


def observe_elsewhere(asset: str, raw: RawTable, s3: Callable[[], S3Client]) -> dg.ObserveResult:
    """What is seen of the log now. Raises as of `raw_logs.reach`."""
    found = reach(asset, raw, datetime.now(UTC), s3)
    metadata: Metadata = {"freshness from": raw.freshness_from, **found.seen}
    if raw.is_stream:
        metadata["newest event"] = str(found.newest) if found.newest is not None else "none"
    else:
        metadata["newest event"] = "not asked for" if raw.freshness_from == "none" else "not a stream"
    if found.newest is not None:
        metadata["dagster/last_updated_timestamp"] = dg.MetadataValue.timestamp(found.newest)
    if raw.freshness_from == "none":
        return dg.ObserveResult(asset_key=raw_key(asset), metadata=metadata)
    # Of a location with days in it only the newest folders are looked into, and logs that ended long ago have none.
    by_day = "%" in (raw.location or "")
    return dg.ObserveResult(
        asset_key=raw_key(asset),
        data_version=dg.DataVersion(f"{found.seen.get('newest object', '')}-{found.newest}"),
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                asset_key=raw_key(asset),
                check_name="has_rows",
                passed=not found.empty,
                severity=dg.AssetCheckSeverity.WARN if by_day else dg.AssetCheckSeverity.ERROR,
                description=f"{what_is_checked(raw)}: {'none' if found.empty else 'seen'}.",
            )
        ],
    )
