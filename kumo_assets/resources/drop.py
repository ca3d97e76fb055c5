"""Dropping a retired release's Snowflake tables, from the command line and from Dagster alike."""

from __future__ import annotations

from kumo_assets.resources.snowflake import connect_outside_dagster
from kumo_assets.resources.sql import table


def drop_tables(names: list[str]) -> None:
    """DROP TABLE IF EXISTS each unqualified name in SNOWFLAKE_DATABASE.SNOWFLAKE_SCHEMA. Raises WarehouseError."""
    if not names:
        return
    with connect_outside_dagster() as warehouse:
        for name in names:
            where = table(warehouse.database, warehouse.schema, name)
            warehouse.rows(f"DROP TABLE IF EXISTS {where}", doing=f"drop {name}")
