"""Every task of Kumo's goes down the same chain, and a service gets the answer in the task's own form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from kumo_assets_tests.chain.conftest import HOUSEHOLDS, Chain, answer_of


def of_task(custom: Callable[..., Chain], task: str, query: str, **more: Any) -> Chain:
    def change(spec: dict[str, Any]) -> None:
        spec.update(more, task=task)
        spec["source"]["kumo"] |= {"predictive_query_id": query}
        spec["source"]["kumo"].pop("training", None)
        spec.pop("outcomes", None)  # what happened is counted otherwise for other tasks

    return custom(f"my_{query}", change=change)


def test_a_regression_serves_one_number_per_entity(custom: Callable[..., Chain]) -> None:
    chain = of_task(custom, "regression", "spend_next_28_days")
    result = chain.run()
    assert result.success, chain.why(result)
    sealed = chain.ctx().store.sealed(chain.release(result))
    assert sealed is not None
    assert sealed.seal.item_format == "regression/1"
    assert sealed.seal.fallback is None
    assert sealed.seal.counts.rows == sealed.seal.counts.imported == HOUSEHOLDS
    assert chain.promote().success
    predictions = chain.ctx().store.artefact(chain.release(result), "predictions")
    assert predictions is not None
    [(number,)] = chain.sql(f'SELECT TARGET_PRED FROM "KUMO"."PUBLIC"."{predictions.name}" WHERE ENTITY = 1')
    assert answer_of(chain, 1) == number  # to the last bit
    assert number >= 0


def test_a_binary_classification_serves_both_classes_the_predicted_one_first(custom: Callable[..., Chain]) -> None:
    chain = of_task(custom, "binary_classification", "churn")
    result = chain.run()
    assert result.success, chain.why(result)
    assert chain.promote().success
    (first, p), (second, q) = answer_of(chain, 1)
    assert {first, second} == {"true", "false"}
    assert p + q == pytest.approx(1)
    assert p >= q
    sealed = chain.ctx().store.sealed(chain.release(result))
    assert sealed is not None
    assert sealed.seal.item_format == "classification/1"
    assert sealed.seal.counts.rows == 2 * HOUSEHOLDS


def test_the_older_two_columns_of_a_binary_query_are_served_alike(custom: Callable[..., Chain], chain: Chain) -> None:
    older = {"task": "binary_classification", "binary_form": "score", "metrics": {"auroc": 0.8}}
    url = chain.handle.url["kumo"] + "/_sandbox/queries/older_churn"
    httpx.put(url, json=older, trust_env=False).raise_for_status()
    of_older = of_task(custom, "binary_classification", "older_churn")
    result = of_older.run()
    assert result.success, of_older.why(result)
    predictions = of_older.ctx().store.artefact(of_older.release(result), "predictions")
    assert predictions is not None
    [(score,)] = of_older.sql(f'SELECT SCORE FROM "KUMO"."PUBLIC"."{predictions.name}" WHERE ENTITY = 1')
    assert of_older.promote().success
    answer = dict(answer_of(of_older, 1))
    assert answer == {"true": score, "false": 1 - score}  # to the last bit
    assert next(iter(answer)) == ("true" if score >= 0.5 else "false")


@pytest.mark.parametrize("top_k", [3, 100], ids=["the best of the classes", "more than there are classes"])
def test_a_multiclass_classification_serves_the_predicted_class_first(custom: Callable[..., Chain], top_k: int) -> None:
    chain = of_task(custom, "multiclass_classification", "next_store", top_k=top_k)
    result = chain.run()
    assert result.success, chain.why(result)
    assert chain.promote().success
    classes = answer_of(chain, 1)
    assert len(classes) > 1
    assert len({name for name, _ in classes}) == len(classes)
    post = chain.ctx().store.artefact(chain.release(result), "postprocessed")
    predictions = chain.ctx().store.artefact(chain.release(result), "predictions")
    assert post is not None
    assert predictions is not None
    scores = dict(chain.sql(f'SELECT CLASS, SCORE FROM "KUMO"."PUBLIC"."{post.name}" WHERE ENTITY = 1'))
    assert dict(classes) == {str(name): score for name, score in scores.items()}  # to the last bit
    [(predicted,)] = chain.sql(f'SELECT CLASS FROM "KUMO"."PUBLIC"."{predictions.name}" WHERE ENTITY = 1 AND PREDICTED')
    assert classes[0][0] == str(predicted)
