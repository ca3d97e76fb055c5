"""Raw logs into the sandbox Snowflake: whole days, each once, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from kumo_sandbox.grocery import Columns, EventLog, LogError, own_log, stream
from kumo_sandbox.pytest_plugin import running_sandbox, sandbox  # noqa: F401 - fixtures
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

pytestmark = pytest.mark.sandbox


@pytest.fixture
def empty(sandbox: SandboxHandle) -> Iterator[SandboxHandle]:  # noqa: F811
    yield sandbox
    connection = connect(sandbox.env)
    try:
        for schema in ("RAW", "EVENTS_SHOP"):
            connection.cursor().execute(f'DROP SCHEMA IF EXISTS "KUMO"."{schema}" CASCADE')
    finally:
        connection.close()


def rows(handle: SandboxHandle, sql: str) -> list[tuple[object, ...]]:
    connection = connect(handle.env)
    try:
        found: list[tuple[object, ...]] = connection.cursor().execute(sql).fetchall()
        return found
    finally:
        connection.close()


def test_year_streams_day_by_day_and_each_day_once(empty: SandboxHandle, grocery: EventLog) -> None:
    first = stream(grocery, date(2017, 11, 28), empty.env)
    assert first.rows == grocery.rows_through(date(2017, 11, 28)) == 1_332_773
    assert stream(grocery, date(2017, 11, 28), empty.env).rows == 0
    assert stream(grocery, date(2017, 11, 30), empty.env).rows == 3628 + 2819
    # An earlier day asked for later adds nothing.
    assert stream(grocery, date(2017, 11, 29), empty.env).first is None
    found = rows(
        empty,
        "SELECT COUNT(*), COUNT(DISTINCT HOUSEHOLD_ID), MAX(TRANSACTION_TIMESTAMP)::DATE FROM RAW.TRANSACTIONS",
    )
    assert found == [(1_339_220, 2463, date(2017, 11, 30))]
    assert rows(empty, "SELECT COUNT(*), COUNT(NAME), COUNT(DISTINCT PRODUCT_ID) FROM RAW.PRODUCTS") == [(92331,) * 3]


def test_columns_arrive_as_they_are_in_the_source(empty: SandboxHandle, grocery: EventLog) -> None:
    stream(grocery, date(2017, 1, 2), empty.env)
    names = ", ".join(column.name for column in grocery.events.columns)
    mine = grocery.database.execute(
        f"SELECT {names} FROM events WHERE TRANSACTION_TIMESTAMP < '2017-01-03' ORDER BY ALL LIMIT 5"
    ).fetchall()
    theirs = rows(empty, f"SELECT {names} FROM RAW.TRANSACTIONS ORDER BY {names} LIMIT 5")
    assert [tuple(map(str, row)) for row in theirs] == [tuple(map(str, row)) for row in mine]


def test_other_logs_than_those_there_are_refused(empty: SandboxHandle, tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(
        "entity_id,item_id,timestamp,qty\n"
        + "".join(f"u{n % 7},i{n % 5},2024-03-{1 + n % 20:02d} 12:00:00,{n % 3}\n" for n in range(200))
    )
    assert stream(own_log(file, Columns()), date(2024, 3, 10), empty.env).rows == 100
    with pytest.raises(LogError, match=r"other logs, or another filter.*reset"):
        stream(own_log(file, Columns(), "qty > 0"), date(2024, 3, 12), empty.env)
    assert rows(empty, "SELECT COUNT(*) FROM EVENTS_SHOP.EVENTS") == [(100,)]


def test_days_added_to_the_end_of_a_log_are_streamed_on(empty: SandboxHandle, tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    head = "entity_id,item_id,timestamp\n" + "".join(f"u,i,2024-03-{day:02d} 12:00:00\n" for day in range(1, 11))
    file.write_text(head)
    assert stream(own_log(file, Columns()), date(2024, 3, 10), empty.env).rows == 10
    file.write_text(head + "u,i,2024-03-11 12:00:00\nu,j,2024-03-12 09:00:00\n")
    done = stream(own_log(file, Columns()), date(2024, 3, 12), empty.env)
    assert (done.first, done.rows) == (date(2024, 3, 11), 2)
    assert rows(empty, "SELECT ITEM_ID, NAME FROM EVENTS_SHOP.ITEMS ORDER BY 1") == [("i", "i"), ("j", "j")]
