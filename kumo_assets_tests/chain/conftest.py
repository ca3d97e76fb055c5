"""The chain against the real sandbox: small raw logs, one set of definitions, an environment of its own per test.

Environments share nothing, by name (rule 1's other half); so a new environment name is a clean slate without a restart.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle
from kumo_serving import Answer, TableReader

from kumo_assets.assets.active_pointer import RELEASE_TAG
from kumo_assets.assets.keys import key_of
from kumo_assets.config.environment import Environment
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN, POINTER_ASSET, ReleaseId
from kumo_assets.documents import Verdict
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.run import ROOT_RUN_TAG

QUERY = "next_best_product"
DAY, NEXT_DAY = "2017-11-28", "2017-11-29"
HOUSEHOLDS, PRODUCTS = 60, 40
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SHIPPED = Path(__file__).parents[2] / "kumo_assets" / "defs"


@pytest.fixture(scope="session")
def logs(running_sandbox: SandboxHandle) -> SandboxHandle:
    """Two months of made-up baskets up to the end of 2017-11-30, in the tables the shipped definitions name."""
    env = running_sandbox.env
    rows = [
        (
            1 + number % HOUSEHOLDS,
            1000 + (number * number + number // 7) % PRODUCTS,
            number,
            f"2017-{10 + number // HOUSEHOLDS % 2:02d}-{1 + number // 7 % 30:02d} {number % 24:02d}:{number % 60:02d}:00",
        )
        for number in range(2400)
    ]
    rows += [(1 + day, 1000, 9000 + day, f"2017-11-{day:02d} 23:59:00") for day in range(1, 31)]
    values = ", ".join(
        f"({household}, {1 + basket // HOUSEHOLDS % 3}, {basket}, {product}, 1, 2.5, '{at}'::TIMESTAMP_NTZ)"
        for household, product, basket, at in rows
    )
    with connect(env) as connection:
        cursor = connection.cursor()
        cursor.execute(
            'CREATE OR REPLACE TABLE "KUMO"."RAW"."TRANSACTIONS" (HOUSEHOLD_ID NUMBER, STORE_ID NUMBER, BASKET_ID NUMBER, '
            "PRODUCT_ID NUMBER, QUANTITY NUMBER, SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)"
        )
        cursor.execute(f'INSERT INTO "KUMO"."RAW"."TRANSACTIONS" VALUES {values}')
        cursor.execute(
            'CREATE OR REPLACE TABLE "KUMO"."RAW"."PRODUCTS" (PRODUCT_ID NUMBER, NAME VARCHAR, DEPARTMENT NUMBER)'
        )
        cursor.execute(
            'INSERT INTO "KUMO"."RAW"."PRODUCTS" VALUES '
            + ", ".join(f"({1000 + number}, 'product {number}', {number % 7})" for number in range(PRODUCTS))
        )
    return running_sandbox


def materialize_pointer(definitions: dg.Definitions, query: str, **options: Any) -> dg.ExecuteInProcessResult:
    """A run of `active_pointer` alone, out of the job that Dagster keeps for all assets."""
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[key_of(query, POINTER_ASSET)], run_config=QUIET, raise_on_error=False, **options
    )


@dataclass
class Chain:
    """One test's surroundings: an environment name, an ephemeral Dagster instance, and the shipped query's definitions."""

    handle: SandboxHandle
    instance: dg.DagsterInstance
    definition: QueryDefinition
    definitions: dg.Definitions
    environment: str
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    def ctx(self) -> ReleaseContext:
        return ReleaseContext.from_environment(self.definition, Environment.from_variables())

    def run(
        self, day: str = DAY, *, assets: tuple[str, ...] = (), root: str | None = None, checks: bool = True
    ) -> dg.ExecuteInProcessResult:
        """The daily job for a day, or only some of its assets (with or without their checks); `root` continues the
        release of that root run id."""
        tags = {ROOT_RUN_TAG: root} if root else {}
        name = self.definition.name
        if assets:
            selection = dg.AssetSelection.assets(*[[name, asset] for asset in assets])
            if not checks:
                selection = selection - dg.AssetSelection.checks(*self.checks_apart())
            job = self._with_job(dg.define_asset_job("part", selection=selection)).resolve_job_def("part")
        else:
            job = self.definitions.resolve_job_def(f"{name}_daily")
        result = job.execute_in_process(
            instance=self.instance, partition_key=day, tags=tags, run_config=QUIET, raise_on_error=False
        )
        self.runs.append(result)
        return result

    def promote(self, release: str | None = None) -> dg.ExecuteInProcessResult:
        """`active_pointer` materialised, as the sensor asks for it; `release` names which to publish, as a person may."""
        tags = {RELEASE_TAG: release} if release else {}
        return materialize_pointer(self.definitions, self.definition.name, instance=self.instance, tags=tags)

    def run_checks(self, day: str = DAY) -> dg.ExecuteInProcessResult:
        """The gates of a day alone, as the UI runs checks: no asset, and the partition in a tag."""
        gated = [key for key in self.checks_apart() if key.asset_key.path[-1] in ("predictions", "postprocessed")]
        job = self._with_job(dg.define_asset_job("late", selection=dg.AssetSelection.checks(*gated)))
        return job.resolve_job_def("late").execute_in_process(
            instance=self.instance, tags={"dagster/partition": day}, run_config=QUIET, raise_on_error=False
        )

    def checks_apart(self) -> list[dg.AssetCheckKey]:
        """The checks that a run can leave out: those that are not part of an asset's own step."""
        graph = self.definitions.resolve_asset_graph()
        return [key for key in graph.asset_check_keys if not graph.assets_def_for_key(key).keys]

    def _with_job(self, job: Any) -> dg.Definitions:
        return dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))

    def release(self, result: dg.ExecuteInProcessResult, day: str = DAY, root: str | None = None) -> str:
        return str(ReleaseId.of(day, root or result.run_id))

    def verdicts(self, release: str) -> dict[str, Verdict]:
        return self.ctx().store.verdicts(release)

    def why(self, result: dg.ExecuteInProcessResult, day: str = DAY) -> str:
        """Why a run failed: its error, and what its gates said."""
        told = [
            f"{gate}: {item.message}" for gate, item in self.verdicts(self.release(result, day)).items() if item.blocks
        ]
        return "; ".join([failure(result), *told])

    def active(self) -> str | None:
        found = self.ctx().pointers.read()
        return found.pointer.release_id if found is not None else None

    def kumo_jobs(self) -> list[dict[str, Any]]:
        """Prediction jobs of this environment, as the emulator's own book has them."""
        import httpx

        book = httpx.get(self.handle.url["kumo"] + "/_sandbox/jobs", trust_env=False).json()
        jobs = book["jobs"] if isinstance(book, dict) else book
        return [job for job in jobs if job.get("tags", {}).get("kumo_assets.environment") == self.environment]

    def imports(self) -> list[str]:
        """Tables that imports were started into in this environment."""
        client = self.ctx().dynamodb
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = client.list_imports(**token)  # type: ignore[arg-type]
            found += [item["TableArn"].rpartition("/")[2] for item in answer["ImportSummaryList"]]
            if not answer.get("NextToken"):
                return [table for table in found if table.startswith(self.environment + "-")]
            token = {"NextToken": answer["NextToken"]}

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.handle.env) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall())


