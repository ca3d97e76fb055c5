"""A first release has no baseline: what is wrong with its predictions by themselves must still not pass. On the sandbox."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.config.gates import ScoreRange
from kumo_assets.config.tasks import Task
from kumo_assets.gates.count_sql import count_predictions
from kumo_assets.gates.judgement import Judgement
from kumo_assets.gates.score_range import judge_score_range
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table

ENTITIES = 200
PEOPLE = f"(SELECT SEQ4() AS E FROM TABLE(GENERATOR(ROWCOUNT => {ENTITIES})))"
VARIED = "MOD(E * 37, 101) / 101.0"  # 101 different numbers, spread from 0 to 1


@pytest.fixture(scope="module")
def warehouse(running_sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with connect(running_sandbox.env) as connection:
        yield Warehouse(connection)


def judged(warehouse: Warehouse, task: Task, select: str, threshold: float | None = None, **limits: float) -> Judgement:
    """The judgement of a first release whose predictions are this SELECT."""
    name = f"F_{uuid.uuid4().hex[:12].upper()}"
    where = table(warehouse.database, warehouse.schema, name)
    warehouse.rows(f"CREATE TABLE {where} AS {select}")
    columns = warehouse.columns(warehouse.database, warehouse.schema, name)
    counts = count_predictions(warehouse.rows, where, columns, None)
    return judge_score_range(counts, None, ScoreRange.model_validate(limits), task, threshold)


def regression(value: str) -> str:
    return f"SELECT E AS ENTITY, ({value})::FLOAT AS TARGET_PRED FROM {PEOPLE}"


def binary(probability: str, predicted: str) -> str:
    return (
        f"SELECT ENTITY, {predicted} AS TARGET_PRED, P AS TRUE_PROB, 1 - P AS FALSE_PROB "
        f"FROM (SELECT E AS ENTITY, ({probability})::FLOAT AS P FROM {PEOPLE})"
    )


def multiclass(score: str, predicted: str = "N = 2", classes: str = "N") -> str:
    return (
        f"SELECT E AS ENTITY, {classes} AS CLASS, ({score})::FLOAT AS SCORE, {predicted} AS PREDICTED "
        f"FROM {PEOPLE} CROSS JOIN (SELECT COLUMN1 AS N FROM VALUES (0), (1), (2))"
    )


ALIKE = "are one and the same"


@pytest.mark.parametrize(
    ("task", "select", "words"),
    [
        ("regression", regression("4.25"), "every score is 4.25"),
        ("regression", regression("IFF(E = 7, 1, 4.25)"), ALIKE),
        ("regression", regression("IFF(MOD(E, 20) = 7, E, 4.25)"), ALIKE),
        ("binary_classification", binary("IFF(E = 7, 0.9, 0.25)", "P >= 0.5"), ALIKE),
        ("multiclass_classification", multiclass("0.2 + 0.1 * N"), ALIKE),
        ("multiclass_classification", multiclass("IFF(E = 7, 0.3 + 0.03 * N, 0.2 + 0.1 * N)"), ALIKE),
        ("multiclass_classification", multiclass(f"({VARIED}) * (0.2 + 0.1 * N)", "N = 0"), "is not their likeliest"),
        ("ranking", f"SELECT E AS ENTITY, E AS CLASS, IFF(E = 7, 0.4, 0.5)::FLOAT AS SCORE FROM {PEOPLE}", ALIKE),
        ("binary_classification", binary(VARIED, "P < 0.5"), "TARGET_PRED contradicts TRUE_PROB"),
        ("binary_classification", binary(VARIED, "P >= 0.5 OR ENTITY = 0"), "TARGET_PRED contradicts TRUE_PROB"),
        ("binary_classification", binary(f"0.4 * {VARIED}", "TRUE"), "all are predicted true"),
        ("binary_classification", binary(f"0.6 + 0.4 * {VARIED}", "FALSE"), "all are predicted false"),
    ],
)
def test_what_no_baseline_shows_does_not_pass(warehouse: Warehouse, task: Task, select: str, words: str) -> None:
    judgement = judged(warehouse, task, select)
    assert judgement.severity == "error"
    assert words in judgement.message


@pytest.mark.parametrize(
    ("task", "select"),
    [
        ("regression", regression(VARIED)),
        ("regression", regression("IFF(MOD(E, 5) = 0, E, 0)")),  # four in five are expected to buy nothing
        ("binary_classification", binary(VARIED, "P >= 0.5")),
        ("binary_classification", binary(VARIED, "P >= 0.2")),  # a threshold of Kumo's own
        ("binary_classification", binary(VARIED, "FALSE")),  # a rare event, of which nobody is over the threshold
        ("multiclass_classification", multiclass(f"({VARIED}) * (0.2 + 0.1 * N)")),
        # Each class is somebody's own: the score of its only entity is its median.
        ("multiclass_classification", multiclass(f"({VARIED}) * (0.2 + 0.1 * N)", classes="E * 3 + N")),
    ],
)
def test_what_is_right_passes(warehouse: Warehouse, task: Task, select: str) -> None:
    judgement = judged(warehouse, task, select)
    assert judgement.severity == "ok", judgement.message


def test_a_threshold_that_the_definition_names_is_held_to(warehouse: Warehouse) -> None:
    select = binary(VARIED, "P >= 0.2")
    assert judged(warehouse, "binary_classification", select, 0.2).severity == "ok"
    judgement = judged(warehouse, "binary_classification", select, 0.5)
    assert "the threshold is 0.5" in judgement.message


def test_limits_are_the_definitions(warehouse: Warehouse) -> None:
    select: Any = regression("IFF(MOD(E, 20) = 7, E, 0)")
    assert judged(warehouse, "regression", select, most_alike=0.99).severity == "ok"
