"""Predictions that another job writes: what proves them complete, and that their copy is a release's own.

Each test is that other job, over the real connector: it makes a table, changes it, and leaves records or does not.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import QueryNames
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.table_source import TableSettings
from kumo_assets.documents import Attempt, PredictionDetails
from kumo_assets.errors import ConfigError, KumoAssetsError, LateLogs, WarehouseError
from kumo_assets.models.registry import ModelRegistry
from kumo_assets.releases.fingerprints import differences, fingerprint_of
from kumo_assets.resources.aws import s3_client
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.snowflake import Warehouse, connect_outside_dagster
from kumo_assets.sources.day_table import DayTable
from kumo_assets.sources.protocol import Predicted, PredictionWork
from kumo_assets.sources.table import MOST_COPIES, TableSource
from kumo_assets_tests.support.definitions import QUERY

DAY = "2017-11-28"
ANCHOR = datetime(2017, 11, 29, tzinfo=UTC)
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/contract/completion.schema.json").read_text())
ROWS = "('ann', 'milk', 0.5), ('ann', 'eggs', 0.25), ('bob', 'milk', 1)"


@pytest.fixture(scope="module")
def opened(running_sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_sandbox.env.items():
            patch.setenv(name, value)
        with connect_outside_dagster() as found:
            yield found


class Clock:
    """Time that passes only while somebody waits; `then` happens during the first wait."""

    def __init__(self, at: datetime, then: Callable[[], object] = lambda: None) -> None:
        self.at, self.then, self.waits = at, then, 0

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.waits += 1
        self.at += timedelta(seconds=seconds)
        then, self.then = self.then, lambda: None
        then()


class Begun:
    """What a release's attempts were begun with, as the store keeps it."""

    def __init__(self) -> None:
        self.records: dict[int, Attempt] = {}
        self.now: dict[str, Any] = {}

    def attempt(self, number: int) -> Attempt | None:
        return self.records.get(number)

    def other_run(self, begun: Attempt | None) -> str:
        return f"run {begun.run_id} of {begun.by}" if begun is not None and begun.run_id != "r" else ""

    def differs(self, begun: Attempt | None) -> str:
        return "; ".join(differences(begun.made_from, self.now)) if begun is not None else ""

    def begin_attempt(self, number: int) -> Attempt:
        record = Attempt(
            query="q",
            release_id="20171128-0000000a",
            asset="predictions",
            attempt=number,
            made_from=self.now,
            fingerprint=fingerprint_of(self.now),
            run_id="r",
            by="ann",
            begun_at="2017-11-29T02:00:00.000Z",
        )
        return self.records.setdefault(number, record)


@dataclass
class Producer:
    """The other job: a table of its own, and the records that it leaves."""

    warehouse: Warehouse
    table: str
    records: str
    query: str
    begun: dict[str, Begun] = field(default_factory=dict)

    def sql(self, text: str) -> None:
        self.warehouse.rows(text)

    def write(self, rows: str = ROWS, columns: str = "ENTITY, CLASS, SCORE", table: str | None = None) -> None:
        named = dict(zip(("column1", "column2", "column3", "column4"), columns.split(", "), strict=False))
        selected = ", ".join(f'{value} AS "{name}"' for value, name in named.items())
        self.sql(f'CREATE OR REPLACE TABLE "{table or self.table}" AS SELECT {selected} FROM VALUES {rows}')

    def done(self, **changed: Any) -> dict[str, Any]:
        record: dict[str, Any] = {
            "schema_version": 1,
            "query": self.query,
            "partition": DAY,
            "run_id": "run-1",
            "entities": 2,
            "started_at": "2017-11-29T01:00:00Z",
            "ended_at": "2017-11-29T01:10:00Z",
        } | changed
        self.sql(f"INSERT INTO \"{self.records}\" SELECT PARSE_JSON('{json.dumps(record)}')")
        return record

    def definition(self, **changed: Any) -> QueryDefinition:
        attributes = yaml.safe_load(QUERY)["attributes"] | {"raw_logs": []}
        settings = {"table": self.table, "complete": {"record": {"table": self.records}}, "poll_seconds": 600} | changed
        task = settings.pop("task", "ranking")
        spec = PredictiveQuerySpec.model_validate(attributes | {"task": task, "source": {"table": settings}})
        return QueryDefinition(self.query, Path("/nowhere"), spec)


