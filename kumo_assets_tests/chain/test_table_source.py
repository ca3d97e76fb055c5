"""A query whose predictions another job writes: from its table to an online service's answer, and what Dagster shows.

Kumo is configured in none of these tests. So a query of another source that still asked something of Kumo's would fail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kumo_serving import Answer, Reader

from kumo_assets.documents import PredictionDetails
from kumo_assets.gates.own import gates_of
from kumo_assets.resources.sql import literal
from kumo_assets_tests.chain.conftest import DAY, Chain, steps, written

NAME = "bought_often"
RECORDS = "KUMO_ASSETS_COMPLETIONS"


def from_table(attributes: dict[str, Any]) -> None:
    attributes["raw_logs"] = []
    attributes.pop("outcomes", None)  # they are counted from raw logs, and it has none
    attributes["source"] = {
        "table": {
            "table": "KUMO.RAW.BOUGHT_%Y%m%d",
            "columns": {"ENTITY": "household", "CLASS": "product", "SCORE": "times"},
            "complete": {"record": {"table": f"KUMO.RAW.{RECORDS}"}},
        }
    }


@pytest.fixture
def query(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """A query of a table's, in a test's own environment, without Kumo's variables."""
    for variable in ("KUMO_API_URL", "KUMO_API_KEY"):
        monkeypatch.delenv(variable)
    return written(chain, tmp_path / "defs", NAME, change=from_table)


def producer(chain: Chain) -> None:
    """The other job: what each household bought most often, and its record, in the one INSERT that the docs show."""
    day = DAY.replace("-", "")
    chain.sql(
        f'CREATE OR REPLACE TABLE "KUMO"."RAW"."BOUGHT_{day}" AS SELECT HOUSEHOLD_ID::VARCHAR AS "household", '
        f'PRODUCT_ID::VARCHAR AS "product", COUNT(*) AS "times" FROM "KUMO"."RAW"."TRANSACTIONS" GROUP BY 1, 2'
    )
    chain.sql(f'CREATE TABLE IF NOT EXISTS "KUMO"."RAW"."{RECORDS}" (RECORD VARIANT)')
    chain.sql(
        f'INSERT INTO "KUMO"."RAW"."{RECORDS}" SELECT OBJECT_CONSTRUCT(\'schema_version\', 1, \'query\', {literal(NAME)}, '
        f"'partition', {literal(DAY)}, 'run_id', 'nightly-77', 'rows', N, 'entities', E, 'started_at', "
        "'2017-11-29T01:00:00Z', 'ended_at', '2017-11-29T01:10:00Z', 'url', 'https://ml.example/nightly/77') "
        f'FROM (SELECT COUNT(*) AS N, COUNT(DISTINCT "household") AS E FROM "KUMO"."RAW"."BOUGHT_{day}")'
    )


def test_dagster_shows_the_source_and_asks_nothing_of_kumo(query: Chain) -> None:
    asset = query.definitions.get_assets_def([NAME, "predictions"])
    spec = asset.get_asset_spec(dg.AssetKey([NAME, "predictions"]))
    assert (set(spec.kinds), asset.op.pool) == ({"snowflake"}, "table_copies")
    assert "another job wrote" in (spec.description or "")
    assert "kumo_assets_kumo" not in asset.required_resource_keys
    graph = query.definitions.resolve_asset_graph()
    checks = {key.name for key in graph.asset_check_keys if key.asset_key.path[0] == NAME}
    assert "volume" in checks
    assert "kumo_warnings" not in checks
    assert "kumo_warnings" not in gates_of(query.definition)
    assert dg.AssetKey([NAME, "model"]) not in graph.get_all_asset_keys()


def test_a_day_from_another_jobs_table_to_an_online_answer(query: Chain) -> None:
    producer(query)
    result = query.run()
    assert result.success, query.why(result)
    assert "dynamodb_table" in steps(result)
    release = query.release(result)
    sealed = query.ctx().store.sealed(release)
    assert sealed is not None
    assert sealed.seal.kumo.job_id == "nightly-77"  # the stored name is of old; every source fills it
    predictions = query.ctx().store.artefact(release, "predictions")
    assert predictions is not None
    assert predictions.details_as(PredictionDetails).tracking_url == "https://ml.example/nightly/77"
    [event] = [
        event for event in result.asset_materializations_for_node(f"{NAME}__predictions") if event.partition == DAY
    ]
    assert event.metadata["written by"] == dg.MetadataValue.url("https://ml.example/nightly/77")
    assert query.promote().success
    names = query.ctx().store.names
    with Reader(NAME, f"s3://{names.bucket}/{names.pointer_key}", environment=names.environment) as reader:
        answer = reader.get("1")
    assert isinstance(answer, Answer)
    assert answer.release_id == release
    assert len(answer.predictions) == 5