def answer_of(chain: Chain, entity: int) -> Any:
    """The predictions that an online service gets for an entity of the active release."""
    found = chain.ctx().pointers.read()
    assert found is not None
    pointer = found.pointer
    reader = TableReader(pointer.table, key=pointer.key, item_format=pointer.item_format, region=pointer.region)
    try:
        answer = reader.get(entity)
    finally:
        reader.close()
    assert isinstance(answer, Answer)
    return answer.predictions


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The error of a failed run in this project's words, else the deepest one's."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.event_specific_data.error  # type: ignore[union-attr]
            while error.cause is not None and not error.message.startswith("kumo_"):
                error = error.cause
            return error.message
    return ""


def steps(result: dg.ExecuteInProcessResult) -> set[str]:
    """Assets of the chain that this run materialised."""
    return {event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key} & set(
        CHAIN
    )


@pytest.fixture(scope="session")
def shipped(logs: SandboxHandle) -> dg.Definitions:
    """The project's own definitions, loaded once with the sandbox's variables set."""
    before = dict(os.environ)
    os.environ.update(logs.env)
    try:
        from kumo_assets.definitions import defs

        return defs()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def chain(
    logs: SandboxHandle, shipped: dg.Definitions, sandbox: SandboxHandle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Chain]:
    environment = "t" + uuid.uuid4().hex[:10]
    monkeypatch.setenv("KUMO_ASSETS_ENV", environment)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Chain(logs, instance, DefinitionsIndex(SHIPPED).query(QUERY), shipped, environment)


@dataclass(frozen=True)
class Day:
    """One built day, for tests that only look."""

    chain: Chain
    result: dg.ExecuteInProcessResult

    @property
    def release(self) -> str:
        return self.chain.release(self.result)


@pytest.fixture(scope="module")
def day(logs: SandboxHandle, shipped: dg.Definitions) -> Iterator[Day]:
    """A day built once for a file's tests, in an environment of its own. Nothing may be changed in it."""
    environment = "d" + uuid.uuid4().hex[:10]
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        for name, value in {**logs.env, "KUMO_ASSETS_ENV": environment}.items():
            patch.setenv(name, value)
        logs.reset_faults()
        made = Chain(logs, instance, DefinitionsIndex(SHIPPED).query(QUERY), shipped, environment)
        result = made.run()
        assert result.success, made.why(result)
        yield Day(made, result)


def written(
    chain: Chain,
    folder: Path,
    name: str = "custom_query",
    *,
    sql: str | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    raw: dict[str, Any] | None = None,
) -> Chain:
    """A chain in the same environment of a query written for one test: YAML changed, SQL added, other raw logs."""
    import yaml

    from kumo_assets.components.predictive_query import build_query
    from kumo_assets.components.raw_logs import build_raw_logs
    from kumo_assets.definitions import shared_definitions

    for shipped_name in ("raw_logs", QUERY):
        target = folder / (name if shipped_name == QUERY else shipped_name)
        target.mkdir(parents=True, exist_ok=True)
        document = yaml.safe_load((SHIPPED / shipped_name / "defs.yaml").read_text())
        if shipped_name == QUERY:
            change(document["attributes"])
        elif raw is not None:
            document["attributes"] = raw
        (target / "defs.yaml").write_text(yaml.safe_dump(document))
    if sql is not None:
        (folder / name / "postprocess.sql").write_text(sql)
    index = DefinitionsIndex(folder)
    definition = index.query(name)
    definitions = dg.Definitions.merge(
        build_query(definition, index.raw_sources(definition)),
        build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
        shared_definitions(),
    )
    return Chain(chain.handle, chain.instance, definition, definitions, chain.environment)


@pytest.fixture
def custom(chain: Chain, tmp_path: Path) -> Callable[..., Chain]:
    """`written`, in this test's own environment and folder."""
    return partial(written, chain, tmp_path / "defs")