@pytest.fixture
def producer(opened: Warehouse) -> Producer:
    tag = uuid.uuid4().hex[:8].upper()
    made = Producer(opened, f"RECS_{tag}", f"DONE_{tag}", f"next_{tag.lower()}")
    made.sql(f'CREATE TABLE "{made.records}" (RECORD VARIANT)')
    return made


BEFORE, AFTER = datetime(2017, 11, 29, 2, tzinfo=UTC), datetime(2017, 11, 30, tzinfo=UTC)


def predict(
    producer: Producer, *, release: str = "20171128-0000000a", clock: Clock | None = None, **settings: Any
) -> Predicted:
    clock = clock or Clock(AFTER)
    definition = producer.definition(**settings)
    names = QueryNames("local", producer.query, "some-bucket")
    said: list[str] = []
    begun = producer.begun.setdefault(release, Begun())
    begun.now = dict(TableSource().parameters(definition))
    work = PredictionWork(
        definition=definition,
        names=names,
        registry=ModelRegistry(names, ObjectStore("some-bucket", s3_client())),
        resources={},
        say=said.append,
        warn=said.append,
        progress=said.append,
        cancelling=lambda: False,
        partition=DAY,
        release_id=release,
        root_run_id="r",
        anchor=ANCHOR,
        warehouse=producer.warehouse,
        attempts=begun,
    )
    return TableSource(sleep=clock.sleep, now=clock.now).predict(work)


def copied(producer: Producer, made: Predicted) -> list[tuple[Any, ...]]:
    found = producer.warehouse.rows(f'SELECT ENTITY, CLASS, SCORE FROM "{made.table}" ORDER BY 1, 2')
    return [tuple(row.values()) for row in found]


def test_a_complete_table_is_copied_with_what_its_record_says(producer: Producer) -> None:
    producer.write()
    record = producer.done(rows=3, model="m-7", url="https://ml.example/runs/1", warnings=["few eggs"])
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(record)
    made = predict(producer)
    assert copied(producer, made) == [("ann", "eggs", 0.25), ("ann", "milk", 0.5), ("bob", "milk", 1.0)]
    assert (made.rows, made.entities, made.attempt) == (3, 2, 1)
    details = PredictionDetails.model_validate(made.details.model_dump(by_alias=True))
    assert (details.job_id, details.model_id, details.tracking_url) == ("run-1", "m-7", "https://ml.example/runs/1")
    assert [notice.message for notice in details.warnings] == ["few eggs"]


def test_the_producers_next_overwrite_changes_no_release_and_makes_another(producer: Producer) -> None:
    producer.write()
    producer.done()
    first = predict(producer)
    producer.write("('ann', 'tea', 0.5), ('cyd', 'tea', 0.5)")
    producer.done(run_id="run-2", ended_at="2017-11-29T05:00:00Z", started_at="2017-11-29T04:00:00Z")
    again, other = predict(producer), predict(producer, release="20171128-0000000b")
    assert (again.table, again.details.job_id, again.details.adopted) == (first.table, "run-1", True)
    assert len(copied(producer, again)) == 3
    assert (other.details.job_id, len(copied(producer, other))) == ("run-2", 2)


