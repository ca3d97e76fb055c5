"""What the view over the Kafka connector's landing table says of moments, however the producer wrote them."""

from __future__ import annotations

import json
import uuid
from datetime import datetime

import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.assets.raw import ensure_flattening_view
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.resources.snowflake import connect_outside_dagster
from kumo_assets.resources.sql import literal

# Written -> the same moment in UTC and in New York, or the clock as it stands where no offset says which moment it is.
WRITTEN: list[tuple[object, str, str]] = [
    ("2017-11-30T23:30:00+05:00", "2017-11-30 18:30", "2017-11-30 13:30"),
    ("2017-11-30T23:30:00.000-0800", "2017-12-01 07:30", "2017-12-01 02:30"),
    ("2017-11-30 23:30:00+00", "2017-11-30 23:30", "2017-11-30 18:30"),
    ("2017-11-30T23:30:00Z", "2017-11-30 23:30", "2017-11-30 18:30"),
    ("2017-11-30T23:30:00", "2017-11-30 23:30", "2017-11-30 23:30"),
    ("2017-11-30 23:30", "2017-11-30 23:30", "2017-11-30 23:30"),
    ("2017-11-30", "2017-11-30 00:00", "2017-11-30 00:00"),
    (1512084600, "2017-11-30 23:30", "2017-11-30 23:30"),
]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_moment_with_an_offset_keeps_it(sandbox: SandboxHandle, zone: str) -> None:
    name = f"K_{uuid.uuid4().hex[:12].upper()}"
    raw = RawTable.model_validate(
        {
            "table": name,
            "event_time": "SEEN_AT",
            "event_time_zone": zone,
            "kafka": {
                "landing_table": f"{name}_LANDING",
                "columns": {
                    "N": {"path": "n", "type": "NUMBER"},
                    "SEEN_AT": {"path": "seen.at", "type": "TIMESTAMP_NTZ"},
                },
            },
        }
    )
    assert raw.kafka is not None
    with connect_outside_dagster() as warehouse:
        schema = warehouse.schema
        records = ", ".join(
            f"({literal(json.dumps({'n': number, 'seen': {'at': at}}))})" for number, (at, _, _) in enumerate(WRITTEN)
        )
        warehouse.rows(
            f'CREATE TABLE "{schema}"."{name}_LANDING" AS '
            f"SELECT PARSE_JSON(column1) AS RECORD_CONTENT FROM VALUES {records}"
        )
        ensure_flattening_view(warehouse, warehouse.database, schema, raw, raw.kafka)
        found = warehouse.rows(f'SELECT N, SEEN_AT FROM "{schema}"."{name}" ORDER BY N')
    told = [(WRITTEN[int(row["N"])][0], row["SEEN_AT"]) for row in found]
    assert told == [(at, datetime.fromisoformat(utc if zone == "UTC" else york)) for at, utc, york in WRITTEN]
