"""What a `postprocess.sql` may name, told without network; and how values become SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kumo_assets.assets.definition_check import demand_usable
from kumo_assets.assets.postprocess_sql import referred, served_columns
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.errors import ConfigError
from kumo_assets.resources.sql_values import moment_sql
from kumo_assets.resources.template import check_sql, placeholders, render
from kumo_assets.sources.columns import possible_columns
from kumo_assets_tests.support.definitions import QUERY, RAW

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"offers": QUERY, "spend": QUERY, "logs": RAW}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text)
    return tmp_path


def usable(folder: Path, sql: str) -> list[str]:
    """The other queries that the SQL names, once it is checked."""
    (folder / "offers" / "postprocess.sql").write_text(sql)
    index = DefinitionsIndex(folder)
    return list(demand_usable(index, index.query("offers")).others)


def test_every_placeholder_of_the_page_is_known(folder: Path) -> None:
    table = PAGE.read_text().split("## `postprocess.sql`")[1].split("###")[0]
    names = placeholders(table)
    assert {"predictions", "partition", "anchor", "active", "query.spend", "transactions"} <= names
    assert usable(folder, "SELECT " + ", ".join("{{ " + name + " }}" for name in sorted(names))) == ["spend"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT {{ clicks }}", r"unknown placeholder \{\{ clicks \}\}.*use one of.*\{\{ transactions \}\}"),
        ("SELECT {{ query.nobody }}", r"postprocess\.sql: \{\{ query\.nobody \}\}: 'nobody': no folder of that name"),
        ("SELECT {{ query.offers }}", r"\{\{ query\.offers \}\} is this query.*\{\{ active \}\}"),
        ("SELECT {{ query. }}", r"\{\{ query\. \}\}"),
        ("SELECT {{ my-log }}", r"unknown placeholder \{\{ my-log \}\}"),
        ("SELECT {{ predictions }", "not closed"),
        ("SELECT '{{ clicks }}'", "unknown placeholder"),
        ("SELECT 1; SELECT 2", "a second statement follows"),
        ("/* none */ -- yet", "it is empty"),
        (";", "it is empty"),
    ],
)
def test_what_it_cannot_name_is_refused_without_network(folder: Path, sql: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        usable(folder, sql)


def test_a_query_that_is_named_and_broken_is_named_with_its_fault(folder: Path) -> None:
    (folder / "spend" / "defs.yaml").write_text(QUERY.replace("raw_logs:", "rawlogs:"))
    with pytest.raises(
        ConfigError, match=r"offers/postprocess\.sql: \{\{ query\.spend \}\}: .*spend/defs\.yaml: .*attributes\.rawlogs"
    ):
        usable(folder, "SELECT * FROM {{ query.spend }}")


def test_a_raw_log_with_a_name_of_ours_is_refused_where_it_would_be_mistaken(folder: Path) -> None:
    (folder / "logs" / "defs.yaml").write_text(RAW.replace("transactions:", "active:"))
    (folder / "offers" / "defs.yaml").write_text(QUERY.replace("[transactions]", "[active]"))
    assert usable(folder, "SELECT * FROM {{ predictions }}") == []
    with pytest.raises(ConfigError, match=r"\{\{ active \}\} is a raw log of this query and a name of ours"):
        usable(folder, "SELECT * FROM {{ active }}")


def test_what_stands_in_a_comment_is_no_placeholder_and_no_statement(folder: Path) -> None:
    sql = "-- {{ active }}; don't\nSELECT ';', \"a;b\" // {{ x }}\nFROM {{ predictions }} /* ; {{ y }} */ ; -- end;\n;"
    assert usable(folder, sql) == []
    index = DefinitionsIndex(folder)
    assert referred(index.query("offers")) == []
    filled = render(sql, "f.sql", predictions='"P"')
    assert filled == '-- {{ active }}; don\'t\nSELECT \';\', "a;b" // {{ x }}\nFROM "P" /* ; {{ y }} */'


@pytest.mark.parametrize("text", ["SELECT 'it''s -- no comment' AS A", "SELECT $$ a ; ' b $$", "SELECT 'a\\';' AS B"])
def test_quotes_hide_what_is_in_them(text: str) -> None:
    check_sql(text, "f.sql", ())
    assert render(text, "f.sql") == text


def test_a_moment_is_utc_without_a_zone() -> None:
    moment = datetime.fromisoformat("2017-12-01T00:00:00-05:00")
    assert moment_sql(moment) == "CAST('2017-12-01 05:00:00' AS TIMESTAMP_NTZ)"
    assert moment_sql(moment.astimezone(UTC)) == moment_sql(moment)


def test_an_empty_table_has_the_columns_of_task_and_source(folder: Path) -> None:
    definition = DefinitionsIndex(folder).query("offers")
    forms = possible_columns(definition)
    assert [(form["ENTITY"], form["CLASS"]) for form in forms] == [
        ("NUMBER", "NUMBER"),
        ("NUMBER", "VARCHAR"),
        ("VARCHAR", "NUMBER"),
        ("VARCHAR", "VARCHAR"),
    ]
    assert all(form["JOB_TIMESTAMP"] == "TIMESTAMP_NTZ" for form in forms)
    spec = definition.spec.model_copy(update={"task": "binary_classification"})
    binary = possible_columns(type(definition)("q", folder, spec))
    assert {"TRUE_PROB", "FALSE_PROB", "TARGET_PRED"} <= binary[0].keys()
    assert "SCORE" in binary[-1]
    assert served_columns("regression", forms[0]) == {"ENTITY": "NUMBER", "TARGET_PRED": "FLOAT"}
    assert list(served_columns("ranking", forms[0])) == ["ENTITY", "CLASS", "SCORE", "RANK"]
