"""A query that the Kumo Engine answers, from raw logs to an online service's answer: one real training, one real scoring.

Kumo's service is configured in none of these tests.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_serving import Answer, Reader

from kumo_assets.assets.producing import registry_of
from kumo_assets.documents import PredictionDetails
from kumo_assets.gates.own import gates_of
from kumo_assets_tests.chain.conftest import QUIET, Chain, failure, written
from kumo_assets_tests.support.engine import HOUSEHOLDS, QUESTION, RAW, by_engine, processes

pytest_plugins = ["kumo_assets_tests.support.engine"]
NAME = "next_by_engine"


@pytest.fixture
def query(
    chain: Chain, groceries: SandboxHandle, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Chain:
    """The shipped query, asked of the Engine, over real groceries, in a test's own environment."""
    for variable in ("KUMO_API_URL", "KUMO_API_KEY"):
        monkeypatch.delenv(variable)
    made = written(chain, tmp_path / "defs", NAME, change=by_engine, raw=RAW)
    (tmp_path / "defs" / NAME / "engine.py").write_text(QUESTION)
    return made


def train(query: Chain) -> dg.ExecuteInProcessResult:
    job = query.definitions.resolve_job_def(f"{NAME}_train")
    return job.execute_in_process(instance=query.instance, run_config=QUIET, raise_on_error=False)


@pytest.mark.timeout(280)
def test_a_day_from_raw_logs_by_the_engine_to_an_online_answer(query: Chain, tmp_path: Path) -> None:
    assert "kumo_warnings" not in gates_of(query.definition)
    refused = query.run(assets=("predictions",))
    assert "no model is in use" in failure(refused)

    trained = train(query)
    assert trained.success, failure(trained)
    store = query.ctx().store
    in_use = registry_of(store).read().in_use
    assert in_use is not None
    assert in_use.metrics["test_map@10"] > 0.1
    assert len(in_use.curves["train_loss"]) == 2
    [shown] = trained.asset_materializations_for_node(f"{NAME}__model")
    assert "image/svg+xml" in shown.metadata["loss by epoch"].value
    objects = {item.key.removeprefix(store.names.root) for item in store.objects.list(f"{store.names.root}engine/")}
    bundle = f"engine/models/{in_use.training_job_id}/bundle"
    assert objects == {f"{bundle}.tar", f"{bundle}.json", "engine/lease.json"}, "what was unloaded is deleted"

    result = query.run()
    assert result.success, query.why(result)
    release = query.release(result)
    artefact = store.artefact(release, "predictions")
    assert artefact is not None
    assert (artefact.entities, artefact.rows) == (HOUSEHOLDS - 1, 12 * (HOUSEHOLDS - 1))
    assert artefact.details_as(PredictionDetails).model_id == in_use.training_job_id
    [(anchors, jobs, first)] = query.sql(
        'SELECT COUNT(DISTINCT "ANCHOR_TIMESTAMP"), COUNT(DISTINCT "JOB_TIMESTAMP"), MIN("ANCHOR_TIMESTAMP")::VARCHAR '
        f'FROM "KUMO"."PUBLIC"."{artefact.name}"'
    )
    assert (anchors, jobs, first[:19]) == (1, 1, "2017-11-29 00:00:00")
    assert not processes(tmp_path)
    assert not list((tmp_path / "scratch").iterdir())

    assert query.promote().success
    [(household,)] = query.sql(f'SELECT MIN("ENTITY")::VARCHAR FROM "KUMO"."PUBLIC"."{artefact.name}"')
    names = store.names
    with Reader(NAME, f"s3://{names.bucket}/{names.pointer_key}", environment=names.environment) as reader:
        answer = reader.get(household)
    assert isinstance(answer, Answer)
    assert answer.release_id == release
    assert len(answer.predictions) == 5
