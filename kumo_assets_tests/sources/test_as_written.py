"""Each task's table with the columns in the order, case and type in which its producer writes them, from proof to preview.

Kumo's writer is one for 2.x, 3.0 and the open-source Engine: timestamps before the prediction where there are no pairs,
`False_PROB` and `True_PROB` in that case, classes of a multiclass query as text, scores as FLOAT. Its models were read in
kumoai 2.22.0 and 3.0.0b3. A table source has the same tables with the producer's names, and no timestamps.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import definition

from kumo_assets.assets.postprocess_proof import prove_table
from kumo_assets.assets.postprocessed import select_for
from kumo_assets.assets.ui import table_metadata
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.table_source import TableSettings
from kumo_assets.config.tasks import EVERY_TASK, Task
from kumo_assets.documents import Artefact, NoticeDetails, PredictionDetails
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.baseline import Baselines
from kumo_assets.gates.bindings import bind
from kumo_assets.gates.count_sql import count_predictions
from kumo_assets.gates.judgement import Judgement
from kumo_assets.resources.kumo.model import JobStatus, KumoJob
from kumo_assets.resources.kumo.output import prove_output
from kumo_assets.resources.snowflake import Warehouse, connect_outside_dagster
from kumo_assets.resources.sql import table
from kumo_assets.sources.day_table import DayTable

ANCHOR, WRITTEN = datetime(2017, 12, 1, tzinfo=UTC), datetime(2017, 12, 1, 2, tzinfo=UTC)
TIMES = (
    "'2017-12-01 00:00:00'::TIMESTAMP_NTZ AS ANCHOR_TIMESTAMP, '2017-12-01 02:00:00'::TIMESTAMP_NTZ AS JOB_TIMESTAMP"
)
# By task: the columns as Kumo's writer orders them, over rows (column1, column2, ...) of the values.
KUMO: dict[str, tuple[str, str]] = {
    "ranking": (
        f"column1 AS ENTITY, column2 AS CLASS, column3::FLOAT AS SCORE, {TIMES}",
        "(1, 7, 0.9), (1, 8, 0.5), (2, 9, 0.25)",
    ),
    "regression": (f"column1 AS ENTITY, {TIMES}, column2::FLOAT AS TARGET_PRED", "(1, 2.5), (2, 0.125)"),
    "binary_classification": (
        f"column1 AS ENTITY, {TIMES}, column2::BOOLEAN AS TARGET_PRED, "
        '(1 - column3)::FLOAT AS "False_PROB", column3::FLOAT AS "True_PROB"',
        "(1, TRUE, 0.75), (2, FALSE, 0.25)",
    ),
    "multiclass_classification": (
        f"column1 AS ENTITY, {TIMES}, column2::BOOLEAN AS PREDICTED, column3::VARCHAR AS CLASS, column4::FLOAT AS SCORE",
        "(1, TRUE, '3', 0.75), (1, FALSE, '4', 0.25), (2, TRUE, '4', 1.0)",
    ),
}
# By task: what is served of it, (entity, class, score) or (entity, number), best first.
SERVED: dict[str, list[tuple[Any, ...]]] = {
    "ranking": [(1, 7, 0.9), (1, 8, 0.5), (2, 9, 0.25)],
    "regression": [(1, 2.5), (2, 0.125)],
    "binary_classification": [(1, "true", 0.75), (1, "false", 0.25), (2, "false", 0.75), (2, "true", 0.25)],
    "multiclass_classification": [(1, "3", 0.75), (1, "4", 0.25), (2, "4", 1.0)],
}
# What another job calls the columns: lower case, which Snowflake keeps where the writer quotes.
NAMES = {
    "ENTITY": "user_id",
    "CLASS": "Item",
    "SCORE": "p",
    "TARGET_PRED": "answer",
    "TRUE_PROB": "p_true",
    "PREDICTED": "chosen",
}


@pytest.fixture(scope="module")
def warehouse(running_sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_sandbox.env.items():
            patch.setenv(name, value)
        with connect_outside_dagster() as found:
            yield found


def made(warehouse: Warehouse, columns: str, values: str) -> str:
    name = f"W_{uuid.uuid4().hex[:12].upper()}"
    warehouse.rows(f'CREATE TABLE "{warehouse.schema}"."{name}" AS SELECT {columns} FROM VALUES {values}')
    return name


def proved_by_kumo(warehouse: Warehouse, task: Task, values: str) -> str:
    """The table as Kumo's writer leaves it, believed."""
    name = made(warehouse, KUMO[task][0], values)
    job = KumoJob("j", JobStatus.DONE, "DONE", entities=2, created_at=WRITTEN, ended_at=WRITTEN)
    where = table(warehouse.database, warehouse.schema, name)
    proof = prove_output(
        warehouse.row, warehouse.columns(warehouse.database, warehouse.schema, name), where, job, task, ANCHOR
    )
    assert (proof.entities, proof.null_keys, proof.job_to, proof.anchor_to) == (2, 0, WRITTEN, ANCHOR)
    return name


