"""The query tag of a statement, and tables without fail-safe."""

from __future__ import annotations

import json
from typing import Any

from kumo_assets.resources.creating import create_once
from kumo_assets.resources.query_tag import MOST_CHARACTERS, PLAIN, current_tag, tag_of

RUN = "1a2b3c4d-0000-0000-0000-000000000000"


def test_a_tag_names_query_asset_release_and_run() -> None:
    found = json.loads(tag_of(["shop", "s3_export"], "2017-11-30", RUN, "r2"))
    assert found == {
        "app": "kumo_assets",
        "query": "shop",
        "asset": "s3_export",
        "run": "r2",
        "release": "20171130-1a2b3c4d",
    }


def test_what_is_of_no_release_has_a_tag_all_the_same() -> None:
    assert "release" not in json.loads(tag_of(["raw", "transactions"], "", RUN, RUN))
    assert "release" not in json.loads(tag_of(["shop", "x"], "a|b", RUN, RUN))
    assert tag_of(["q" * MOST_CHARACTERS, "x"], "", RUN, RUN) == PLAIN
    assert current_tag() == PLAIN


def test_tables_that_can_be_made_again_are_transient() -> None:
    class Said:
        """A warehouse that takes every statement."""

        database, schema = "D", "S"
        statements: list[str] = []  # noqa: RUF012 - of this test alone

        def rows(self, sql: str, *, doing: str) -> list[Any]:
            self.statements.append(sql)
            return []

    said: Any = Said()
    assert create_once(said, "T", "SELECT 1 AS A", doing="make it") is False
    assert said.statements == ['CREATE TRANSIENT TABLE "D"."S"."T" AS\nSELECT 1 AS A']
