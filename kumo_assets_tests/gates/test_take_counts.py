"""Counting inside an asset's own step, on the sandbox. What a changed query cannot compare is reported by its gates, and
never fails the step."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import definition

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Artefact, NoticeDetails, Opened, Seal, WarehouseDetails
from kumo_assets.gates.baseline import Baseline, Baselines
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.take_counts import stored_counts, take_counts
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse, connect_outside_dagster

LISTS = "SELECT {entity} AS ENTITY, {item} AS CLASS, 0.5::FLOAT AS SCORE, 1 AS RANK FROM VALUES (1, 7), (2, 8), (3, 9)"
NUMBERS = "SELECT {entity} AS ENTITY, 0.5::FLOAT AS TARGET_PRED FROM VALUES (1, 7), (2, 8), (3, 9)"
COLUMNS = {"entity": "column1", "item": "column2"}


@pytest.fixture
def warehouse(sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with connect_outside_dagster() as found:
        yield found


@pytest.fixture
def table(warehouse: Warehouse) -> Callable[..., str]:
    """Makes a table from a SELECT; its name."""

    def make(select: str, **columns: str) -> str:
        name = f"C_{uuid.uuid4().hex[:12].upper()}"
        target = f'"{warehouse.database}"."{warehouse.schema}"."{name}"'
        warehouse.rows(f"CREATE TABLE {target} AS {select.format_map(COLUMNS | columns)}")
        return name

    return make


def query(**gates: Any) -> QueryDefinition:
    return definition("q1", gates=gates)


def counted(
    warehouse: Warehouse, query: QueryDefinition, new: str, old: str, main: Baseline | None = None
) -> tuple[dict[str, Any], Any, Any]:
    """Counts of a new table against the active release's, the judgements bound to them, and the stored counts as this
    query finds them, and as a query that has every gate does."""
    ctx = ReleaseContext.from_environment(query, Environment.from_variables())
    opened = Opened.model_construct(release_id=f"20171130-{uuid.uuid4().hex[:8]}", partition="2017-11-30")
    details = WarehouseDetails(database=warehouse.database, schema=warehouse.schema)
    artefact = Artefact.model_construct(asset="postprocessed", name=new, entities=3, details=details)
    seal = Seal.model_construct(release_id="20171129-1a2b3c4d", artefacts={"postprocessed": old})
    baselines = Baselines(active=seal, main=main)
    try:
        counts = take_counts(ctx, warehouse, query, opened, artefact, baselines)
        kept = stored_counts(ctx, query, opened, "postprocessed", baselines)
        other = stored_counts(ctx, definition(query.name), opened, "postprocessed", baselines)
    finally:
        ctx.close()
    found = bind(query.spec, NoticeDetails(), counts, baselines)
    return counts, found, (kept, other)


def test_a_changed_type_is_compared_as_text(warehouse: Warehouse, table: Callable[..., str]) -> None:
    old = table(LISTS)
    counts, found, _ = counted(warehouse, query(), table(LISTS, item="'sku-' || TO_VARCHAR(column2)"), old)
    assert counts["continuity"] == {"old": 3, "lost": 0, "entries": 3, "changed": 3, "sample": 1}
    assert found["overlap"]().value == 1.0
    assert found["entities_lost"]().value == 0.0
    counts, _, _ = counted(warehouse, query(), table(LISTS, entity="TO_VARCHAR(column1)"), old)
    assert counts["continuity"] == {"old": 3, "lost": 0, "entries": 3, "changed": 0, "sample": 1}


def test_another_tasks_table_cannot_be_compared_with_and_both_gates_say_why(
    warehouse: Warehouse, table: Callable[..., str]
) -> None:
    """It raises nothing: the asset's own step counts, and a release whose step fails could never be forced."""
    counts, found, stored = counted(warehouse, query(), table(LISTS), table(NUMBERS))
    for gate in ("entities_lost", "overlap"):
        judgement = found[gate]()
        assert judgement.severity == "error"
        assert "20171129-1a2b3c4d" in judgement.message
        assert "CLASS" in judgement.message
        assert "Snowflake query" in judgement.message
    assert counts["lists"] == 3
    assert stored == (None, None)  # it may succeed the next time: a later check counts again


@pytest.mark.parametrize(
    ("before", "severity"), [(None, "ok"), (3, "ok"), (4, "error")], ids=["a first release", "as many", "one is gone"]
)
def test_lists_of_all_classes_are_full_unless_the_baseline_had_more(
    warehouse: Warehouse, table: Callable[..., str], before: int | None, severity: str
) -> None:
    three = "1 AS ENTITY, column1 AS CLASS, 1 - column1 / 10 AS SCORE, column1 AS RANK FROM VALUES (1), (2), (3)"
    name = table(f"SELECT {three}")
    main = None if before is None else Baseline("active", "20171129-1a2b3c4d", {"postprocessed": {"coverage": before}})
    _, found, _ = counted(warehouse, definition("q1", task="multiclass_classification"), name, name, main)
    judgement = found["list_shape"]()
    assert judgement.severity == severity
    assert ("shorter than 4, as many as the baseline has classes; here are 3" in judgement.message) == (before == 4)


def test_the_active_table_is_not_compared_with_when_no_gate_needs_it(
    warehouse: Warehouse, table: Callable[..., str]
) -> None:
    off = query(entities_lost={"mode": "off"}, overlap={"mode": "off"})
    counts, found, (kept, asked) = counted(warehouse, off, table(LISTS), table(NUMBERS))
    assert "continuity" not in counts
    assert kept == counts
    # Switched on by an edit between the asset and its checks: counted again, and nothing passes without it.
    assert asked is None
    assert found["overlap"]().severity == found["entities_lost"]().severity == "error"
