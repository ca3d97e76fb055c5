"""The text of a view as Snowflake keeps it: the statement that made it, word by word, in the `text` of SHOW VIEWS. fakesnow
shows DuckDB's rendering of it. Kept for as long as the server runs; a view from before shows DuckDB's again.
"""

from __future__ import annotations

import threading
from typing import Any

from fakesnow.transforms.show import SQL_CREATE_VIEW_SHOW_VIEWS
from sqlglot import Expr, exp

_LOCK = threading.Lock()
_PLACE = "_fs_global._fs_information_schema"
_TABLE = f"""
CREATE TABLE IF NOT EXISTS {_PLACE}._view_texts (
    place_database VARCHAR, place_schema VARCHAR, place_name VARCHAR, statement VARCHAR,
    PRIMARY KEY (place_database, place_schema, place_name)
)
"""


def install(duckdb: Any) -> None:
    """Let SHOW VIEWS answer with the texts that `remember` keeps."""
    duckdb.execute(_TABLE)
    shown = SQL_CREATE_VIEW_SHOW_VIEWS.replace("create view if not exists", "create or replace view")
    for old, new in (
        ("view_definition as text", "coalesce(statement, view_definition) as text"),
        (
            "from information_schema.views",
            f"from information_schema.views left join {_PLACE}._view_texts "
            "on table_catalog = place_database and table_schema = place_schema and table_name = place_name",
        ),
    ):
        assert old in shown, f"fakesnow's SHOW VIEWS has changed: no {old!r}"
        shown = shown.replace(old, new)
    duckdb.execute(shown)


def remember(duckdb: Any, expression: Expr, command: str, database: str, schema: str) -> None:
    """Keep the text of a statement that has just made a view; nothing for any other statement."""
    if not isinstance(expression, exp.Create) or expression.kind != "VIEW":
        return
    view = expression.this if isinstance(expression.this, exp.Table) else expression.this.this
    place = (view.catalog or database, view.db or schema, view.name)
    with _LOCK, duckdb.cursor() as own:
        # A connection of its own: DuckDB writes to one database a transaction, and the session may be in one.
        own.execute(f"INSERT OR REPLACE INTO {_PLACE}._view_texts VALUES (?, ?, ?, ?)", [*place, command])
