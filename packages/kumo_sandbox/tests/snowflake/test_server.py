"""The Snowflake stand-in as a server: who may come in, what an error says, what several sessions see."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle
from snowflake.connector.errors import DatabaseError, ProgrammingError

pytestmark = pytest.mark.sandbox


def test_statement_the_sandbox_cannot_run_is_an_error_not_a_wait(sandbox: SandboxHandle, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("1\n")
    no_current_schema = {name: value for name, value in sandbox.env.items() if name != "SNOWFLAKE_SCHEMA"}
    started = time.monotonic()
    with (
        connect(no_current_schema) as connection,
        pytest.raises(ProgrammingError, match="the sandbox cannot run this statement"),
    ):
        connection.cursor().execute(f"PUT '{file.as_uri()}' @%ANY AUTO_COMPRESS=FALSE")
    assert time.monotonic() - started < 60  # the connector's own retries take minutes


@pytest.mark.parametrize("wrong", ["SNOWFLAKE_PASSWORD", "SNOWFLAKE_USER"])
def test_wrong_credentials_are_refused_as_snowflake_does(sandbox: SandboxHandle, wrong: str) -> None:
    with pytest.raises(DatabaseError, match="Incorrect username or password was specified") as refused:
        connect({**sandbox.env, wrong: "somebody"})
    assert refused.value.errno == 390100


def test_sessions_share_tables_and_keep_their_own_schema(sandbox: SandboxHandle, cursor: Any) -> None:
    cursor.execute('CREATE OR REPLACE TABLE KUMO.PUBLIC."shared here" AS SELECT 1 AS A')
    other = connect(sandbox.env)
    try:
        session = other.cursor()
        cursor.execute("USE SCHEMA KUMO.PUBLIC")
        session.execute("USE SCHEMA KUMO.RAW")
        assert session.execute('SELECT A FROM KUMO.PUBLIC."shared here"').fetchall() == [(1,)]
        assert session.execute("SELECT CURRENT_SCHEMA()").fetchall() == [("RAW",)]
        assert cursor.execute("SELECT CURRENT_SCHEMA()").fetchall() == [("PUBLIC",)]
    finally:
        other.close()
        cursor.execute('DROP TABLE KUMO.PUBLIC."shared here"')


def test_error_of_the_store_is_told_at_once_and_with_its_reason(cursor: Any) -> None:
    # fakesnow answers what it does not expect with a bare 500, which the connector repeats for minutes.
    started = time.monotonic()
    with pytest.raises(ProgrammingError, match=r"Out of Range|Overflow"):
        cursor.execute("SELECT 9223372036854775807::BIGINT + 9223372036854775807::BIGINT")
    assert time.monotonic() - started < 60  # the connector's own retries take minutes
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_staged_files_lie_with_the_sandboxs_state(sandbox: SandboxHandle, cursor: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("1\n2\n")
    cursor.execute("CREATE OR REPLACE TABLE KUMO.PUBLIC.STAGED (A NUMBER)")
    try:
        cursor.execute("USE SCHEMA KUMO.PUBLIC")
        cursor.execute(f"PUT '{file.as_uri()}' @%STAGED AUTO_COMPRESS=FALSE")
        assert list((sandbox.settings.state / "snowflake-stages").rglob("rows.csv"))
    finally:
        cursor.execute("DROP TABLE KUMO.PUBLIC.STAGED")


def test_several_statements_in_one_request_are_refused_and_none_runs(cursor: Any) -> None:
    cursor.execute("CREATE OR REPLACE TABLE KUMO.PUBLIC.SEVERAL (A NUMBER)")
    try:
        with pytest.raises(ProgrammingError, match="Actual statement count 2 did not match the desired") as refused:
            cursor.execute("INSERT INTO KUMO.PUBLIC.SEVERAL VALUES (1); DROP TABLE KUMO.PUBLIC.SEVERAL")
        assert refused.value.errno == 8
        with pytest.raises(ProgrammingError, match="statement count"):
            cursor.describe("SELECT 1 AS A; SELECT 2 AS B")
        assert cursor.execute(
            "SELECT COUNT(*) FROM KUMO.PUBLIC.SEVERAL WHERE 'a;b' <> '' ; -- one; only"
        ).fetchall() == [(0,)]
    finally:
        cursor.execute("DROP TABLE KUMO.PUBLIC.SEVERAL")


def test_explain_compiles_and_runs_nothing(cursor: Any) -> None:
    plan = cursor.execute("EXPLAIN USING TABULAR SELECT COUNT(*) AS N FROM KUMO.INFORMATION_SCHEMA.TABLES")
    assert "operation" in [column.name for column in plan.description]
    with pytest.raises(ProgrammingError, match=r"(?i)no_such_column"):
        cursor.execute("EXPLAIN\nWITH A AS (SELECT 1 AS X) SELECT NO_SUCH_COLUMN FROM A")
    with pytest.raises(ProgrammingError, match=r"(?i)does not exist"):
        cursor.execute("EXPLAIN SELECT * FROM KUMO.PUBLIC.NO_SUCH_TABLE")