def test_a_copy_made_by_another_definition_is_left_and_the_rows_are_copied_anew(producer: Producer) -> None:
    producer.write()
    producer.done()
    first = predict(producer)
    edited = predict(
        producer, where="CLASS <> 'eggs'", complete={"control": {"table": producer.table, "where": "TRUE"}}
    )
    assert (first.attempt, edited.attempt) == (1, 2)
    assert [row[1] for row in copied(producer, edited)] == ["milk", "milk"]
    patient = predict(producer, poll_seconds=1)
    assert (patient.table, patient.details.adopted) == (first.table, True)


def test_names_of_any_case_are_found_and_one_table_with_many_days_is_cut(producer: Producer) -> None:
    producer.write(
        "('ann', 1, 0.5, '2017-11-28'), ('bob', 1, 0.5, '2017-11-27')", columns="user_id, Class, score, as_of"
    )
    producer.done(entities=1)
    made = predict(producer, columns={"ENTITY": "USER_ID"}, where='"as_of" = {{ partition }}')
    assert copied(producer, made) == [("ann", 1, 0.5)]


def test_a_table_a_day_is_found_by_its_date(producer: Producer) -> None:
    producer.write(table=f"{producer.table}_20171128")
    producer.done()
    assert predict(producer, table=f"{producer.table}_%Y%m%d").rows == 3


def test_late_predictions_are_waited_for_until_the_cut_off(producer: Producer) -> None:
    clock = Clock(BEFORE, then=lambda: (producer.write(), producer.done()))
    assert predict(producer, clock=clock).rows == 3
    assert clock.waits == 1


def test_a_producer_that_died_half_way_is_not_believed(producer: Producer) -> None:
    producer.write()
    producer.done(entities=3)
    clock = Clock(BEFORE)
    with pytest.raises(LateLogs, match=r"2 entities where the completion record of run run-1 has 3; the cut-off was"):
        predict(producer, clock=clock)
    assert clock.waits == 12  # two hours, ten minutes each
    assert producer.query.upper() not in str(producer.warehouse.rows("SHOW TABLES"))  # nothing was copied


def test_a_second_overwrite_of_the_day_is_waited_for_until_it_is_whole(producer: Producer) -> None:
    """The first run's record still counts what the second run has begun to replace."""
    producer.done(rows=3)
    producer.write("('ann', 'tea', 0.5), ('bob', 'tea', 0.5)")  # as many entities, fewer rows
    second = {"run_id": "run-2", "ended_at": "2017-11-29T03:00:00Z", "rows": 4, "entities": 3}
    whole = "('ann', 'tea', 0.5), ('bob', 'tea', 0.5), ('bob', 'ham', 0.25), ('cyd', 'tea', 0.5)"
    made = predict(producer, clock=Clock(BEFORE, then=lambda: (producer.write(whole), producer.done(**second))))
    assert (made.details.job_id, made.rows, made.attempt) == ("run-2", 4, 1)


def test_a_column_that_the_producer_renames_stops_the_next_release_and_no_earlier_one(producer: Producer) -> None:
    producer.write()
    producer.done()
    before = predict(producer)
    producer.write(columns="ENTITY, CLASS, PROBABILITY")
    producer.warehouse.rest()  # another run has a session of its own
    clock = Clock(BEFORE)
    with pytest.raises(WarehouseError, match="no column SCORE; it has ENTITY, CLASS, PROBABILITY"):
        predict(producer, release="20171128-0000000b", clock=clock)
    assert clock.waits == 0, "waiting brings no column back"
    assert (predict(producer).table, len(copied(producer, before))) == (before.table, 3)
    assert predict(producer, release="20171128-0000000b", columns={"SCORE": "PROBABILITY"}).rows == 3


