"""Names that Snowflake has in another case than the one asked for: quoted identifiers are case-sensitive there.

Only for messages: a name is never corrected here. Quoting is in `sql`, and what a session can do in `snowflake`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kumo_assets.errors import WarehouseError
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, quote


def tables_alike(warehouse: Warehouse, database: str, schema: str, name: str) -> list[str]:
    """`DATABASE.SCHEMA.TABLE` of every table or view whose name differs in case alone; empty when there is none, or none
    may be seen."""
    found = []
    for place in _databases_alike(warehouse, database):
        try:
            rows = warehouse.rows(
                f"SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM {quote(place)}.INFORMATION_SCHEMA.COLUMNS "  # noqa: S608
                f"WHERE UPPER(TABLE_SCHEMA) = {literal(schema.upper())} AND UPPER(TABLE_NAME) = {literal(name.upper())}",
                doing=f"look for {schema}.{name} in another case",
            )
        except WarehouseError:
            continue
        found += [f"{place}.{row['TABLE_SCHEMA']}.{row['TABLE_NAME']}" for row in rows]
    return sorted(one for one in found if one != f"{database}.{schema}.{name}")


def alike(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that differs from this one in case alone."""
    return next((other for other in names if other != name and other.upper() == name.upper()), None)


def _databases_alike(warehouse: Warehouse, database: str) -> list[str]:
    try:
        rows = warehouse.rows(
            "SELECT DATABASE_NAME FROM INFORMATION_SCHEMA.DATABASES "  # noqa: S608 - a literal
            f"WHERE UPPER(DATABASE_NAME) = {literal(database.upper())}",
            doing=f"look for {database} in another case",
        )
    except WarehouseError:
        return [database]
    return [str(row["DATABASE_NAME"]) for row in rows]
