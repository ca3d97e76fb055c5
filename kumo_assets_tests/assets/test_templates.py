"""SQL files: unknown placeholders and empty files are errors that name the file."""

from __future__ import annotations

import pytest

from kumo_assets.assets.templates import render
from kumo_assets.errors import ConfigError


def test_placeholders_are_filled_and_the_semicolon_dropped() -> None:
    assert render("SELECT * FROM {{predictions}} ;\n", "f.sql", predictions='"T"') == 'SELECT * FROM "T"'


def test_an_unknown_placeholder_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"f\.sql.*\{\{ prediction \}\}.*\{\{ predictions \}\}"):
        render("SELECT * FROM {{ prediction }}", "f.sql", predictions="T")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        render("  \n", "f.sql")
