"""A source that only these tests have: its settings, its module and its line in `SOURCES` are all that it needs.

Kumo is configured in none of these tests. So a query of another source that still asked something of Kumo's would fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import pytest
import yaml
from pydantic import JsonValue

from kumo_assets.components.predictive_query import build_query
from kumo_assets.components.raw_logs import build_raw_logs
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import Kumo, PredictiveQuerySpec, Source, Training
from kumo_assets.config.raw_logs import Strict
from kumo_assets.definitions import shared_definitions
from kumo_assets.documents import PredictionDetails
from kumo_assets.gates.own import gates_of
from kumo_assets.models.registry import Model
from kumo_assets.resources.sql import quote, table
from kumo_assets.sources.opening import SOURCES
from kumo_assets.sources.protocol import Figures, Link, Predicted, PredictionWork, Shown, TrainingWork
from kumo_assets_tests.chain.conftest import DAY, QUERY, SHIPPED, Chain, steps

# ---- its settings,


class Bought(Strict):
    """The products that an entity bought most often."""

    table: str


class OrBought(Source):
    kumo: Kumo | None = None  # type: ignore[assignment]
    bought: Bought | None = None

    @property
    def training(self) -> Training | None:
        return None

    @property
    def binary_threshold(self) -> float | None:
        return None

    @property
    def classes_per_entity(self) -> int | None:
        return None


class BoughtQuery(PredictiveQuerySpec):
    source: OrBought


# ---- its module,


@dataclass(frozen=True)
class BoughtSource:
    """See `protocol.Source`. It counts in SQL, in one statement, so it adopts a table by its name."""

    predictions = Shown(frozenset({"snowflake"}), "What was bought most often.", "counting", frozenset())
    model = Shown(frozenset(), "Has no model.", "counting", frozenset())
    tried = "Bought: nothing outside"

    def parameters(self, definition: QueryDefinition) -> Mapping[str, JsonValue]:
        return definition.spec.source.model_dump(mode="json")

    def predict(self, work: PredictionWork) -> Predicted:
        spec = work.definition.spec
        assert isinstance(spec, BoughtQuery)
        assert spec.source.bought is not None
        name, warehouse = work.table(1), work.warehouse
        where = table(warehouse.database, warehouse.schema, name)
        work.progress("counting")
        warehouse.rows(
            f"CREATE TABLE IF NOT EXISTS {where} AS SELECT HOUSEHOLD_ID::VARCHAR AS ENTITY, PRODUCT_ID::VARCHAR AS CLASS, "
            f"COUNT(*)::FLOAT AS SCORE FROM {quote('KUMO')}.{quote('RAW')}.{quote(spec.source.bought.table)} GROUP BY 1, 2"
        )
        count = warehouse.row(f"SELECT COUNT(*) AS N, COUNT(DISTINCT ENTITY) AS E FROM {where}")
        details = PredictionDetails(
            job_id=work.root_run_id,
            tracking_url="https://bought.example/run",
            database=warehouse.database,
            schema=warehouse.schema,
        )
        return Predicted(name, 1, int(count["N"]), int(count["E"]), warehouse.seconds, details)

    def figures(self, details: PredictionDetails) -> Figures:
        return {"counted by": Link(details.tracking_url or "")}

    def train(self, work: TrainingWork) -> tuple[Model, bool]:
        raise NotImplementedError

    def check(self, queries: Sequence[QueryDefinition]) -> str:
        return ", ".join(definition.name for definition in queries)


# ---- and its line.


@pytest.fixture
def bought(monkeypatch: pytest.MonkeyPatch) -> QueryDefinition:
    """The shipped query as one of this source."""
    monkeypatch.setitem(SOURCES, "bought", BoughtSource)
    attributes = yaml.safe_load((SHIPPED / QUERY / "defs.yaml").read_text())["attributes"]
    attributes["source"] = {"bought": {"table": "TRANSACTIONS"}}
    shipped = DefinitionsIndex(SHIPPED).query(QUERY)
    return replace(shipped, name="bought_often", spec=BoughtQuery.model_validate(attributes))


def definitions_of(definition: QueryDefinition) -> dg.Definitions:
    index = DefinitionsIndex(SHIPPED)
    return dg.Definitions.merge(
        build_query(definition, index.raw_sources(definition)),
        build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
        shared_definitions(),
    )


def test_dagster_shows_the_source_and_asks_nothing_of_kumo(bought: QueryDefinition) -> None:
    loaded = definitions_of(bought)
    asset = loaded.get_assets_def(["bought_often", "predictions"])
    spec = asset.get_asset_spec(dg.AssetKey(["bought_often", "predictions"]))
    assert (set(spec.kinds), asset.op.pool) == ({"snowflake"}, "counting")
    assert (spec.description or "").endswith("What was bought most often.")
    assert "kumo_assets_kumo" not in asset.required_resource_keys
    checks = {key.name for key in loaded.resolve_asset_graph().asset_check_keys}
    assert "volume" in checks
    assert "kumo_warnings" not in checks
    assert "kumo_warnings" not in gates_of(bought)
    assert "kumo_warnings" in gates_of(DefinitionsIndex(SHIPPED).query(QUERY))


def test_a_day_from_raw_logs_to_a_sealed_release_without_kumo(
    chain: Chain, bought: QueryDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("KUMO_API_URL", "KUMO_API_KEY"):
        monkeypatch.delenv(variable)
    made = Chain(chain.handle, chain.instance, bought, definitions_of(bought), chain.environment)
    result = made.run()
    assert result.success, made.why(result)
    assert "dynamodb_table" in steps(result)
    release = made.release(result)
    sealed = made.ctx().store.sealed(release)
    assert sealed is not None
    assert sealed.seal.kumo.job_id == result.run_id  # the stored name is of old; every source fills it
    assert "kumo_warnings" not in made.verdicts(release)
    predictions = made.ctx().store.artefact(release, "predictions")
    assert predictions is not None
    assert predictions.details_as(PredictionDetails).job_id == result.run_id
    [event] = [
        event for event in result.asset_materializations_for_node("bought_often__predictions") if event.partition == DAY
    ]
    assert event.metadata["counted by"] == dg.MetadataValue.url("https://bought.example/run")
