"""Which of two models is used: the pure comparison; and the registry that keeps the decision, written by many at once."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kumo_sandbox.testing.releases import BUCKET

from kumo_assets.config.names import QueryNames
from kumo_assets.config.query import Kumo, Training
from kumo_assets.models.comparison import better_end, compare
from kumo_assets.models.registry import MOST_HISTORY, Model, ModelRegistry
from kumo_assets.models.training import decide, use
from kumo_assets.resources.kumo.model import TrainedModel
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.support.memory_aws import Memory, MemoryS3

VALUES = st.dictionaries(st.sampled_from(["ndcg@5", "auroc", "mae", "rmse"]), st.floats(0.01, 100), min_size=1)


def kumo(**training: object) -> Kumo:
    return Kumo(predictive_query_id="q", connector="c", training=Training(**training))  # type: ignore[arg-type]


def test_a_metric_worse_beyond_the_tolerance_keeps_the_old_model() -> None:
    found = compare({"ndcg@5": 0.50, "recall@5": 0.2}, {"ndcg@5": 0.47, "recall@5": 0.3}, tolerance=0.05)
    assert not found.as_good
    assert "ndcg@5 0.5 -> 0.47 (-6.0%)" in found.words


def test_within_the_tolerance_it_is_as_good() -> None:
    assert compare({"ndcg@5": 0.50}, {"ndcg@5": 0.475}, tolerance=0.05).as_good


@pytest.mark.parametrize(("name", "end"), [("mae", -1), ("RMSE", -1), ("ndcg@10", 1), ("val_loss", -1), ("ours", None)])
def test_the_better_end_of_a_metric(name: str, end: int | None) -> None:
    assert better_end(name) == end


def test_an_error_that_grows_is_worse() -> None:
    assert not compare({"mae": 10.0}, {"mae": 11.0}).as_good
    assert compare({"mae": 10.0}, {"mae": 9.0}).as_good


def test_a_metric_of_ones_own_is_compared_when_named() -> None:
    assert not compare({"ours": 1.0}, {"ours": 2.0}, metrics=["ours"], lower_is_better=["ours"]).as_good
    assert compare({"ours": 1.0}, {"ours": 2.0}, metrics=["ours"]).as_good


@pytest.mark.parametrize("new", [{}, {"other": 1.0}])
def test_nothing_to_compare_keeps_the_old_model(new: dict[str, float]) -> None:
    found = compare({"ndcg@5": 0.5}, new)
    assert not found.as_good
    assert "source.kumo.training.metrics" in found.words


def test_a_named_metric_that_one_model_lacks_keeps_the_old_one() -> None:
    assert "not both models have it" in compare({"ndcg@5": 0.5}, {}, metrics=["ndcg@5"]).words


@given(VALUES, VALUES, st.floats(0, 1))
def test_no_model_is_worse_than_itself_and_two_are_never_both_worse_beyond_any_tolerance(
    old: dict[str, float], new: dict[str, float], tolerance: float
) -> None:
    assert compare(old, old, tolerance=tolerance).as_good
    found = compare(old, new, tolerance=tolerance)
    for item in found.metrics:
        back = compare({item.name: item.new}, {item.name: item.old}, tolerance=tolerance)
        assert not (item.worse and not back.as_good)
        assert not math.isnan(item.change)


class Atomic(MemoryS3):
    """S3's conditional put looks and writes in one; in memory, several threads need a lock for that."""

    def __init__(self) -> None:
        super().__init__(Memory())
        self.lock = threading.Lock()

    def put_object(self, **options: Any) -> dict[str, Any]:
        with self.lock:
            return super().put_object(**options)


def registry() -> ModelRegistry:
    return over(Atomic())


def over(s3: Any) -> ModelRegistry:
    names = QueryNames(environment="local", query="next_best_product", bucket=BUCKET)
    return ModelRegistry(names, ObjectStore(BUCKET, s3))


def model(number: int, value: float) -> Model:
    return Model(training_job_id=f"trainingjob-{number}", metrics={"ndcg@5": value})


def test_the_first_model_is_used_without_a_comparison() -> None:
    kept = registry()
    kept.change(lambda registered: registered.with_candidate(model(1, 0.1)))
    made = decide(kept, kumo(), by="me")
    assert made is not None
    assert made[0].in_use
    assert kept.read().in_use == model(1, 0.1)


def test_a_worse_candidate_is_written_down_and_not_used() -> None:
    kept = registry()
    for number, value in ((1, 0.5), (2, 0.3)):
        kept.change(lambda registered, n=number, v=value: registered.with_candidate(model(n, v)))  # type: ignore[misc]
        decide(kept, kumo(), by="me")
    registered = kept.read()
    assert registered.in_use == model(1, 0.5)
    assert registered.candidate is None
    assert [(item.training_job_id, item.in_use) for item in registered.history] == [
        ("trainingjob-2", False),
        ("trainingjob-1", True),
    ]


def test_deciding_twice_decides_once() -> None:
    kept = registry()
    kept.change(lambda registered: registered.with_candidate(model(1, 0.5)))
    assert decide(kept, kumo(), by="me") is not None
    assert decide(kept, kumo(), by="me") is None
    assert len(kept.read().history) == 1


def test_a_person_may_take_a_worse_model_into_use() -> None:
    kept = registry()
    kept.change(lambda registered: registered.with_candidate(model(1, 0.5)))
    decide(kept, kumo(), by="me")
    made = use(kept, TrainedModel("trainingjob-9", "q", None, {"ndcg@5": 0.1}), "me", "the catalogue changed")
    assert made.instead_of == "trainingjob-1"
    found = kept.read()
    assert found.in_use is not None
    assert found.in_use.training_job_id == "trainingjob-9"


def test_history_is_bounded() -> None:
    kept = registry()
    for number in range(MOST_HISTORY + 3):
        use(kept, TrainedModel(f"trainingjob-{number}", "q", None, {}), "me", "why")
    assert len(kept.read().history) == MOST_HISTORY


class LosesAnAnswer(MemoryS3):
    """The first write is done and its answer lost; the SDK sends it again, and that one is refused."""

    def __init__(self) -> None:
        super().__init__(Memory())
        self.lost = False

    def put_object(self, **options: Any) -> dict[str, Any]:
        done = super().put_object(**options)
        if self.lost:
            return done
        self.lost = True
        return super().put_object(**options)


def test_a_decision_whose_answer_was_lost_is_written_down_once() -> None:
    kept = over(LosesAnAnswer())
    use(kept, TrainedModel("trainingjob-1", "q", None, {}), "me", "why")
    assert [item.training_job_id for item in kept.read().history] == ["trainingjob-1"]


def test_of_many_writers_none_is_lost() -> None:
    kept = registry()
    threads = [
        threading.Thread(target=use, args=(kept, TrainedModel(f"trainingjob-{n}", "q", None, {}), "me", "why"))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registered = kept.read()
    assert len({item.training_job_id for item in registered.history}) == 4
    # Each says truly what it replaced: the chain of decisions has no gap.
    for newer, older in zip(registered.history, registered.history[1:], strict=False):
        assert newer.instead_of == older.training_job_id


def test_curves_are_kept_and_a_model_without_any_is_written_as_it_always_was() -> None:
    plain = Model(training_job_id="a")
    assert "curves" not in plain.model_dump(mode="json")
    curved = Model(training_job_id="a", curves={"train_loss": [2.0, 1.0]})
    assert Model.model_validate_json(curved.model_dump_json()) == curved
