"""A query's own `postprocess.sql`: what its placeholders may be, what they stand for in a release, and the text to run.

The placeholders are checked when definitions load, without network. Which table of another release a name stands for is
decided in `releases.references`; whether Snowflake compiles the text is tried in `postprocess_trial`. docs/sql.md says all
of it for users.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date

from kumo_assets.assets.keys import anchor_time
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.releases.references import ACTIVE
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, moment_sql, quote, table
from kumo_assets.resources.template import check_sql, placeholders, read_sql, render

FILE = "postprocess.sql"
OTHER = "query."
# As of 0.1, and since. A raw log of the same name is not at hand under it.
FIRST = ("predictions", "top_k", "database", "schema")
OURS = (*FIRST, "partition", "anchor", ACTIVE)


def has_file(definition: QueryDefinition) -> bool:
    return (definition.folder / FILE).is_file()


def referred(definition: QueryDefinition) -> list[str]:
    """The names in the query's file that mean a table of another release: `active`, `query.<name>`; sorted."""
    if not has_file(definition):
        return []
    names = placeholders(read_sql(definition.folder / FILE))
    return sorted(name for name in names if name == ACTIVE or name.startswith(OTHER))


def queries_named(definition: QueryDefinition) -> list[str]:
    """The other queries whose active tables the file asks for."""
    return [name.removeprefix(OTHER) for name in referred(definition) if name.startswith(OTHER)]


def query_meant(definition: QueryDefinition, name: str, others: Mapping[str, QueryDefinition]) -> QueryDefinition:
    """The query whose active release a placeholder means. ConfigError for one that was written after the definitions were
    loaded."""
    if name == ACTIVE:
        return definition
    if name.removeprefix(OTHER) in others:
        return others[name.removeprefix(OTHER)]
    raise ConfigError(
        "fill in the SQL file",
        to=str(definition.folder / FILE),
        found=f"{{{{ {name} }}}} was not there when the definitions were loaded",
        next="reload the code location; it refuses a query that does not exist",
    )


def check_file(definition: QueryDefinition) -> str:
    """The file's text, "" when there is none. ConfigError for one with an unknown or ambiguous placeholder, several
    statements, or nothing in it."""
    if not has_file(definition):
        return ""
    path = definition.folder / FILE
    text = read_sql(path)
    names = placeholders(text)
    others = {name for name in names if name.startswith(OTHER)}
    check_sql(text, str(path), {*OURS, *definition.spec.raw_logs, *others})
    twice = sorted((set(OURS) - set(FIRST)) & set(definition.spec.raw_logs) & names)
    if twice:
        raise ConfigError(
            "fill in the SQL file",
            to=str(path),
            found=f"{{{{ {twice[0]} }}}} is a raw log of this query and a name of ours",
            next="rename the raw log in its RawLogs definition",
        )
    if f"{OTHER}{definition.name}" in others:
        raise ConfigError(
            "fill in the SQL file",
            to=str(path),
            found=f"{{{{ {OTHER}{definition.name} }}}} is this query",
            next=f"write {{{{ {ACTIVE} }}}} for its active release's table",
        )
    return text


def fixed_values(
    definition: QueryDefinition, sources: Mapping[str, RawSource], partition: str, warehouse: Warehouse
) -> dict[str, str]:
    """The values that are the same for every release of a partition: all but tables of releases."""
    anchor = anchor_time(date.fromisoformat(partition), definition.spec.schedule.time_zone)
    return {
        **raw_values(sources, warehouse),
        "top_k": str(definition.spec.top_k),
        "database": quote(warehouse.database),
        "schema": quote(warehouse.schema),
        "partition": literal(partition),
        "anchor": moment_sql(anchor),
    }


def raw_values(sources: Mapping[str, RawSource], warehouse: Warehouse) -> dict[str, str]:
    """Raw log -> its quoted table; a log that has none is not among them."""
    return {
        name: table(source.database or warehouse.database, source.schema, source.table.table)
        for name, source in sources.items()
        if source.table.table
    }


def user_sql(definition: QueryDefinition, values: Mapping[str, str]) -> str:
    """The user's SELECT with every placeholder filled in. ConfigError as of `check_file`."""
    return render(check_file(definition), str(definition.folder / FILE), **values)


def served_columns(task: str, keys: Mapping[str, str]) -> dict[str, str]:
    """Column -> SQL type of the table that a query of this task serves. `keys` are the types of ENTITY and CLASS."""
    if task == "regression":
        return {"ENTITY": keys.get("ENTITY", "VARCHAR"), "TARGET_PRED": "FLOAT"}
    return {
        "ENTITY": keys.get("ENTITY", "VARCHAR"),
        "CLASS": keys.get("CLASS", "VARCHAR"),
        "SCORE": "FLOAT",
        "RANK": "NUMBER",
    }


@contextmanager
def empty_tables(warehouse: Warehouse, columns: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Name -> quoted table of no rows that has these columns (column -> SQL type), for the session's own schema.

    They are temporary: no other session sees them, and Snowflake drops them with this one at the latest.
    """
    mark = secrets.token_hex(4)
    made: dict[str, str] = {}
    try:
        for number, (name, types) in enumerate(sorted(columns.items())):
            where = quote(f"KUMO_ASSETS_EMPTY_{mark}_{number}".upper())
            listed = ", ".join(f"{quote(column)} {kind}" for column, kind in types.items())
            warehouse.rows(f"CREATE TEMPORARY TABLE {where} ({listed})", doing=f"make an empty table for {name}")
            made[name] = where
        yield made
    finally:
        for name, where in made.items():
            _drop(warehouse, where, name)


def _drop(warehouse: Warehouse, where: str, name: str) -> None:
    with suppress(WarehouseError):  # it goes with the session, and this must not hide what went wrong before
        warehouse.rows(f"DROP TABLE IF EXISTS {where}", doing=f"drop the empty table for {name}")
