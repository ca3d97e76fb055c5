"""The Snowflake tables of releases that are over: dropped by name, and found by how their names begin; from the command
line and from Dagster alike."""

from __future__ import annotations

from kumo_assets.resources.snowflake import connect_outside_dagster
from kumo_assets.resources.sql import literal, quote, table


def drop_tables(names: list[str]) -> None:
    """DROP TABLE IF EXISTS each unqualified name in SNOWFLAKE_DATABASE.SNOWFLAKE_SCHEMA. Raises WarehouseError."""
    if not names:
        return
    with connect_outside_dagster() as warehouse:
        for name in names:
            where = table(warehouse.database, warehouse.schema, name)
            warehouse.rows(f"DROP TABLE IF EXISTS {where}", doing=f"drop {name}")


def tables_beginning(begin: str) -> list[str]:
    """The names of the tables in SNOWFLAKE_DATABASE.SNOWFLAKE_SCHEMA that begin so, in this case. Raises WarehouseError."""
    with connect_outside_dagster() as warehouse:
        found = warehouse.rows(
            f"SELECT TABLE_NAME FROM {quote(warehouse.database)}.INFORMATION_SCHEMA.TABLES "  # noqa: S608 - quoted
            f"WHERE TABLE_SCHEMA = {literal(warehouse.schema)} AND LEFT(TABLE_NAME, {len(begin)}) = {literal(begin)}",
            doing=f"list the tables named {begin}...",
        )
    return [str(row["TABLE_NAME"]) for row in found]
