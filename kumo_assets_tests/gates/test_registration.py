"""A gate is registered once: its check, its advice, its place in the schema and in a release's gates follow from that."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pytest
from pydantic import Field

from kumo_assets.config.gates import GatesSpec
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.registration import GatedAsset, Limits
from kumo_assets.config.tasks import EVERY_TASK, Task
from kumo_assets.documents import IMPORT_GATE, NoticeDetails, Verdict
from kumo_assets.errors import ConfigError
from kumo_assets.gates.baseline import Baselines
from kumo_assets.gates.bindings import BINDINGS, bind
from kumo_assets.gates.checks import build_gate_checks, check_spec
from kumo_assets.gates.explain import explain, explained
from kumo_assets.gates.judgement import Judgement, level, to_verdict
from kumo_assets.gates.own import gates_of, own_gates
from kumo_assets.gates.registry import GATES
from kumo_assets.gates.reporting import check_result
from kumo_assets_tests.support.opened import OPENED

PAGE = Path(__file__).parents[2] / "docs" / "gates.md"
PARTITIONS = dg.DailyPartitionsDefinition("2017-11-01")


# ---- a gate that only these tests have, in the three places that a new gate has: its registration,


class Toy(Limits):
    """Share of lists that hold a toy."""

    asset = "postprocessed"
    tasks = ("ranking", "multiclass_classification")
    about = "Few lists hold a toy."
    advice = "look in the toy box"

    warn: float = Field(default=0.1, ge=0, le=1)
    block: float = Field(default=0.2, ge=0, le=1)


class ToyGates(GatesSpec):
    toy: Toy = Field(default_factory=Toy)


class ToyQuery(PredictiveQuerySpec):
    gates: ToyGates = Field(default_factory=ToyGates)


# ---- its judgement,


def judge_toy(toys: int, lists: int, limits: Toy) -> Judgement:
    share = toys / lists
    return Judgement(level(share, limits.warn, limits.block), f"{toys} of {lists} lists hold a toy", share)


# ---- and the line that binds the two.


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BINDINGS, "toy", lambda it: judge_toy(it.lists["toys"], it.lists["lists"], it.limits.toy))
    # What `registry` does when it is imported.
    monkeypatch.setitem(GATES, "toy", ToyGates.registrations()["toy"])


def query(folder: Path, task: str = "ranking", **gates: Any) -> QueryDefinition:
    spec = ToyQuery.model_validate(
        {
            "owners": ["team:x"],
            "raw_logs": ["transactions"],
            "task": task,
            "source": {"kumo": {"predictive_query_id": "q", "connector": "c"}},
            "schedule": {"start": "2017-11-01"},
            "gates": gates,
        }
    )
    return QueryDefinition(name="q1", folder=folder, spec=spec)


def checks(definition: QueryDefinition) -> dict[str, dg.AssetCheckSpec]:
    return {spec.name: spec for made in build_gate_checks(definition, PARTITIONS) for spec in made.check_specs}


def verdict(definition: QueryDefinition, toys: int) -> Verdict:
    counts: Any = {"lists": 100, "toys": toys}
    judgement = bind(definition.spec, NoticeDetails(), counts, Baselines())["toy"]()
    record = gates_of(definition)["toy"]
    return to_verdict(judgement, OPENED, "toy", record["asset"], record["mode"], "run")


def test_a_new_gate_is_in_the_schema_of_the_yaml() -> None:
    known = ToyQuery.model_json_schema()["$defs"]
    assert known["ToyGates"]["properties"]["toy"] == {"$ref": "#/$defs/Toy"}
    assert known["Toy"]["properties"].keys() == {"mode", "warn", "block"}  # and nothing of its registration
    assert known["Toy"]["description"] == "Share of lists that hold a toy."


def test_a_new_gate_judges_the_queries_of_its_tasks(toy: None, tmp_path: Path) -> None:
    asked = {task: gates_of(query(tmp_path, task)) for task in EVERY_TASK}
    assert {task for task in EVERY_TASK if "toy" in asked[task]} == {"ranking", "multiclass_classification"}
    assert asked["ranking"]["toy"] == {"asset": "postprocessed", "mode": "block"}
    assert gates_of(query(tmp_path, toy={"mode": "warn"}))["toy"]["mode"] == "warn"
    assert "toy" not in gates_of(query(tmp_path, toy={"mode": "off"}))


def test_a_new_gate_has_a_check_on_its_asset(toy: None, tmp_path: Path) -> None:
    check = checks(query(tmp_path))["toy"]
    assert check.asset_key == dg.AssetKey(["q1", "postprocessed"])
    assert check.description == "Few lists hold a toy."
    assert check.blocking
    assert check.partitions_def == PARTITIONS
    assert not checks(query(tmp_path, toy={"mode": "warn"}))["toy"].blocking


def test_a_new_gate_is_judged_by_its_limits_and_explained_with_its_advice(toy: None, tmp_path: Path) -> None:
    assert verdict(query(tmp_path), toys=5).passed
    blocks = verdict(query(tmp_path), toys=30)
    assert blocks.blocks
    assert verdict(query(tmp_path, toy={"block": 0.5}), toys=30).severity == "warn"
    page = explain(OPENED, {"toy": blocks})
    assert "toy: BLOCKS (mode block)\n    30 of 100 lists hold a toy" in page
    assert "look at   look in the toy box" in page
    assert explained({"toy": blocks})[0]["look_at"] == "look in the toy box"
    assert check_result(dg.AssetKey(["q1", "postprocessed"]), blocks).metadata["look at"].value == "look in the toy box"


def test_a_file_of_a_query_may_not_take_a_new_gates_name(toy: None, tmp_path: Path) -> None:
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "toy.sql").write_text("SELECT 1")
    with pytest.raises(ConfigError, match="taken"):
        own_gates(query(tmp_path))


# ---- the gates that there are


def documented() -> set[str]:
    """The gates with a row in the page's first table."""
    table = PAGE.read_text().partition("## The gates")[2].partition("\n\nEach has")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_says_what_holds_what_to_look_at_and_whom_it_is_for(gate: str) -> None:
    registered = GATES[gate]
    assert registered.about.endswith(".")
    assert registered.advice
    assert registered.asset in get_args(GatedAsset)
    assert registered.tasks
    assert set(registered.tasks) <= set(EVERY_TASK)


