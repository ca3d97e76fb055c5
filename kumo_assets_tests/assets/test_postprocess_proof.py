"""What a post-processed table must prove: each fault alone is found, a whole table has none."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import definition

from kumo_assets.assets.postprocess_proof import Proof, _keys, faults, prove_shape, prove_table
from kumo_assets.assets.s3_export import sample_select
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.count_sql import MOST_RANK_COLUMNS
from kumo_assets.resources.snowflake import Warehouse, connect_outside_dagster
from kumo_assets.resources.sql import table

WHOLE = Proof(rows=500, entities=100, nulls=0, keys=100, class_keys=500, rank_keys=500, longest=5)


def test_a_whole_table_has_no_fault() -> None:
    assert faults(WHOLE, 5, "ranking") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0, "class_keys": 0, "rank_keys": 0}, "no rows"),
        ({"nulls": 3}, "3 rows have a null"),
        ({"keys": 99}, "only 99 distinct keys"),
        ({"class_keys": 499}, "(ENTITY, CLASS)"),
        ({"rank_keys": 498}, "(ENTITY, RANK)"),
        ({"longest": 6}, "6 long"),
        ({"empty": 1}, "1 entities are an empty text, which DynamoDB refuses"),
        ({"long": 2}, "2 entities have more than 2,048 bytes, which DynamoDB refuses"),
        ({"changed": 4}, "4 ENTITY or CLASS values are floats that lose digits"),
    ],
)
def test_each_fault_alone_is_found(change: dict[str, int], words: str) -> None:
    found = faults(replace(WHOLE, **change), 5, "ranking")
    assert len(found) == 1
    assert words in found[0]


def test_a_missing_column_is_named_with_those_found() -> None:
    with pytest.raises(WarehouseError, match=r"no column RANK; it has ENTITY, CLASS, SCORE"):
        prove_shape(["ENTITY", "CLASS", "SCORE"], "ranking", "T")


def test_a_column_in_another_case_is_named() -> None:
    with pytest.raises(
        WarehouseError, match=r"no column RANK; it has ENTITY, CLASS, SCORE, Rank \(Rank differs in case"
    ):
        prove_shape(["ENTITY", "CLASS", "SCORE", "Rank"], "ranking", "T")


@pytest.fixture
def warehouse(sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with connect_outside_dagster() as found:
        yield found


def lists(warehouse: Warehouse, values: str) -> str:
    """A post-processed table of (entity, class, rank) rows; its name."""
    name = f"P_{uuid.uuid4().hex[:12].upper()}"
    warehouse.rows(
        f'CREATE TABLE "{warehouse.schema}"."{name}" AS SELECT column1 AS ENTITY, column2 AS CLASS, '
        f"0.5::FLOAT AS SCORE, column3 AS RANK FROM VALUES {values}"
    )
    return name


@pytest.mark.parametrize(
    ("values", "longest"),
    [
        ("(1, 7, 1), (1, 8, 2), (2, 7, 1)", 2),
        ("(1, 7, 2), (1, 8, 4), (2, 7, 1)", 4),  # gaps between ranks are for a gate to judge
        ("(1, 7, 0), (1, 8, 2), (2, 7, 1)", 2),
        ("(1, 'a', 1), (1, 'b', 2), (2, 'a', 1)", 2),
    ],
)
def test_lists_that_repeat_nothing_are_proved(warehouse: Warehouse, values: str, longest: int) -> None:
    proof = prove_table(warehouse, lists(warehouse, values), definition("q1"))
    assert proof == Proof(rows=3, entities=2, nulls=0, keys=2, class_keys=3, rank_keys=3, longest=longest)


def test_lists_too_long_for_columns_are_counted_pair_by_pair(warehouse: Warehouse) -> None:
    top_k = MOST_RANK_COLUMNS + 1
    rows = [f"({entity}, {rank}, {rank})" for entity in (1, 2) for rank in range(1, top_k + 1)]
    proof = prove_table(warehouse, lists(warehouse, ", ".join(rows)), definition("q1", top_k=top_k))
    assert (proof.rows, proof.class_keys, proof.rank_keys, proof.longest) == (2 * top_k, 2 * top_k, 2 * top_k, top_k)
    twice = lists(warehouse, ", ".join([*rows[:-1], f"(2, 1, {top_k})"]))
    with pytest.raises(WarehouseError, match=r"1 rows repeat an \(ENTITY, CLASS\) pair"):
        prove_table(warehouse, twice, definition("q1", top_k=top_k))


@pytest.mark.parametrize(
    ("entity_type", "asked"), [("NUMBER", False), ("TEXT", False), ("FLOAT", True), ("DATE", True)]
)
def test_texts_are_counted_where_two_entities_may_share_one(entity_type: str, asked: bool) -> None:
    """Snowflake writes a float with 15 digits and a time in the session's format; the sandbox writes all there is."""
    assert ("TO_VARCHAR" in _keys(entity_type, "COUNT(ENTITY)")) is asked


