"""No identifier from YAML reaches SQL, an S3 key or a table's name unquoted or out of pattern: whatever text a person writes,
the definition is refused, or every name made of it has the one shape. Fault 22."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.names import QueryNames
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.raw_logs import RawLogsSpec
from kumo_assets.errors import ConfigError
from kumo_assets.resources.sql import literal, quote, table

HOSTILE = [
    'x"; DROP TABLE "RAW', "x' OR '1'='1", "x/../../production", "x;--", "x\n", "x y", "x%00", "../x", "x.y", "x$y", "é", "",
    "{{ predictions }}", "${AWS_SECRET_ACCESS_KEY}", "x`", "x\\", "*", "?x", "x#", "X", "-x", "x" * 300, "0..",
]  # fmt: skip
TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=80),
    st.builds(lambda head, tail: head + tail, st.sampled_from(["prod", "raw", "q1"]), st.sampled_from(HOSTILE)),
)
SAFE_KEY = re.compile(r"[a-z0-9][a-z0-9]*/[a-z][a-z0-9_]*/[A-Za-z0-9_.\-/]+")
SAFE_TABLE = re.compile(r"[a-zA-Z0-9_.\-]{3,255}")
SAFE_SQL = re.compile(r"[A-Z_][A-Z0-9_]{0,254}")
RELEASE = "20171130-1a2b3c4d"


@given(environment=TEXT, query=TEXT, bucket=TEXT)
def test_every_name_made_of_what_was_written_has_the_one_shape(environment: str, query: str, bucket: str) -> None:
    try:
        names = QueryNames(environment=environment, query=query, bucket=bucket)
    except ConfigError:
        return
    for key in (names.pointer_key, names.pointer_text_key, names.ledger_prefix, names.release_prefix(RELEASE)):
        assert SAFE_KEY.fullmatch(key)
        assert ".." not in key
        assert key.count("/") == key.strip("/").count("/") + key.endswith("/")
    assert SAFE_TABLE.fullmatch(names.dynamodb_table(RELEASE))
    assert SAFE_SQL.fullmatch(names.warehouse_table(RELEASE, "predictions"))
    assert re.fullmatch(r"/kumo_assets/[a-z0-9]+/[a-z0-9_]+/active", names.znode)


@given(release=TEXT)
def test_no_text_but_a_release_id_names_a_releases_artefacts(release: str) -> None:
    names = QueryNames(environment="local", query="shop", bucket="a-bucket")
    makers: list[Callable[[str], str]] = [
        names.release_prefix,
        names.export_prefix,
        names.dynamodb_table,
        lambda text: names.warehouse_table(text, "predictions"),
    ]
    for make in makers:
        if re.fullmatch(r"\d{8}-[0-9a-f]{8}", release):
            continue
        with pytest.raises(ConfigError):
            make(release)


@given(parts=st.lists(TEXT, min_size=3, max_size=3))
def test_an_identifier_in_sql_is_one_quoted_identifier_or_refused(parts: list[str]) -> None:
    try:
        text = table(*parts)
    except ConfigError:
        assert not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", part) and len(part) <= 255 for part in parts)
        return
    assert text == ".".join(f'"{part}"' for part in parts)
    assert text.count('"') == 6
    assert quote(parts[0]) == f'"{parts[0]}"'


@given(text=st.text())
def test_a_literal_never_ends_before_its_last_quote(text: str) -> None:
    body = literal(text)[1:-1]
    # Take away what Snowflake reads as one character of a string; no quote may be left.
    assert "'" not in re.sub(r"\\\\|''", "", body)


FIELDS: list[tuple[str, ...]] = [
    ("source", "kumo", "predictive_query_id"),
    ("pointer", "store"),
    ("schedule", "time_zone"),
    ("schedule", "at"),
    ("export", "format"),
]


@given(value=TEXT)
@pytest.mark.parametrize("field", FIELDS, ids=".".join)
def test_a_field_that_becomes_part_of_a_name_or_a_statement_keeps_its_pattern(
    field: tuple[str, ...], value: str
) -> None:
    document: dict[str, Any] = {
        "owners": ["team:x"],
        "raw_logs": ["transactions"],
        "source": {"kumo": {"predictive_query_id": "q", "connector": "c"}},
        "schedule": {"start": "2017-11-01"},
    }
    inner = document
    for part in field[:-1]:
        inner = inner.setdefault(part, {})
    inner[field[-1]] = value
    try:
        found = PredictiveQuerySpec.model_validate(document)
    except ValidationError:
        return
    kept: Any = found
    for part in field:
        kept = getattr(kept, part)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+:/-]*", str(kept))
    assert ".." not in str(kept)


def raw_logs(named: dict[str, str]) -> RawLogsSpec:
    kafka = {
        "landing_table": named["landing"],
        "columns": {named["view column"]: {"path": "basket.id", "type": "NUMBER"}},
    }
    columns = {named["view column"], named["column"]}
    kafka["columns"] = {name: {"path": "basket.id", "type": "TIMESTAMP_NTZ"} for name in columns}
    tables = {named["asset"]: {"table": named["table"], "event_time": named["column"], "kafka": kafka}}
    return RawLogsSpec.model_validate({"database": named["database"], "schema": named["schema"], "tables": tables})


PLAIN = {"database": "D", "schema": "S", "table": "T", "column": "C", "landing": "L", "view column": "V", "asset": "a"}


def test_raw_logs_take_plain_identifiers() -> None:
    raw_logs(PLAIN)


@given(value=TEXT, place=st.sampled_from(sorted(PLAIN)))
def test_raw_logs_take_nothing_but_plain_identifiers(value: str, place: str) -> None:
    try:
        raw_logs({**PLAIN, place: value})
    except ValidationError:
        return
    if place == "asset":
        return  # the key of a Dagster asset; no SQL is made of it
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]{0,254}", value):
        with pytest.raises(ConfigError):
            quote(value)  # what the statement is built with is the second lock
        assert place == "view column", "the definition should have been refused"


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "A", "1a", "a-b"])
def test_a_folder_of_another_shape_is_no_query(tmp_path: Path, name: str) -> None:
    """A query's name is its folder's, so a folder's name is checked where names are made."""
    shipped = Path(__file__).parents[2] / "kumo_assets" / "defs" / "next_best_product" / "defs.yaml"
    folder = tmp_path / "defs" / name
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(shipped.read_text())
    try:
        found = DefinitionsIndex(tmp_path / "defs").query(name).name
    except ConfigError:
        return
    with pytest.raises(ConfigError):
        QueryNames(environment="local", query=found, bucket="a-bucket")
