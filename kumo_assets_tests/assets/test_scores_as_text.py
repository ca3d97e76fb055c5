"""Scores arrive bit by bit as the source wrote them: in both packs, in the sample, and as a service reads them."""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import definition
from kumo_serving.items import decode

from kumo_assets.assets import s3_export
from kumo_assets.errors import ExportError
from kumo_assets.resources.snowflake import Warehouse, connect_outside_dagster
from kumo_assets.resources.sql import table

EDGES = [0.1, 1 / 3, 0.1 + 0.2, 2.0**-1074, 1.7976931348623157e308, 123456789.123456789, 1e-7, 0.5, 0.0, 3.0]


@pytest.fixture
def warehouse(sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with connect_outside_dagster() as found:
        yield found


def doubles() -> list[float]:
    chosen = random.Random(17)
    return EDGES + [chosen.random() for _ in range(300)] + [chosen.uniform(-1e6, 1e6) for _ in range(100)]


def stored(warehouse: Warehouse, values: list[Any], kind: str = "FLOAT", column: str = "SCORE") -> str:
    """A table with one row per value: entity = its place, one class, rank 1. Its qualified name."""
    where = table(warehouse.database, warehouse.schema, f"S_{uuid.uuid4().hex[:12].upper()}")
    rows = ", ".join(f"({place}, '{value!r}')" for place, value in enumerate(values))
    warehouse.rows(
        f"CREATE TABLE {where} AS SELECT column1 AS ENTITY, 'a\"b' AS CLASS, column2::{kind} AS {column}, 1 AS RANK "
        f"FROM VALUES {rows}"
    )
    return where


def bits(value: float) -> bytes:
    return struct.pack(">d", value)


@pytest.mark.parametrize(("task", "column"), [("ranking", "SCORE"), ("regression", "TARGET_PRED")])
def test_every_double_is_read_back_bit_by_bit(warehouse: Warehouse, task: str, column: str) -> None:
    values = doubles()
    where = stored(warehouse, values, column=column)
    rows = warehouse.rows(s3_export.packed(task, where))
    read = {int(row["e"]): decode(row["p"], "regression/1" if task == "regression" else "ranking/1") for row in rows}
    for place, value in enumerate(values):
        found = read[place]
        assert bits(found if isinstance(found, float) else found[0][1]) == bits(value)


def test_a_number_stays_as_it_is_typed(warehouse: Warehouse) -> None:
    where = stored(warehouse, [12.99], "NUMBER(10, 2)")
    assert warehouse.row(s3_export.packed("ranking", where, "NUMBER"))["p"] == '[["a\\"b",12.99]]'


@pytest.mark.parametrize(("task", "column"), [("ranking", "SCORE"), ("regression", "TARGET_PRED")])
def test_a_sample_that_lost_digits_stops_the_export(
    warehouse: Warehouse, task: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items and sample are written by the same SQL: compared with each other, both would have lost the same digits."""
    where, spec = stored(warehouse, doubles(), column=column), definition("q1", task=task).spec
    asked = (warehouse, where, len(doubles()), spec, "20171130-1a2b3c4d", "FLOAT")
    assert len(s3_export.taken_sample(*asked)) == spec.table.sample
    monkeypatch.setattr(s3_export, "as_text", lambda column, score_type: f"TO_VARCHAR({column})")
    with pytest.raises(ExportError, match="does not have the table's scores"):
        s3_export.taken_sample(*asked)