def test_columns_are_asked_again_only_of_what_was_not_there(warehouse: Warehouse) -> None:
    name = f"P_{uuid.uuid4().hex[:12].upper()}"
    assert warehouse.columns(warehouse.database, warehouse.schema, name) == {}
    warehouse.rows(
        f'CREATE TABLE "{warehouse.schema}"."{name}" (ENTITY NUMBER(38, 0), SCORE FLOAT, CLASS VARCHAR, ON_DAY DATE, '
        "SEEN TIMESTAMP_NTZ, MORE VARIANT, ACTIVE BOOLEAN)"
    )
    found = warehouse.columns(warehouse.database, warehouse.schema, name)
    assert list(found) == ["ENTITY", "SCORE", "CLASS", "ON_DAY", "SEEN", "MORE", "ACTIVE"]
    assert list(found.values()) == ["NUMBER", "FLOAT", "TEXT", "DATE", "TIMESTAMP_NTZ", "VARIANT", "BOOLEAN"]
    sent = warehouse.statements
    assert warehouse.columns(warehouse.database, warehouse.schema, name) == found
    assert warehouse.statements == sent


def test_a_sample_of_many_entities_is_whole_and_the_same_each_time(warehouse: Warehouse) -> None:
    name = f"P_{uuid.uuid4().hex[:12].upper()}"
    warehouse.rows(
        f'CREATE TABLE "{warehouse.schema}"."{name}" AS SELECT SEQ8() AS ENTITY FROM TABLE(GENERATOR(ROWCOUNT => 5000))'
    )
    where = table(warehouse.database, warehouse.schema, name)

    def drawn(salt: str) -> set[int]:
        rows = warehouse.rows(sample_select(where, 5000, 20, salt))
        return {int(row["ENTITY"]) for row in rows}

    first = drawn("20171128-aaaaaaaa")
    assert len(first) == 20
    assert drawn("20171128-aaaaaaaa") == first
    assert drawn("20171129-bbbbbbbb") != first


def test_pairs_that_repeat_are_counted_and_refused(warehouse: Warehouse) -> None:
    name = lists(warehouse, "(1, 7, 1), (1, 7, 2), (2, 7, 1), (2, 8, 1), (2, 9, 1)")
    with pytest.raises(
        WarehouseError, match=r"1 rows repeat an \(ENTITY, CLASS\) pair; 2 rows repeat an \(ENTITY, RANK"
    ):
        prove_table(warehouse, name, definition("q1"))


@pytest.mark.parametrize("value", ["NaN", "inf", "-inf"])
def test_a_score_that_is_no_number_is_refused(warehouse: Warehouse, value: str) -> None:
    name = lists(warehouse, "(1, 7, 1), (1, 8, 2)")
    warehouse.rows(f'UPDATE "{warehouse.schema}"."{name}" SET SCORE = \'{value}\'::FLOAT WHERE CLASS = 8')
    with pytest.raises(WarehouseError, match="not finite numbers"):
        prove_table(warehouse, name, definition("q1"))


def test_a_whole_table_is_proved_in_one_scan(warehouse: Warehouse) -> None:
    name = lists(warehouse, "(1, 7, 1), (1, 8, 2)")
    before = warehouse.statements
    prove_table(warehouse, name, definition("q1"))
    assert warehouse.statements - before == 2  # its columns, and the proof


def numbers(warehouse: Warehouse, values: str) -> str:
    """A post-processed table of a regression, of (entity) rows; its name."""
    name = f"P_{uuid.uuid4().hex[:12].upper()}"
    warehouse.rows(
        f'CREATE TABLE "{warehouse.schema}"."{name}" AS SELECT column1 AS ENTITY, 0.5::FLOAT AS TARGET_PRED FROM VALUES '
        + values
    )
    return name


# 2,049 bytes of UTF-8 in 1,025 characters.
TOO_LONG = "x" + "é" * 1024


@pytest.mark.parametrize(
    ("key", "words"),
    [("''", "1 entities are an empty text"), (f"'{TOO_LONG}'", r"1 entities have more than 2,048 bytes")],
)
@pytest.mark.parametrize("task", ["ranking", "regression"])
def test_a_key_that_dynamodb_refuses_is_refused_before_the_export(
    warehouse: Warehouse, task: str, key: str, words: str
) -> None:
    values = f"({key}, 7, 1), ('a', 7, 1)"
    name = lists(warehouse, values) if task == "ranking" else numbers(warehouse, values)
    with pytest.raises(WarehouseError, match=words):
        prove_table(warehouse, name, definition("q1", task=task))


@pytest.mark.parametrize("task", ["ranking", "regression"])
def test_the_longest_key_that_dynamodb_takes_is_proved(warehouse: Warehouse, task: str) -> None:
    values = f"('{'é' * 1024}', 7, 1), (' ', 7, 1)"
    name = lists(warehouse, values) if task == "ranking" else numbers(warehouse, values)
    assert prove_table(warehouse, name, definition("q1", task=task)).entities == 2


@pytest.mark.parametrize(
    "values", ["(12345678901.0::FLOAT, 7, 1), (2, 7, 1)", "(1, 0.12345678901::FLOAT, 1), (1, 8, 2)"]
)
def test_a_float_key_whose_text_is_another_number_is_refused(warehouse: Warehouse, values: str) -> None:
    """Snowflake documents no number of digits; a key that loses one is looked up in vain."""
    with pytest.raises(WarehouseError, match="1 ENTITY or CLASS values are floats that lose digits as text"):
        prove_table(warehouse, lists(warehouse, values), definition("q1"))


def test_float_keys_that_their_text_keeps_are_proved(warehouse: Warehouse) -> None:
    assert (
        prove_table(warehouse, lists(warehouse, "(1.5::FLOAT, 7::FLOAT, 1), (2, 8, 1)"), definition("q1")).entities == 2
    )
