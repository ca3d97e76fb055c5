"""What the SQL counts, against the same counted entity by entity in Python with numpy and scipy; and in how few statements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kumo_assets.documents import Figure
from kumo_assets.outcomes.count_sql import Compared, Counted, count
from kumo_assets_tests.support.embedded_warehouse import Embedded

LISTS = {"ENTITY": "NUMBER", "CLASS": "NUMBER", "SCORE": "FLOAT", "RANK": "NUMBER"}
K = 3
Lists = Mapping[int, Sequence[int]]


def lists(seed: int, entities: range) -> dict[int, list[int]]:
    random = np.random.default_rng(seed)
    return {entity: [int(item) for item in random.choice(12, K + 1, replace=False)] for entity in entities}


def put_lists(snowflake: Embedded, found: Lists, columns: dict[str, str] = LISTS) -> str:
    cast = str if columns["ENTITY"] == "VARCHAR" else int
    rows = [
        (cast(entity), cast(item), 1 / rank, rank)
        for entity, items in found.items()
        for rank, item in enumerate(items, 1)
    ]
    return snowflake.put(columns, rows)


def events(seed: int, entities: range) -> list[tuple[int | None, int | None]]:
    """Pairs with repeats, entities that nobody served, entities with nothing, and nulls."""
    random = np.random.default_rng(seed)
    pairs: list[tuple[int | None, int | None]] = [
        (int(entity), int(item))
        for entity in entities
        if entity % 4
        for item in random.integers(0, 12, random.integers(1, 6))
    ]
    return [*pairs, *pairs[:20], (999, 1), (None, 2), (1, None)]


def by_hand(found: Sequence[int], taken: set[int]) -> dict[str, float]:
    hits = [rank for rank, item in enumerate(found[:K], 1) if item in taken]
    figures = {
        "mean_hits": float(len(hits)),
        "hit_rate": float(bool(hits)),
        "reciprocal_rank": 1 / hits[0] if hits else 0.0,
    }
    if taken:
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(K, len(taken)) + 1))
        figures["recall"] = len(hits) / len(taken)
        figures["ndcg"] = sum(1 / math.log2(rank + 1) for rank in hits) / ideal
    return figures


def agrees(figure: Figure, values: Sequence[float]) -> None:
    assert figure.entities == len(values)
    assert figure.value == pytest.approx(np.mean(values), abs=1e-9)
    assert figure.standard_error == pytest.approx(stats.sem(values), abs=1e-9)


def expect_figures(counted: Counted, sides: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
    """`sides`: own, fallback, before -> entity -> figure -> value."""
    own = sides["own"]
    for name in {name for one in own.values() for name in one}:
        agrees(counted.figures[name], [one[name] for one in own.values() if name in one])
        for rival in sides.keys() - {"own"}:
            both = [entity for entity in own if entity in sides[rival] and name in own[entity]]
            agrees(counted.rivals[rival][name], [sides[rival][entity][name] for entity in both])
            agrees(counted.differences[rival][name], [own[e][name] - sides[rival][e][name] for e in both])


@pytest.mark.parametrize("sampled", [False, True], ids=["all", "a sample"])
@pytest.mark.parametrize("text", [False, True], ids=["numbers", "text on one side"])
def test_a_ranking_is_counted_in_two_statements_and_as_by_hand(snowflake: Embedded, text: bool, sampled: bool) -> None:
    now, before, happened = lists(1, range(60)), lists(2, range(20, 90)), events(3, range(70))
    popular = ["7", "3", "11", "5"]
    kinds = LISTS | ({"ENTITY": "VARCHAR", "CLASS": "VARCHAR"} if text else {})
    compared = Compared(
        task="ranking",
        top_k=K,
        served=put_lists(snowflake, now, kinds),
        before=put_lists(snowflake, before),
        happened=f"SELECT ENTITY, CLASS FROM {snowflake.put({'ENTITY': 'NUMBER', 'CLASS': 'NUMBER'}, happened)}",
        catalogue="SELECT 1 AS CLASS UNION ALL SELECT 2 UNION ALL SELECT 400 UNION ALL SELECT NULL",
        fallback=tuple(popular),
        alike=not text,
        numbers=not text,
        sampled=sampled,
    )
    counted = count(snowflake.warehouse.rows, compared)
    assert len(snowflake.sent) == 2
    taken: dict[int | None, set[int]] = {}
    for entity, item in happened:
        if item is not None:
            taken.setdefault(entity, set()).add(item)
    sides = {
        "own": {e: by_hand(items, taken.get(e, set())) for e, items in now.items()},
        "fallback": {e: by_hand([int(item) for item in popular], taken.get(e, set())) for e in now},
        "before": {e: by_hand(items, taken.get(e, set())) for e, items in before.items() if e in now},
    }
    expect_figures(counted, sides)
    assert counted.entities == 60
    assert counted.active == sum(1 for e in now if taken.get(e))
    shown = {item for items in now.values() for item in items[:K]}
    assert counted.figures["catalogue_shown"].value == pytest.approx(len(shown & {1, 2, 400}) / 3)


def test_without_rivals_only_the_release_is_counted(snowflake: Embedded) -> None:
    happened = snowflake.put({"ENTITY": "NUMBER", "CLASS": "NUMBER"}, events(3, range(10)))
    served = put_lists(snowflake, lists(1, range(10)))
    compared = Compared("ranking", K, served, f"SELECT ENTITY, CLASS FROM {happened}", alike=True)
    counted = count(snowflake.warehouse.rows, compared)
    assert len(snowflake.sent) == 1
    assert counted.figures["mean_hits"].entities == 10
    assert counted.rivals == {}
    assert counted.differences == {}


def test_a_regression_is_counted_in_two_statements_and_as_by_hand(snowflake: Embedded) -> None:
    random = np.random.default_rng(4)
    truth = {entity: float(random.normal(10, 4)) for entity in range(200) if entity % 5}
    now = {entity: float(truth.get(entity, 9) + random.normal(1, 2)) for entity in range(200)}
    before = {entity: float(random.normal(10, 3)) for entity in range(50, 240)}
    table = {"ENTITY": "NUMBER", "TARGET_PRED": "FLOAT"}
    happened = snowflake.put({"ENTITY": "VARCHAR", "VALUE": "FLOAT"}, [(str(e), y) for e, y in truth.items()])
    compared = Compared(
        task="regression",
        top_k=1,
        served=snowflake.put(table, list(now.items())),
        before=snowflake.put(table, list(before.items())),
        happened=f"SELECT ENTITY, VALUE FROM {happened} UNION ALL SELECT '1', NULL",
    )
    counted = count(snowflake.warehouse.rows, compared)
    assert len(snowflake.sent) == 2
    judged = [entity for entity in now if entity in truth]
    everybody = np.mean([now[entity] for entity in judged])

    def errors(predicted: Mapping[int, float]) -> dict[int, dict[str, float]]:
        found = {e: predicted[e] - truth[e] for e in judged if e in predicted}
        return {e: {"mean_absolute_error": abs(d), "mean_squared_error": d * d, "bias": d} for e, d in found.items()}

    sides = {"own": errors(now), "fallback": errors(dict.fromkeys(now, everybody)), "before": errors(before)}
    expect_figures(counted, sides)
    root = math.sqrt(np.mean([one["mean_squared_error"] for one in sides["own"].values()]))
    assert counted.figures["root_mean_squared_error"].value == pytest.approx(root)
    assert not counted.repeated
    bins = np.array_split(sorted(judged, key=lambda e: now[e]), 10)
    assert [(row.entities, row.predicted, row.happened) for row in counted.calibration] == [
        (len(one), pytest.approx(np.mean([now[e] for e in one])), pytest.approx(np.mean([truth[e] for e in one])))
        for one in bins
    ]


def test_an_entity_that_came_back_twice_is_noticed(snowflake: Embedded) -> None:
    served = snowflake.put({"ENTITY": "NUMBER", "TARGET_PRED": "FLOAT"}, [(1, 2.0), (2, 3.0)])
    happened = "SELECT 1 AS ENTITY, 2.0 AS VALUE UNION ALL SELECT 1, 3.0 UNION ALL SELECT 2, 3.0"
    assert count(snowflake.warehouse.rows, Compared("regression", 1, served, happened)).repeated


def clipped(probability: float) -> float:
    return -math.log(max(min(probability, 1), 1e-15))


def area(scores: Sequence[float], happened: Sequence[int]) -> float:
    chosen, y = np.asarray(scores), np.asarray(happened, bool)
    return float(stats.mannwhitneyu(chosen[y], chosen[~y]).statistic / (y.sum() * (~y).sum()))


def test_a_binary_classification_is_counted_in_three_statements_and_as_by_hand(snowflake: Embedded) -> None:
    random = np.random.default_rng(5)
    truth = {entity: int(random.random() < 0.3) for entity in range(150)}
    now = {e: float(np.clip(round(0.3 + 0.3 * y + random.normal(0, 0.2), 1), 0, 1)) for e, y in truth.items()}
    before = {
        e: float(np.clip(round(0.4 + 0.1 * truth.get(e, 0) + random.normal(0, 0.2), 1), 0, 1)) for e in range(40, 170)
    }

    def put(found: Mapping[int, float]) -> str:
        rows: list[tuple[Any, ...]] = []
        for entity, p in found.items():
            rows += [(entity, "true", p, 1 if p >= 0.5 else 2), (entity, "false", 1 - p, 2 if p >= 0.5 else 1)]
        return snowflake.put(LISTS | {"CLASS": "VARCHAR"}, rows)

    happened = snowflake.put({"ENTITY": "NUMBER", "VALUE": "BOOLEAN"}, [(e, bool(y)) for e, y in truth.items()])
    compared = Compared(
        "binary_classification", 2, put(now), f"SELECT ENTITY, VALUE FROM {happened}", before=put(before)
    )
    counted = count(snowflake.warehouse.rows, compared)
    assert len(snowflake.sent) == 3
    everybody = float(np.mean(list(now.values())))

    def losses(p: Mapping[int, float]) -> dict[int, dict[str, float]]:
        return {
            e: {"log_loss": clipped(p[e] if y else 1 - p[e]), "brier": (p[e] - y) ** 2}
            for e, y in truth.items()
            if e in p
        }

    expect_figures(
        counted, {"own": losses(now), "fallback": losses(dict.fromkeys(truth, everybody)), "before": losses(before)}
    )
    assert counted.figures["auc"].value == pytest.approx(area(list(now.values()), list(truth.values())))
    both = [e for e in truth if e in before]
    was = area([before[e] for e in both], [truth[e] for e in both])
    assert counted.rivals["before"]["auc"].value == pytest.approx(was)
    own = area([now[e] for e in both], [truth[e] for e in both])
    assert counted.differences["before"]["auc"].value == pytest.approx(own - was)
    assert counted.rivals["fallback"]["auc"].value == 0.5
    assert sum(row.entities for row in counted.calibration) == 150


def test_a_multiclass_classification_is_counted_in_one_statement_and_as_by_hand(snowflake: Embedded) -> None:
    random = np.random.default_rng(6)
    names = ["a", "b", "c", "d"]

    def predicted(entities: range) -> dict[int, list[tuple[str, float]]]:
        found = {}
        for entity in entities:
            shares = random.dirichlet([2, 1, 1, 1])
            ordered = sorted(zip(names, map(float, shares), strict=True), key=lambda one: -one[1])
            found[entity] = ordered[:3]  # one class is not served
        return found

    def put(found: Mapping[int, list[tuple[str, float]]]) -> str:
        rows = [(e, name, p, rank) for e, items in found.items() for rank, (name, p) in enumerate(items, 1)]
        return snowflake.put(LISTS | {"CLASS": "VARCHAR"}, rows)

    now, before = predicted(range(90)), predicted(range(30, 120))
    truth = {entity: names[int(random.integers(0, 4))] for entity in range(80)}
    happened = snowflake.put({"ENTITY": "NUMBER", "VALUE": "VARCHAR"}, list(truth.items()))
    compared = Compared(
        "multiclass_classification", 3, put(now), f"SELECT ENTITY, VALUE FROM {happened}", before=put(before)
    )
    counted = count(snowflake.warehouse.rows, compared)
    assert len(snowflake.sent) == 1
    firsts = [items[0][0] for items in now.values()]
    shares = sorted(((firsts.count(name) / len(firsts), name) for name in names), key=lambda one: (-one[0], one[1]))
    everybody = [(name, share) for share, name in shares]

    def losses(found: Mapping[int, list[tuple[str, float]]]) -> dict[int, dict[str, float]]:
        return {
            e: {"accuracy": float(found[e][0][0] == y), "log_loss": clipped(dict(found[e]).get(y, 0))}
            for e, y in truth.items()
            if e in found
        }

    expect_figures(
        counted,
        {"own": losses(now), "fallback": losses(dict.fromkeys(now, everybody)), "before": losses(before)},
    )
