"""What Dagster knows of a query's pointer: its newest moves, and why the promotion sensor waits.

Whether a release is live is decided in `kumo_airflow.live`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kumo_airflow.operations.base import Operation, one_of
from kumo_airflow.operations.jobs import Job


@dataclass(frozen=True)
class PointerMove:
    """One materialisation of `active_pointer`: what went live, when (seconds since 1970), and by which `action`: promote,
    force, rollback or hand_edit. `partition` is "" for a table of no release. `moved` is False when the release asked for
    was active already.
    """

    release_id: str
    partition: str
    generation: int
    at: float
    action: str = ""
    moved: bool = True


def pointer_moves(query: str, limit: int = 20) -> Operation[list[PointerMove]]:
    """The newest moves of a query's pointer, newest first, as Dagster's asset page has them."""
    doing = f"look at {query}/active_pointer"

    def read(data: Mapping[str, Any]) -> list[PointerMove]:
        answer = data["assetOrError"]
        if answer["__typename"] == "AssetNotFoundError":
            return []
        found = []
        # A move made outside Dagster is reported later, by the promotion sensor, from the ledger. Its event has no
        # partition, and its own time in `at` (`move_metadata` in kumo_assets/assets/active_pointer.py).
        for item in one_of(answer, doing, "Asset")["assetMaterializations"]:
            entries = {entry["label"]: _value(entry) for entry in item["metadataEntries"]}
            if entries.get("release"):
                release = str(entries["release"])
                found.append(
                    PointerMove(
                        release,
                        str(entries.get("partition") or _day_of(release)),
                        int(entries.get("generation") or 0),
                        _time_of(entries.get("at")) or float(item["timestamp"]) / 1000,
                        str(entries.get("action") or ""),
                        entries.get("moved") is not False,
                    )
                )
        return found

    return Operation(
        doing,
        """query ($key: AssetKeyInput!, $limit: Int!) { assetOrError(assetKey: $key) { __typename
          ... on Asset { assetMaterializations(limit: $limit) { timestamp metadataEntries { label
            ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue }
            ... on BoolMetadataEntry { boolValue } } } } } }""",
        {"key": {"path": [query, "active_pointer"]}, "limit": limit},
        read,
    )


def _value(entry: Mapping[str, Any]) -> Any:
    return next((entry[kind] for kind in ("text", "intValue", "boolValue") if entry.get(kind) is not None), None)


def _day_of(release_id: str) -> str:
    """The partition in a release id, `<YYYYMMDD>-<8 hex>` (docs/architecture.md, Names); "" for a table of no release."""
    found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})-.+", release_id)
    return "-".join(found.groups()) if found else ""


def _time_of(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else None
    except ValueError:
        return None


def sensor_reason(job: Job, sensor: str = "promotion_sensor") -> Operation[str]:
    """The reason that the promotion sensor's newest tick gave for requesting no run; "" when it gave none."""

    def read(data: Mapping[str, Any]) -> str:
        ticks = ((data.get("sensorOrError") or {}).get("sensorState") or {}).get("ticks") or []
        if not ticks:
            return ""
        error = (ticks[0].get("error") or {}).get("message")
        return str(error or ticks[0].get("skipReason") or "").strip()

    return Operation(
        f"ask {sensor} why it waits",
        """query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) {
          ... on Sensor { sensorState { ticks(limit: 1) { skipReason error { message } } } } } }""",
        {
            "sensor": {
                "sensorName": sensor,
                "repositoryName": job.repository,
                "repositoryLocationName": job.location,
            }
        },
        read,
    )
