"""The model asset against the sandbox: trained by Kumo, judged against the model in use, recorded by predictions."""

from __future__ import annotations

import uuid
from typing import Any

import dagster as dg
import httpx

from kumo_assets.documents import PredictionDetails
from kumo_assets.models.registry import ModelRegistry, RegisteredModels
from kumo_assets.releases.run import ROOT_RUN_TAG
from kumo_assets_tests.chain.conftest import DAY, QUIET, Chain, failure

NAMES = [f"{name}@{k}" for name in ("ndcg", "precision", "recall") for k in (5, 10)]
# The sandbox's first model was measured on the real grocery logs, the next ones are on these tests' few baskets.
GOOD, BAD = dict.fromkeys(NAMES, 0.9), dict.fromkeys(NAMES, 0.01)


def train(chain: Chain, root: str | None = None) -> dg.ExecuteInProcessResult:
    job = chain.definitions.resolve_job_def(f"{chain.definition.name}_train")
    tags = {"user": "ann", **({ROOT_RUN_TAG: root} if root else {})}
    return job.execute_in_process(instance=chain.instance, tags=tags, run_config=QUIET, raise_on_error=False)


def metrics_will_be(chain: Chain, metrics: dict[str, float]) -> None:
    chain.handle.kumo_faults(
        {
            "kind": "training_metrics",
            "times": None,
            "tags": {"kumo_assets.environment": chain.environment},
            "with": {"metrics": metrics},
        }
    )


def registered(chain: Chain) -> RegisteredModels:
    store = chain.ctx().store
    return ModelRegistry(store.names, store.objects).read()


def trainings(chain: Chain) -> list[dict[str, Any]]:
    jobs = httpx.get(chain.handle.url["kumo"] + "/_sandbox/jobs", trust_env=False).json()["jobs"]
    return [
        job
        for job in jobs
        if job["kind"] == "training" and job["tags"].get("kumo_assets.environment") == chain.environment
    ]


def test_a_new_model_that_is_no_worse_is_used_and_predictions_record_it(chain: Chain) -> None:
    metrics_will_be(chain, GOOD)
    result = train(chain)
    assert result.success, failure(result)
    [trained] = trainings(chain)
    now = registered(chain)
    assert now.in_use is not None
    assert now.in_use.training_job_id == trained["job_id"]
    assert now.candidate is None
    # The first entry is the model that was there before; the comparison was with it.
    assert [decision.in_use for decision in now.history] == [True, True]
    assert now.history[0].by == "ann", "who asked for the run, not whom its worker runs as"
    assert now.history[0].instead_of == now.history[1].training_job_id
    [shown] = [event.metadata for event in _materialized(result)]
    assert isinstance(shown["ndcg@5"], dg.FloatMetadataValue)
    assert shown["ndcg@5"].value == 0.9
    assert trained["config"]["graph_snapshot_id"]
    day = chain.run(DAY, assets=("predictions",))
    assert day.success, failure(day)
    artefact = chain.ctx().store.artefact(chain.release(day), "predictions")
    assert artefact is not None
    assert artefact.details_as(PredictionDetails).model_id == trained["job_id"]


def test_a_worse_model_is_not_used_though_it_is_the_newest_in_kumo(chain: Chain) -> None:
    metrics_will_be(chain, BAD)
    result = train(chain)
    assert not result.success, "a regression fails the run, so that somebody is told"
    [check] = [event for event in result.get_asset_check_evaluations() if event.check_name == "not_worse"]
    assert not check.passed
    assert "is not used" in (check.description or "")
    [trained] = trainings(chain)
    now = registered(chain)
    assert now.in_use is not None
    assert now.in_use.training_job_id != trained["job_id"]
    assert now.candidate is None
    assert now.history[0].in_use is False
    day = chain.run(DAY, assets=("predictions",))
    artefact = chain.ctx().store.artefact(chain.release(day), "predictions")
    assert artefact is not None
    assert artefact.details_as(PredictionDetails).model_id == now.in_use.training_job_id


def test_a_run_that_is_executed_again_adopts_its_training_and_decides_once(chain: Chain) -> None:
    metrics_will_be(chain, GOOD)
    root = str(uuid.uuid4())
    for _ in range(2):
        result = train(chain, root)
        assert result.success, failure(result)
    assert len(trainings(chain)) == 1
    assert len(registered(chain).history) == 2


def _materialized(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path[-1] == "model"
    ]
