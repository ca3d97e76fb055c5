"""Asset keys, groups and partitions of one query; nothing that runs."""

from __future__ import annotations

import hashlib
from datetime import datetime, time, timedelta
from functools import lru_cache
from importlib.metadata import version
from zoneinfo import ZoneInfo

import dagster as dg

from kumo_assets.config.load import QueryDefinition

# One import at a time would be too strict; these pools take their limits from dagster.yaml. A source names its own.
IMPORT_POOL = "dynamodb_imports"
POINTER_POOL = "active_pointer"


def key_of(query: str, asset: str) -> dg.AssetKey:
    return dg.AssetKey([query, asset])


def raw_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", name])


def daily_partitions(definition: QueryDefinition) -> dg.DailyPartitionsDefinition:
    """One partition per full day of raw logs, in the query's time zone; the newest is yesterday there, or the last day
    the definition names (Dagster's own `end_date` is the first day that is no partition)."""
    schedule = definition.spec.schedule
    start = datetime.combine(schedule.start, time(), tzinfo=ZoneInfo(schedule.time_zone))
    end = datetime.combine(schedule.end + timedelta(days=1), time(), tzinfo=start.tzinfo) if schedule.end else None
    return dg.DailyPartitionsDefinition(start_date=start, end_date=end, timezone=schedule.time_zone)


def code_version(definition: QueryDefinition) -> str:
    """Changes with this package, the query's YAML, its SQL and its own gates: a release's record tells what built it."""
    files = (path for pattern in ("*.sql", "gates/*.sql", "gates/*.py") for path in definition.folder.glob(pattern))
    text = definition.spec.model_dump_json() + "".join(
        path.read_text(encoding="utf-8", errors="replace") for path in sorted(files)
    )
    return f"{_package_version()}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@lru_cache(maxsize=1)
def _package_version() -> str:
    """Read from the installed metadata once: 100 queries ask for it 600 times while definitions load."""
    return version("kumo-assets")
