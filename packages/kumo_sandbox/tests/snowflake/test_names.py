"""Names are found as Snowflake finds them: quoted in exactly their case, others in upper case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

pytestmark = pytest.mark.sandbox


@pytest.fixture
def names(cursor: Any) -> Iterator[Any]:
    """A session with a table NAMED (ENTITY, "True_PROB") and a view "Seen"."""
    cursor.execute("USE SCHEMA KUMO.PUBLIC")
    cursor.execute('CREATE OR REPLACE TABLE NAMED AS SELECT 1 AS ENTITY, 0.5::FLOAT AS "True_PROB"')
    cursor.execute('CREATE OR REPLACE VIEW "Seen" AS SELECT ENTITY AS "Ent" FROM NAMED')
    yield cursor
    cursor.execute('DROP VIEW "Seen"')
    cursor.execute("DROP TABLE NAMED")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT TRUE_PROB FROM NAMED",
        "SELECT N.true_prob FROM NAMED N",
        'SELECT "entity" FROM NAMED',
        'SELECT "n".ENTITY FROM NAMED N',
        'SELECT ENT FROM "Seen"',
        "SELECT TRUE_PROB FROM (SELECT * FROM NAMED)",
        "SELECT TRUE_PROB FROM (SELECT * FROM NAMED) CROSS JOIN (SELECT 1 AS X)",
        "WITH C AS (SELECT N.* FROM NAMED N) SELECT TRUE_PROB FROM C",
        'SELECT A FROM (SELECT ENTITY AS "a" FROM NAMED)',
        'SELECT TRUE_PROB FROM (SELECT "True_PROB" FROM NAMED UNION ALL SELECT 1)',
        "SELECT 1 FROM NAMED N WHERE EXISTS (SELECT 1 FROM NAMED M WHERE M.ENTITY = N.TRUE_PROB)",
        'SELECT ENTITY FROM NAMED ORDER BY "entity"',
        "CREATE TABLE NEVER_MADE AS SELECT TRUE_PROB FROM NAMED",
        "INSERT INTO NAMED (ENTITY, TRUE_PROB) VALUES (1, 1)",
        "UPDATE NAMED SET TRUE_PROB = 1",
        "DELETE FROM NAMED WHERE TRUE_PROB = 1",
        "ALTER TABLE NAMED DROP COLUMN TRUE_PROB",
    ],
)
def test_a_column_in_another_case_is_an_invalid_identifier(names: Any, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="invalid identifier") as refused:
        names.execute(statement)
    assert refused.value.errno == 904


@pytest.mark.parametrize(
    "statement",
    [
        'SELECT * FROM "named"',
        "SELECT * FROM SEEN",
        'SELECT * FROM KUMO."public".NAMED',
        'SELECT * FROM "Kumo"."PUBLIC"."NAMED"',
        'DROP TABLE "named"',
        'INSERT INTO "named" SELECT 1, 1',
        'DESCRIBE TABLE "named"',
        'WITH "c" AS (SELECT 1 AS A) SELECT A FROM C',
    ],
)
def test_a_table_in_another_case_does_not_exist(names: Any, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="does not exist or not authorized") as refused:
        names.execute(statement)
    assert refused.value.errno == 2003
    assert names.execute("SELECT COUNT(*) FROM NAMED").fetchall() == [(1,)]


def test_a_schema_in_another_case_does_not_exist(names: Any) -> None:
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        names.execute('USE SCHEMA "public"')
    names.execute('DROP SCHEMA IF EXISTS "public"')
    assert names.execute("SELECT COUNT(*) FROM KUMO.PUBLIC.NAMED").fetchall() == [(1,)]


def test_drop_if_exists_leaves_a_table_of_another_case(names: Any) -> None:
    names.execute('DROP TABLE IF EXISTS "named"')
    assert names.execute("SELECT COUNT(*) FROM NAMED").fetchall() == [(1,)]


@pytest.mark.parametrize("statement", ['CREATE OR REPLACE TABLE "named" AS SELECT 1 AS A', 'CREATE SCHEMA "raw"'])
def test_what_the_sandbox_cannot_keep_beside_another_is_refused(names: Any, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="their names differ in case alone"):
        names.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        'select entity, n."True_PROB" from named n',
        "SELECT * FROM kumo.public.named",
        'SELECT "Ent" FROM "Seen"',
        "SELECT ENTITY AS K, k + 1 AS L FROM NAMED QUALIFY ROW_NUMBER() OVER (ORDER BY L) = 1 ORDER BY k",
        "SELECT COLUMN1 FROM VALUES (1), (2)",
        "SELECT COLUMN1, ENTITY FROM (SELECT * FROM VALUES (1), (2)) CROSS JOIN (SELECT ENTITY FROM NAMED)",
        "SELECT F.VALUE FROM NAMED N, LATERAL FLATTEN(INPUT => PARSE_JSON('[1]')) F WHERE n.entity = 1",
        "SELECT TABLE_NAME FROM KUMO.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'PUBLIC' AND TABLE_NAME = 'NAMED'",
        'SELECT A.ENTITY FROM NAMED A JOIN NAMED B USING (ENTITY) GROUP BY a.ENTITY HAVING MAX(b."True_PROB") > 0',
    ],
)
def test_what_snowflake_finds_is_found(names: Any, statement: str) -> None:
    assert names.execute(statement).fetchall()
