"""No identifier reaches SQL unquoted or out of pattern; no literal ends early."""

from __future__ import annotations

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from kumo_assets.errors import ConfigError
from kumo_assets.resources.sql import literal, quote, table


@given(st.text(max_size=40))
def test_an_identifier_is_quoted_whole_or_refused(name: str) -> None:
    try:
        quoted = quote(name)
    except ConfigError:
        return
    assert quoted == f'"{name}"'
    assert '"' not in name
    assert ";" not in name


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40))
def test_a_literal_is_one_string_to_a_snowflake_parser(text: str) -> None:
    parsed = sqlglot.parse_one(f"SELECT {literal(text)}", dialect="snowflake")
    assert len(parsed.expressions) == 1
    assert parsed.expressions[0].is_string
    assert parsed.expressions[0].this == text


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "1a", "a;b", "a.b", "é"])
def test_what_is_no_plain_identifier_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        table("DB", "PUBLIC", name)
