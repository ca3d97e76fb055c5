"""A RawLogs definition of any place: what each `freshness_from` needs, and what it would ignore and therefore refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from kumo_assets.assets.definition_check import demand_usable
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.raw_logs import RawLogsSpec
from kumo_assets.errors import ConfigError
from kumo_assets_tests.support.definitions import QUERY, RAW

S3 = "{freshness_from: s3, location: 's3://logs/clicks/', event_time: event.at}"
FUNCTION = "{freshness_from: 'my_project.clocks:newest', function_seconds: 5}"


def project(folder: Path, table: str, head: str = "", query: str = QUERY) -> DefinitionsIndex:
    text = RAW.replace("  schema: RAW\n", head).replace("{table: TRANSACTIONS, event_time: AT}", table)
    for name, content in {"logs": text, "query": query}.items():
        (folder / name).mkdir()
        (folder / name / "defs.yaml").write_text(content)
    return DefinitionsIndex(folder)


@pytest.mark.parametrize(
    ("table", "stream"),
    [
        (S3, True),
        (FUNCTION, True),
        ("{freshness_from: none}", False),
        (S3.replace(", event_time: event.at", ""), False),
    ],
)
def test_logs_outside_snowflake_need_neither_table_nor_schema(tmp_path: Path, table: str, stream: bool) -> None:
    index = project(tmp_path, table)
    usable = demand_usable(index, index.query("query"))
    raw = usable.sources["transactions"].table
    assert (raw.counted, raw.is_stream) == (False, stream)


def test_who_says_how_far_a_snowflake_table_reaches_may_be_somebody_else() -> None:
    table = {"table": "CLICKS", "freshness_from": "clocks:newest"}
    assert RawLogsSpec.model_validate({"schema": "RAW", "tables": {"clicks": table}}).tables["clicks"].is_stream


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            "{freshness_from: kafka}",
            "freshness_from: 'kafka' is none of snowflake, s3, none and package.module:function",
        ),
        ("{freshness_from: 'my project:newest'}", "is not package.module:function"),
        ("{freshness_from: 'a:b:c'}", "is not package.module:function"),
        ("{freshness_from: s3}", "location: needed with freshness_from: s3"),
        ("{}", "table: needed with freshness_from: snowflake"),
        ("{table: CLICKS}", "schema: needed, because transactions is a Snowflake table"),
        ("{freshness_from: s3, location: 'https://logs/x'}", r"location: String should match pattern"),
        ("{freshness_from: s3, location: 's3://logs/%H/'}", "location: %H is no date code"),
        (S3.replace("}", ", min_rows: 5}"), "min_rows: says nothing with freshness_from: s3"),
        (S3.replace("}", ", table: CLICKS}"), "table: says nothing with freshness_from: s3"),
        ("{freshness_from: 'a:b', event_time: AT}", "event_time: says nothing with freshness_from: a:b"),
        ("{table: CLICKS, location: 's3://logs/x'}", "location: says nothing with freshness_from: snowflake"),
        ("{table: CLICKS, event_time: event.at}", "event_time: 'event.at' is no column name"),
    ],
)
def test_a_field_that_is_missing_or_would_be_ignored_is_named(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"logs/defs\.yaml: .*{words}"):
        project(tmp_path, table).raw_logs()


@pytest.mark.parametrize("file", ["preprocess.sql", "postprocess.sql", "outcomes.sql"])
def test_sql_that_names_a_log_without_a_table_is_refused_when_it_is_loaded(tmp_path: Path, file: str) -> None:
    index = project(tmp_path, S3)
    (tmp_path / "query" / file).write_text("SELECT * FROM {{ transactions }}")
    with pytest.raises(ConfigError, match=rf"query/{file}: .*transactions.* outside Snowflake"):
        demand_usable(index, index.query("query"))


def test_outcomes_are_not_read_from_a_log_without_a_table(tmp_path: Path) -> None:
    events = "  outcomes: {events: {log: transactions, entity: USER, class: ITEM}}\n"
    index = project(tmp_path, S3, query=QUERY + events)
    with pytest.raises(ConfigError, match=r"outcomes\.events\.log names transactions, which is outside Snowflake"):
        demand_usable(index, index.query("query"))


def test_drift_of_a_log_whose_rows_are_not_counted_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    gates = "  gates: {raw_drift: {columns: {transactions: [PRICE]}}}\n"
    index = project(tmp_path, S3, query=QUERY + gates)
    with pytest.raises(ConfigError, match="raw_drift names transactions, whose rows are not read in Snowflake"):
        demand_usable(index, index.query("query"))