def test_every_gate_is_bound_to_a_judgement_and_has_a_row_in_the_documentation() -> None:
    assert BINDINGS.keys() == GATES.keys() - {IMPORT_GATE}  # the import is judged by the step that imports
    assert documented() == set(GATES)


RAW = {"raw_freshness", "raw_volume"}
PREDICTIONS = {*RAW, "kumo_warnings", "volume", "keys", "score_range", "score_drift"}
TASKS: list[tuple[Task, set[str]]] = [
    ("ranking", {"list_shape", "class_share", "top_item", "coverage", "overlap", "entities_lost"}),
    ("multiclass_classification", {"list_shape", "class_balance", "entities_lost"}),
    ("binary_classification", {"class_balance", "entities_lost"}),
    ("regression", {"entities_lost"}),
]
CATALOGUE = {"catalogue": {"schema": "RAW", "table": "PRODUCTS", "column": "PRODUCT_ID"}}


@pytest.mark.parametrize(("task", "postprocessed"), TASKS)
def test_which_gates_judge_a_task(task: Task, postprocessed: set[str]) -> None:
    found = GatesSpec().gates_of(task)
    assert {gate for gate, record in found.items() if record["asset"] == "predictions"} == PREDICTIONS
    assert {gate for gate, record in found.items() if record["asset"] == "postprocessed"} == postprocessed
    configured = GatesSpec.model_validate(
        {"raw_drift": {"columns": {"transactions": ["X"]}}, "unknown_items": CATALOGUE}
    )
    more = {"raw_drift"} | ({"unknown_items"} if task == "ranking" else set())
    assert configured.gates_of(task).keys() - found.keys() == more


def test_raw_logs_alone_are_judged_before_the_launch() -> None:
    assert {gate for gate, registered in GATES.items() if registered.before_launch} == {*RAW, "raw_drift"}


def test_errors_of_kumo_and_of_the_import_block_in_every_mode() -> None:
    always = {gate for gate, registered in GATES.items() if registered.errors_always_block}
    assert always == {"kumo_warnings", IMPORT_GATE}
    key = dg.AssetKey(["q1", "predictions"])
    assert {gate for gate in GATES if check_spec(key, gate, "warn", PARTITIONS).blocking} == always
    every = GatesSpec.model_validate({name: {"mode": "off"} for name in GatesSpec.registrations()})
    assert every.gates_of("ranking") == {"kumo_warnings": {"asset": "predictions", "mode": "warn"}}


@pytest.mark.parametrize("module", ["kumo_assets.gates", "kumo_assets.gates.explain"])
def test_a_gates_imports_are_cheap(module: str) -> None:
    """Every own gate imports the first, and `kumo-assets gates` the second."""
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & {{'dagster', 'pandas', 'snowflake.connector'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
