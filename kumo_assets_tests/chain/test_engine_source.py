"""A query that the Kumo Engine answers, from raw logs to an online service's answer: one real training, one real scoring.

Kumo's service is configured in none of these tests.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_serving import Answer, Reader

from kumo_assets.assets.producing import registry_of
from kumo_assets.cli import train as command_line
from kumo_assets.documents import PredictionDetails
from kumo_assets.errors import ConfigError
from kumo_assets.gates.own import gates_of
from kumo_assets_tests.chain.conftest import QUIET, Chain, failure, written
from kumo_assets_tests.support.engine import HOUSEHOLDS, QUESTION, RAW, by_engine, processes

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


@pytest.mark.timeout(600)
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
    folder = f"{store.names.root}engine/"
    objects = {
        re.sub("-[0-9a-f]{12}.tar", ".tar", item.key.removeprefix(folder)) for item in store.objects.list(folder)
    }
    bundle = f"models/{in_use.training_job_id}/bundle"
    assert objects == {f"{bundle}.tar", f"{bundle}.json", "lease.json"}, "what was unloaded is deleted"

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


# ---- what happens around the Engine: the shipped program and process, the sandbox, and a stub of the vendor's calls


@pytest.fixture
def stubbed(chain: Chain, engine_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Chain, Path]:
    """A query over the small logs, and the file that says how the Engine fails. A model is in use."""
    made = written(chain, tmp_path / "defs", NAME, change=by_engine)
    (tmp_path / "defs" / NAME / "engine.py").write_text(QUESTION)
    trained = train(made)
    assert trained.success, failure(trained)
    return made, engine_program / "mode"


def attempt_of(query: Chain, result: dg.ExecuteInProcessResult, root: str | None = None) -> int:
    artefact = query.ctx().store.artefact(query.release(result, root=root), "predictions")
    assert artefact is not None
    return artefact.attempt


def test_a_dead_engine_is_another_attempt_and_what_was_made_is_adopted(
    stubbed: tuple[Chain, Path], tmp_path: Path
) -> None:
    query, mode = stubbed
    mode.write_text("kill")
    dead = query.run(assets=("predictions",))
    assert "killed by signal 9: the machine had no memory left" in failure(dead)
    mode.write_text("memory")
    assert "out of memory: no room for 9 TB" in failure(query.run(assets=("predictions",), root=dead.run_id))
    assert not list((tmp_path / "scratch").iterdir())
    mode.write_text("")
    alive = query.run(assets=("predictions",), root=dead.run_id)
    assert alive.success, failure(alive)
    store, release = query.ctx().store, query.release(dead)
    assert attempt_of(query, alive, dead.run_id) == 3
    left = {item.key for item in store.objects.list(f"{store.names.release_prefix(release)}engine/inputs/")}
    assert not left, "what was unloaded is deleted, whether its run succeeded or not"

    # A worker that died once the table was whole, before it was recorded: the table is adopted, and nothing is run.
    store.objects.delete_many([f"{store.names.release_prefix(release)}artefacts/predictions.json"])
    mode.write_text("kill")
    adopted = query.run(assets=("predictions",), root=dead.run_id)
    assert adopted.success, failure(adopted)
    assert attempt_of(query, adopted, dead.run_id) == 3

    # One that died while the table was filled: its rows are not all there, and the next attempt has another name.
    store.objects.delete_many([f"{store.names.release_prefix(release)}artefacts/predictions.json"])
    query.sql(
        f'DELETE FROM "KUMO"."PUBLIC"."{store.names.warehouse_table(release, "predictions", 3)}" WHERE "ENTITY" = 1'
    )
    mode.write_text("")
    again = query.run(assets=("predictions",), root=dead.run_id)
    assert again.success, failure(again)
    assert attempt_of(query, again, dead.run_id) == 4


def test_a_cancelled_run_ends_its_engine(stubbed: tuple[Chain, Path], tmp_path: Path) -> None:
    query, mode = stubbed
    mode.write_text("hang")
    thread = threading.Thread(target=lambda: query.run(assets=("predictions",)))
    thread.start()
    deadline = time.monotonic() + 60
    while not (mode.parent / "hanging").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running = processes(tmp_path / "scratch")
    # What Dagster raises in a step when its run is cancelled.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(dg.DagsterExecutionInterruptedError)
    )
    thread.join(60)
    assert len(running) == 2
    assert not thread.is_alive()
    assert not processes(tmp_path / "scratch")
    assert not list((tmp_path / "scratch").iterdir())


def test_a_bundle_of_another_version_or_question_and_a_bad_query_are_refused(
    stubbed: tuple[Chain, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    query, _ = stubbed
    store = query.ctx().store
    in_use = registry_of(store).read().in_use
    assert in_use is not None
    key = f"{store.names.root}engine/models/{in_use.training_job_id}/bundle.json"
    stored = store.objects.get(key)
    assert stored is not None
    file = tmp_path / "defs" / NAME / "engine.py"

    store.objects.put(key, stored.data.replace(b'"engine": "1.0.0"', b'"engine": "1.1.0"'))
    assert "written by Kumo Engine 1.1.0, and this is 1.0.0" in failure(query.run(assets=("predictions",)))
    store.objects.put(key, stored.data)
    [archive] = [item.key for item in store.objects.list(key.removesuffix(".json")) if item.key.endswith(".tar")]
    whole = store.objects.get(archive)
    assert whole is not None
    store.objects.put(archive, whole.data[:-1])
    assert "the bundle's SHA-256 is" in failure(query.run(assets=("predictions",)))
    store.objects.put(archive, whole.data)
    file.write_text(QUESTION.replace("28, days", "7, days"))
    assert "it was trained for another question" in failure(query.run(assets=("predictions",)))
    file.write_text(QUESTION.replace("PREDICT", "NONSENSE"))
    refused = failure(train(query))
    assert "the Kumo Engine refuses it: Invalid Syntax near NONSENSE" in refused
    assert f"{NAME}/engine.py" in refused
    file.write_text(QUESTION.replace('"QUANTITY"', '"QUANTITIES"'))
    assert "names the column QUANTITIES, and TRANSACTIONS has HOUSEHOLD_ID" in failure(train(query))

    file.write_text(QUESTION)
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path / "defs"))
    for adopted in (False, True):
        command_line.train(NAME, by="ann", as_json=True)
        assert json.loads(capsys.readouterr().out)["adopted"] is adopted, "one question is trained once"
    with pytest.raises(ConfigError, match="the bucket has no bundle of it"):
        command_line.model(NAME, use="engine-of-nobody", reason="why not", by="ann", as_json=True)
    command_line.model(NAME, use=in_use.training_job_id, reason="ours", by="ann", as_json=True)
    decided = registry_of(store).read().history[0]
    assert (decided.training_job_id, decided.why, decided.in_use) == (in_use.training_job_id, "ours", True)


def test_a_model_that_predicts_the_same_for_all_is_stopped_by_a_gate(stubbed: tuple[Chain, Path]) -> None:
    query, mode = stubbed
    mode.write_text("constant")
    result = query.run()
    assert not result.success
    blocked = {name for name, verdict in query.verdicts(query.release(result)).items() if verdict.blocks}
    assert "score_range" in blocked


PQL = {
    "regression": "PREDICT SUM(transactions.SALES_VALUE, 0, 28, days) FOR EACH households.HOUSEHOLD_ID",
    "binary_classification": "PREDICT COUNT(transactions.*, 0, 7, days) > 0 FOR EACH households.HOUSEHOLD_ID",
}


@pytest.mark.skipif("KUMO_SOAK" not in os.environ, reason="long form: make soak")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", PQL)
def test_the_other_tasks_by_the_engine(
    chain: Chain, groceries: SandboxHandle, engine: Path, tmp_path: Path, task: str
) -> None:
    def change(attributes: dict[str, Any]) -> None:
        by_engine(attributes)
        attributes["task"] = task
        attributes.pop("outcomes", None)  # of a ranking

    query = written(chain, tmp_path / "defs", NAME, change=change, raw=RAW)
    text = re.sub(r"(?m)^PQL = .*$", f'PQL = "{PQL[task]}"', QUESTION)
    (tmp_path / "defs" / NAME / "engine.py").write_text(text)
    trained = train(query)
    assert trained.success, failure(trained)
    result = query.run()
    assert result.success, query.why(result)
    artefact = query.ctx().store.artefact(query.release(result), "predictions")
    assert artefact is not None
    assert artefact.entities == HOUSEHOLDS - 1