def test_the_record_that_ended_last_counts(producer: Producer) -> None:
    producer.write()
    producer.done(run_id="run-2", ended_at="2017-11-29T09:00:00+05:00")  # 04:00 UTC
    producer.done(run_id="run-1", entities=7, ended_at="2017-11-29T03:00:00Z")
    assert predict(producer).details.job_id == "run-2"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"entities": -1}, "entities: "),
        ({"entities": "many"}, "entities: "),
        ({"run_id": ""}, "run_id: "),
        ({"ended_at": "2017-11-29T01:10:00"}, "ended_at: "),
        ({"ended_at": "2017-11-28T01:10:00Z"}, "ended_at is before started_at"),
        ({"url": "javascript:alert(1)"}, "url: "),
        ({"schema_version": 2}, "schema_version: "),
    ],
)
def test_a_record_that_breaks_the_schema_is_refused_with_its_field(
    producer: Producer, changed: dict[str, Any], reason: str
) -> None:
    producer.write()
    record = producer.done(**changed)
    with pytest.raises(WarehouseError, match=reason):
        predict(producer)
    # What the schema can say, it says too; the order of two times it cannot.
    checker = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert checker.is_valid(record) == ("before" in reason)


@pytest.mark.parametrize(
    ("rows", "columns", "reason"),
    [
        ("('a', 0.5)", "ENTITY, SCORE", "no column CLASS; it has ENTITY, SCORE"),
        ("('a', 'b', 'high')", "ENTITY, CLASS, SCORE", "SCORE is TEXT, and SCORE must be FLOAT or NUMBER"),
        ("(1.5::FLOAT, 'b', 0.5)", "ENTITY, CLASS, SCORE", "ENTITY is FLOAT"),
        ("('a', 'b', 0.5), (NULL, 'b', 0.5)", "ENTITY, CLASS, SCORE", "1 of its rows have no entity"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(producer: Producer, rows: str, columns: str, reason: str) -> None:
    producer.write(rows, columns)
    producer.done(entities=1)
    with pytest.raises(WarehouseError, match=reason):
        predict(producer)


class TwoCases:
    """Snowflake with a table whose columns differ only in case; the sandbox's engine cannot hold one."""

    database, schema = "D", "S"

    def columns(self, *parts: str) -> dict[str, str]:
        return {"ENTITY": "TEXT", "CLASS": "TEXT", "score": "FLOAT", "Score": "FLOAT"}


def test_of_two_columns_that_differ_only_in_case_one_must_be_named() -> None:
    def columns(**named: str) -> dict[str, str]:
        settings = TableSettings.model_validate({"table": "T", "columns": named, "complete": {"newer": {}}})
        return DayTable(settings, "ranking", DAY, ANCHOR, cast(Warehouse, TwoCases())).columns()

    with pytest.raises(WarehouseError, match="score and Score differ only in case, and none is exactly SCORE"):
        columns()
    assert columns(SCORE="Score") == {"ENTITY": "ENTITY", "CLASS": "CLASS", "SCORE": "Score"}


def test_an_empty_table_is_never_complete(producer: Producer) -> None:
    producer.write()
    producer.sql(f'DELETE FROM "{producer.table}"')
    producer.done(entities=0)
    with pytest.raises(LateLogs, match="it is called done and has no rows"):
        predict(producer)


def test_a_control_table_marks_the_day(producer: Producer) -> None:
    producer.write()
    producer.sql(f"CREATE TABLE \"{producer.table}_DAYS\" AS SELECT '2017-11-27' AS AS_OF, TRUE AS DONE")
    control = {"control": {"table": f"{producer.table}_DAYS", "where": "AS_OF = {{ partition }} AND DONE"}}
    with pytest.raises(LateLogs, match=f"no row that marks {DAY} as done"):
        predict(producer, complete=control)
    producer.sql(f"INSERT INTO \"{producer.table}_DAYS\" VALUES ('{DAY}', TRUE)")
    assert predict(producer, complete=control).rows == 3


def stamped(producer: Producer, at: str, more: str = "") -> None:
    producer.write(f"('ann', 'milk', 0.5, '{at}'::TIMESTAMP_NTZ){more}", "ENTITY, CLASS, SCORE, JOB_TIMESTAMP")


def test_new_rows_that_do_not_grow_are_complete(producer: Producer) -> None:
    stamped(producer, "2017-11-28 23:59:59")
    with pytest.raises(LateLogs, match=r"reaches 2017-11-28T23:59:59\+00:00, not yet 2017-11-29"):
        predict(producer, complete={"newer": {}})
    stamped(producer, "2017-11-29 03:00:00")
    more = ", ('bob', 'milk', 0.5, '2017-11-29 03:00:00'::TIMESTAMP_NTZ)"
    growing = Clock(BEFORE, then=lambda: stamped(producer, "2017-11-29 03:00:00", more))
    assert predict(producer, complete={"newer": {}}, clock=growing).rows == 2
    assert growing.waits == 3  # between two looks, before the next two, between those
    lower = {"newer": {"column": "job_timestamp"}}
    assert predict(producer, complete=lower, release="20171128-0000000b").rows == 2, "in any case, as other columns"


def test_a_column_without_times_proves_nothing(producer: Producer) -> None:
    producer.write()
    with pytest.raises(ConfigError, match="its column SCORE is"):
        predict(producer, complete={"newer": {"column": "SCORE"}})
    with pytest.raises(ConfigError, match="it has no column JOB_TIMESTAMP"):
        predict(producer, complete={"newer": {}})


def test_a_table_replaced_while_it_is_read_is_copied_again_under_another_name(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other job writes between our count and our copy: the connection is where that is made to happen."""
    producer.write()
    producer.done()
    between(producer, monkeypatch, times=1)
    made = predict(producer, clock=Clock(BEFORE))
    assert (made.attempt, made.rows) == (2, 3)
    between(producer, monkeypatch, times=9)
    with pytest.raises(WarehouseError, match="the table was written while it was read"):
        predict(producer, release="20171128-0000000b", clock=Clock(BEFORE))
    between(producer, monkeypatch, times=1)
    clock = Clock(BEFORE, then=lambda: producer.write(columns="ENTITY, CLASS, PROBABILITY"))
    with pytest.raises(WarehouseError, match="no column SCORE; it has ENTITY, CLASS, PROBABILITY"):
        predict(producer, release="20171128-0000000c", clock=clock)
    names = [str(row["name"]) for row in producer.warehouse.rows("SHOW TABLES")]
    assert sum("0000000B" in name and producer.query.upper() in name for name in names) == MOST_COPIES


def between(producer: Producer, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The next `times` copies find one more row than was counted, which is gone once they are made."""
    cursor = type(producer.warehouse._cursor())
    execute, left = cursor.execute, [times]

    def racing(self: Any, sql: str, *arguments: Any, **options: Any) -> Any:
        if not (sql.startswith("CREATE TRANSIENT TABLE") and f'"{producer.table}"' in sql and left[0]):
            return execute(self, sql, *arguments, **options)
        left[0] -= 1
        execute(self, f"INSERT INTO \"{producer.table}\" VALUES ('zoe', 'milk', 1)")
        try:
            return execute(self, sql, *arguments, **options)
        finally:
            execute(self, f"DELETE FROM \"{producer.table}\" WHERE ENTITY = 'zoe'")

    monkeypatch.setattr(cursor, "execute", racing)


def test_training_belongs_to_the_other_job(producer: Producer) -> None:
    with pytest.raises(KumoAssetsError, match=r"only a query with source.kumo"):
        _ = producer.definition().spec.kumo


def test_doctor_reads_each_table(producer: Producer, monkeypatch: pytest.MonkeyPatch, sandbox: SandboxHandle) -> None:
    del sandbox  # its variables are set
    assert f"{producer.table} is not there yet" in TableSource().check([producer.definition()])
    producer.write()
    assert f"{producer.table} has ENTITY, CLASS, SCORE" in TableSource().check([producer.definition()])
    with pytest.raises(WarehouseError, match="NOT_THERE"):
        TableSource().check([producer.definition(complete={"record": {"table": "NOT_THERE"}})])