def copied_from_another(warehouse: Warehouse, task: Task, values: str) -> str:
    """The copy of another job's table: its own names, no timestamps."""
    columns = KUMO[task][0].replace(f", {TIMES}", "").replace('(1 - column3)::FLOAT AS "False_PROB", ', "")
    named = {ours: theirs for ours, theirs in NAMES.items() if f"AS {ours}" in columns or ours == "TRUE_PROB"}
    for ours, theirs in named.items():
        columns = columns.replace(f"AS {ours}", f'AS "{theirs}"').replace(
            'AS "True_PROB"', f'AS "{NAMES["TRUE_PROB"]}"'
        )
    source = made(warehouse, columns, values)
    settings = TableSettings.model_validate({"table": source, "columns": named, "complete": {"newer": {}}})
    day = DayTable(settings, task, "2017-11-30", ANCHOR, warehouse)
    name = f"{source}_COPY"
    day.freeze(name, day.columns(), day.count(day.columns()), "run-1")
    frozen = day.frozen(name)
    assert frozen is not None
    assert frozen.faults == []
    return name


PRODUCERS = {"kumo": proved_by_kumo, "table": copied_from_another}


def query_of(task: Task, producer: str) -> QueryDefinition:
    kumo = {"kumo": {"predictive_query_id": "q", "connector": "c"}}
    other = {"table": {"table": "T", "complete": {"record": {}}}}
    return definition("q1", task=task, source=kumo if producer == "kumo" else other)


def artefact(warehouse: Warehouse, name: str) -> Artefact:
    return Artefact(
        query="q1",
        release_id="20171130-1a2b3c4d",
        asset="predictions",
        attempt=1,
        name=name,
        rows=2,
        entities=2,
        seconds_outside=0,
        created_at="2017-12-01T02:00:00Z",
        details=PredictionDetails(database=warehouse.database, schema=warehouse.schema),
    )


def judged(warehouse: Warehouse, query: QueryDefinition, name: str) -> dict[str, Judgement]:
    """The gates on the predictions, over what their SQL counts."""

    def rows(sql: str) -> list[Any]:
        return [*warehouse.rows(sql)]

    readable, columns = warehouse.readable(warehouse.database, warehouse.schema, name)
    counts = count_predictions(rows, readable, columns, None)
    judges = bind(query.spec, NoticeDetails(), counts, Baselines(None))
    gates = query.spec.asked_gates
    return {
        gate: judges[gate]()
        for gate in gates
        if gates[gate]["asset"] == "predictions" and not gate.startswith("raw_") and gate != "score_drift"
    }


@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.parametrize("task", EVERY_TASK)
def test_what_is_written_is_proved_judged_served_and_shown(warehouse: Warehouse, task: Task, producer: str) -> None:
    query = query_of(task, producer)
    name = PRODUCERS[producer](warehouse, task, KUMO[task][1])
    found = judged(warehouse, query, name)
    assert {gate: found[gate].message for gate in found if found[gate].severity == "error"} == {}
    assert found["keys"].evidence["rows"] == len(SERVED[task]) / (2 if task == "binary_classification" else 1)

    post = f"{name}_SERVED"
    select = select_for(query, warehouse, artefact(warehouse, name), None)
    warehouse.rows(f'CREATE TABLE "{warehouse.schema}"."{post}" AS {select}')
    assert prove_table(warehouse, post, query).entities == 2
    order = "ENTITY, RANK" if task != "regression" else "ENTITY"
    served = [
        tuple(value for column, value in row.items() if column != "RANK")
        for row in warehouse.rows(f'SELECT * FROM "{post}" ORDER BY {order}')
    ]
    assert served == SERVED[task]

    shown = table_metadata(query, warehouse, artefact(warehouse, name))
    header = str(shown["preview"].value).splitlines()[0]  # type: ignore[union-attr]
    if producer == "kumo" and task == "binary_classification":
        assert header == "| ENTITY | ANCHOR_TIMESTAMP | JOB_TIMESTAMP | TARGET_PRED | False_PROB | True_PROB |"
    assert header.startswith("| ENTITY |")


@pytest.mark.parametrize("producer", PRODUCERS)
def test_a_class_that_is_null_is_counted_shown_and_stopped(warehouse: Warehouse, producer: str) -> None:
    """CLASS may be null by Kumo's code. A list with such an entry is not served; SQL of the query's own may drop it."""
    query = query_of("ranking", producer)
    name = PRODUCERS[producer](warehouse, "ranking", "(1, 7, 0.9), (1, NULL, 0.5), (2, 9, 0.25)")
    keys = judged(warehouse, query, name)["keys"]
    assert (keys.severity, keys.evidence["null"]) == ("error", 1)
    shown = str(table_metadata(query, warehouse, artefact(warehouse, name))["preview"].value)  # type: ignore[union-attr]
    assert "| 1 | 7 | 0.9 |" in shown, "a key is shown as it is"
    assert "| 1 | NULL | 0.5 |" in shown
    select = select_for(query, warehouse, artefact(warehouse, name), None)
    for post, rows, works in ((f"{name}_A", select, False), (f"{name}_B", f"SELECT * FROM ({select})", True)):
        where = " WHERE CLASS IS NOT NULL" if works else ""
        warehouse.rows(f'CREATE TABLE "{warehouse.schema}"."{post}" AS SELECT * FROM ({rows}){where}')
    with pytest.raises(WarehouseError, match="1 rows have a null"):
        prove_table(warehouse, f"{name}_A", query)
    assert prove_table(warehouse, f"{name}_B", query).rows == 2
