"""One view that says what a SELECT says: made or replaced only when it says something else. What is selected is the
caller's business.

`CREATE OR REPLACE VIEW` drops what others hung on a view: tags, masking, row access and aggregation policies, its comment,
change tracking, and streams on it. `COPY GRANTS` keeps the grants alone (Snowflake, "CREATE VIEW"). So a view is left alone as
long as its text is ours.
"""

from __future__ import annotations

import time

from kumo_assets.errors import WarehouseError
from kumo_assets.resources.snowflake import Warehouse, names_a_conflict
from kumo_assets.resources.sql import literal, quote, table

# Tries to replace a view that another run is replacing, a second apart.
TRIES = 3


def ensure_view(warehouse: Warehouse, database: str, schema: str, name: str, select: str, *, doing: str) -> bool:
    """Make or replace the view, in one statement, unless its text already ends in `select`; whether that was necessary.

    Text is compared, and not a fingerprint in the view's comment: a view that a person replaced by an edited copy of its
    own DDL keeps the comment, and a comment belongs to people. Raises WarehouseError.
    """
    body = f" AS\n{_normal(select)}"
    statement = f"CREATE OR REPLACE VIEW {table(database, schema, name)} COPY GRANTS{body}"
    for left in reversed(range(TRIES)):
        if _normal(_text_of(warehouse, database, schema, name)).endswith(body):
            return False
        try:
            warehouse.rows(statement, doing=doing)
            return True
        except WarehouseError as error:  # another run replaces the view at the same time, by the same definition
            if not left or not names_a_conflict(error):
                raise
            time.sleep(1)
    raise AssertionError("the last try returns or raises")


def _text_of(warehouse: Warehouse, database: str, schema: str, name: str) -> str:
    """The statement that made the view, which Snowflake keeps as it was sent (SHOW VIEWS, `text`); "" for no view, or of
    one that this role does not own. Needs no running warehouse."""
    listed = warehouse.rows(
        f"SHOW VIEWS LIKE {literal(name)} IN SCHEMA {quote(database)}.{quote(schema)}",
        doing=f"look for the view {name}",
    )
    # LIKE ignores case, and takes `_` for any character.
    return next((str(row["text"] or "") for row in listed if row["name"] == name), "")


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").strip().rstrip(";").rstrip()
