"""Two runs that resume one release at once: one makes each artefact, and the other adopts it."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import definition

from kumo_assets.assets.postprocessed import _create
from kumo_assets.assets.raw import ensure_flattening_view
from kumo_assets.assets.step import Step
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import QueryNames
from kumo_assets.config.raw_logs import KafkaColumn, KafkaShape, RawTable
from kumo_assets.documents import Artefact, Opened, PredictionDetails, utc_now
from kumo_assets.errors import Refused, WarehouseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.run import RunIdentity
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.snowflake import Row, Warehouse
from kumo_assets_tests.support.memory_aws import Memory

DAY = "2017-11-30"


class Twin(Warehouse):
    """A session whose CREATE waits for that of the other: both have then seen that there is no table."""

    def __init__(self, connection: Any, both: threading.Barrier | None) -> None:
        super().__init__(connection)
        self.both = both

    def rows(self, sql: str, *, doing: str = "query Snowflake") -> list[Row]:
        if self.both is not None and sql.startswith("CREATE TRANSIENT TABLE"):
            self.both.wait(30)
        return super().rows(sql, doing=doing)


def step_of(run_id: str, store: ReleaseStore, root: str, folder: Path) -> Step:
    """The step of a run that resumes the release of `root`."""
    run = RunIdentity(run_id=run_id, root_run_id=root, partition=DAY, by=run_id)
    opened = store.opened(run.release_id)
    assert opened is not None
    query = definition(store.names.query)
    return Step(query, store, run, opened, "postprocessed", print)


def build(step: Step, warehouse: Warehouse) -> Artefact:
    """The step's table, of SQL that names no raw log and no other release."""

    def nobody(query: QueryDefinition) -> ReleaseContext:
        raise AssertionError(f"{query.name} is asked for its active release")

    return _create(step, warehouse, nobody, {}, {})


@pytest.fixture
def begun(sandbox: SandboxHandle) -> tuple[ReleaseStore, str]:
    """A release with its predictions, and the root of its run."""
    root = uuid.uuid4().hex
    names = QueryNames("t" + root[:10], "q1", "bucket")
    store = ReleaseStore(names, ObjectStore("bucket", Memory().s3()))
    run = RunIdentity(run_id=root, root_run_id=root, partition=DAY, by="ann")
    release = run.release_id
    store.open(
        Opened(
            query="q1",
            environment=names.environment,
            partition=DAY,
            release_id=release,
            run_id=root,
            root_run_id=root,
            opened_at=utc_now(),
            code_version="1",
            by="ann",
        )
    )
    name = names.warehouse_table(release, "predictions")
    with connect(sandbox.env) as connection:
        connection.cursor().execute(
            f'CREATE TABLE "KUMO"."PUBLIC"."{name}" AS SELECT 1 AS ENTITY, \'a\' AS CLASS, 0.5::FLOAT AS SCORE'
        )
    store.write_artefact(
        Artefact(
            query="q1",
            release_id=release,
            asset="predictions",
            attempt=1,
            name=name,
            rows=1,
            entities=1,
            seconds_outside=0,
            created_at=utc_now(),
            details=PredictionDetails(database="KUMO", schema="PUBLIC"),
        )
    )
    return store, root


def test_of_two_runs_at_one_table_the_second_adopts_the_firsts(
    sandbox: SandboxHandle, begun: tuple[ReleaseStore, str], tmp_path: Path
) -> None:
    store, root = begun
    both = threading.Barrier(2)

    def resume(run_id: str) -> Artefact:
        with connect(sandbox.env) as connection:
            return build(step_of(run_id, store, root, tmp_path), Twin(connection, both))

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(resume, ["one", "other"])
    assert one.to_json() == other.to_json()
    assert (one.attempt, one.rows) == (1, 1)


def test_a_table_that_another_run_is_still_creating_is_that_runs_business(
    sandbox: SandboxHandle, begun: tuple[ReleaseStore, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's transaction holds the name, and does not end."""
    store, root = begun
    monkeypatch.setattr("kumo_assets.resources.creating.LOOKS", 1)
    release = step_of("other", store, root, tmp_path)
    release.begin_attempt(1)
    name = store.names.warehouse_table(release.release_id, "postprocessed")
    with connect(sandbox.env) as holding, connect(sandbox.env) as connection:
        holding.cursor().execute("BEGIN")
        holding.cursor().execute(f'CREATE TABLE "KUMO"."PUBLIC"."{name}" AS SELECT 1 AS X')
        with pytest.raises(Refused, match="run other of other is building it"):
            build(step_of("mine", store, root, tmp_path), Warehouse(connection))
        holding.cursor().execute("ROLLBACK")
    with connect(sandbox.env) as connection:
        assert build(step_of("mine", store, root, tmp_path), Warehouse(connection)).attempt == 1


def test_an_error_of_the_sql_itself_is_not_taken_for_another_run(
    sandbox: SandboxHandle, begun: tuple[ReleaseStore, str], tmp_path: Path
) -> None:
    from dataclasses import replace

    store, root = begun
    (tmp_path / "postprocess.sql").write_text("SELECT NONSENSE FROM {{ predictions }}")
    for run_id in ("one", "other"):
        step = step_of(run_id, store, root, tmp_path)
        step = replace(step, definition=replace(step.definition, folder=tmp_path))
        with connect(sandbox.env) as connection, pytest.raises(WarehouseError, match="NONSENSE"):
            build(step, Warehouse(connection))


def test_a_view_that_another_run_is_replacing_is_replaced_after_it(sandbox: SandboxHandle) -> None:
    name = f"V{uuid.uuid4().hex[:8].upper()}"
    column = KafkaColumn(path="id", type="NUMBER")
    raw = RawTable(table=name, kafka=KafkaShape(landing_table=f"{name}_LANDING", columns={"ID": column}))
    assert raw.kafka is not None
    with connect(sandbox.env) as holding, connect(sandbox.env) as connection:
        holding.cursor().execute(f'CREATE TABLE "KUMO"."PUBLIC"."{name}_LANDING" (RECORD_CONTENT VARIANT)')
        holding.cursor().execute("BEGIN")
        holding.cursor().execute(f'CREATE VIEW "KUMO"."PUBLIC"."{name}" AS SELECT 1 AS X')
        ends = threading.Timer(0.5, lambda: holding.cursor().execute("ROLLBACK"))
        ends.start()
        try:
            ensure_flattening_view(Warehouse(connection), "KUMO", "PUBLIC", raw, raw.kafka)
        finally:
            ends.join()
        assert list(Warehouse(connection).columns("KUMO", "PUBLIC", name)) == ["ID"]
