"""`preprocess.sql`: a query's own view over its raw logs, made from the file in its folder, for Kumo to ingest.

One SELECT; `{{ transactions }}` stands for the raw log of that name. The view carries environment and query in its name
and says what the file says each time `kumo-assets train` runs. No Dagster here.
"""

from __future__ import annotations

from collections.abc import Mapping

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.names import QueryNames
from kumo_assets.errors import WarehouseError
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table
from kumo_assets.resources.sql_values import raw_values
from kumo_assets.resources.template import check_sql, read_sql, render
from kumo_assets.resources.views import ensure_view

FILE = "preprocess.sql"


def view_name(names: QueryNames) -> str:
    """Unqualified, upper case: the view lies where the connector of SNOWFLAKE_DATABASE.SNOWFLAKE_SCHEMA looks."""
    return f"KUMO_{names.environment}_{names.query}_INPUT".upper()


def has_view(definition: QueryDefinition) -> bool:
    return (definition.folder / FILE).is_file()


def check_file(definition: QueryDefinition) -> None:
    """ConfigError for a file with an unknown placeholder, several statements, or nothing in it. No network."""
    if has_view(definition):
        file = definition.folder / FILE
        check_sql(read_sql(file), str(file), definition.spec.raw_logs)


def create_view(
    definition: QueryDefinition, sources: Mapping[str, RawSource], warehouse: Warehouse, names: QueryNames
) -> tuple[str, dict[str, str]]:
    """(name, columns by SQL type) of the view over the query's raw logs. It is made, or replaced in one statement where it
    says something else; grants on it are kept, and otherwise all that is set on it.

    ConfigError for an unknown placeholder, WarehouseError with Snowflake's words for SQL it does not take.
    """
    file = definition.folder / FILE
    select = render(read_sql(file), str(file), **raw_values(sources, warehouse))
    name = view_name(names)
    where = table(warehouse.database, warehouse.schema, name)
    ensure_view(warehouse, warehouse.database, warehouse.schema, name, select, doing=f"make the view {name}")
    # A view's SQL is only half checked until it is read.
    warehouse.rows(f"SELECT * FROM {where} LIMIT 0", doing=f"read the view {name}")  # noqa: S608 - quoted
    columns = warehouse.columns(warehouse.database, warehouse.schema, name)
    if not columns:
        raise WarehouseError(
            "make the view", to=name, found="it is not there afterwards", next="check the grants of SNOWFLAKE_ROLE"
        )
    return name, columns
