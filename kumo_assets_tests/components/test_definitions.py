"""The shipped definitions as Dagster sees them: every asset says what it is and whose, and loading asks nobody anything."""

from __future__ import annotations

import gc
import os
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import pytest

from kumo_assets.components.predictive_query import build_query
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.definitions import defs, shared_definitions
from kumo_assets.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "kumo_assets" / "defs"
POOLED = {"predictions", "dynamodb_table", "active_pointer"}


@pytest.fixture(scope="module")
def shipped() -> dg.Definitions:
    """Loaded with no network and no variable of any outside system (rule 10)."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("loading the definitions asked the network")

    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("KUMO_", "SNOWFLAKE_", "AWS_")):
                patch.delenv(name)
        patch.setattr(socket.socket, "connect", refuse)
        return defs()


def test_every_asset_carries_description_owners_kinds_group_and_code_version(shipped: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in shipped.resolve_all_asset_specs()}
    assert {"raw/transactions", "raw/products", "next_best_product/active_pointer"} <= specs.keys()
    for key, spec in specs.items():
        assert spec.description, key
        assert spec.owners, key
        assert 1 <= len(spec.kinds) <= 3, key
        assert spec.group_name == key.partition("/")[0], key
        assert spec.code_version, key


def test_in_this_checkout_runs_take_one_process_however_they_are_started(shipped: dg.Definitions) -> None:
    for job in shipped.get_repository_def().get_all_jobs():
        assert job.executor_def.name == "in_process", job.name


def test_what_has_a_quota_outside_has_a_pool(shipped: dg.Definitions) -> None:
    pools = {
        key.path[-1]: definition.op.pool
        for definition in shipped.assets or []
        if isinstance(definition, dg.AssetsDefinition)
        for key in definition.keys
    }
    assert {asset for asset in POOLED if pools[asset]} == POOLED
    assert len({pools[asset] for asset in POOLED}) == len(POOLED)


def test_the_chain_is_partitioned_by_day_and_raw_logs_and_pointer_are_not(shipped: dg.Definitions) -> None:
    for spec in shipped.resolve_all_asset_specs():
        daily = spec.key.path[-1] in ("predictions", "postprocessed", "s3_export", "dynamodb_table", "outcomes")
        assert isinstance(spec.partitions_def, dg.DailyPartitionsDefinition) == daily, spec.key


def test_every_gate_that_blocks_is_a_partitioned_blocking_check(shipped: dg.Definitions) -> None:
    graph = shipped.resolve_asset_graph()
    checks = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys if key.asset_key.path[0] != "raw"}
    for name in ("kumo_warnings", "volume", "keys", "list_shape", "import_complete"):
        assert checks[name].blocking, name
        assert checks[name].partitions_def is not None, name


QUERY = """
type: kumo_assets.components.PredictiveQuery
attributes:
  owners: ["team:growth"]
  raw_logs: [events]
  source: {kumo: {predictive_query_id: q, connector: c}}
  schedule: {start: 2026-01-01}
"""


def test_several_queries_share_the_raw_logs_of_one_code_location(tmp_path: Path, shipped: dg.Definitions) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "defs")
    shutil.copytree(folder / "next_best_product", folder / "second_query")
    index = DefinitionsIndex(folder)
    second = index.query("second_query")
    both = dg.Definitions.merge(shipped, build_query(second, index.raw_sources(second)))
    repository = both.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}  # as the code server resolves them: op names must not clash
    for query in ("next_best_product", "second_query"):
        assert {f"{query}_{name}" for name in ("daily", "rollback", "hold", "unhold", "retire")} <= jobs
        chosen = repository.get_job(f"{query}_daily").asset_layer.selected_asset_keys
        assert {dg.AssetKey(["raw", "transactions"]), dg.AssetKey([query, "dynamodb_table"])} <= chosen


def test_the_shared_definitions_change_nothing_global() -> None:
    before = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count(), dict(os.environ)
    shared = shared_definitions()
    assert (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count(), dict(os.environ)) == before
    assert shared.executor is None
    assert all(key.startswith("kumo_assets_") for key in shared.resources or {})


def test_the_promotion_sensor_selects_our_pointers_and_nothing_else_of_a_project(shipped: dg.Definitions) -> None:
    @dg.asset(key=["ads", "active_pointer"])
    def namesake() -> None: ...

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a"]), deps=[["next_best_product", "active_pointer"]])
    def other() -> None: ...

    theirs = dg.Definitions(assets=[namesake, other])
    for definitions, pointers in (
        (dg.Definitions.merge(shipped, theirs), {dg.AssetKey(["next_best_product", "active_pointer"])}),
        (dg.Definitions.merge(shared_definitions(), theirs), set()),  # before the first query is written
    ):
        dg.Definitions.validate_loadable(definitions)
        repository = definitions.get_repository_def()
        selection = repository.get_sensor_def("promotion_sensor").asset_selection
        assert selection is not None
        assert selection.resolve(repository.asset_graph) == pointers


def test_a_query_whose_raw_logs_nobody_defines_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "offers").mkdir()
    (tmp_path / "offers" / "defs.yaml").write_text(QUERY)
    index = DefinitionsIndex(tmp_path)
    with pytest.raises(ConfigError, match=r"'events'.*dg scaffold defs kumo_assets\.components\.RawLogs"):
        index.raw_sources(index.query("offers"))
