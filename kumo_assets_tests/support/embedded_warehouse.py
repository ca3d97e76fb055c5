"""A Snowflake inside this process: fakesnow's DuckDB without its server, for tests of SQL in milliseconds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fakesnow.instance

from kumo_assets.resources.snowflake import Warehouse


@dataclass
class Embedded:
    """A database of its own, tables to put rows into, and every statement that was sent through `warehouse`."""

    connection: Any
    sent: list[str] = field(default_factory=list)

    @property
    def warehouse(self) -> Warehouse:
        """A session as the assets have it."""
        return _Recording(self.connection, self.sent)

    def put(self, columns: dict[str, str], rows: Sequence[Sequence[Any]], name: str = "") -> str:
        """A new table with these rows; its name."""
        name = name or f"T_{uuid.uuid4().hex[:12].upper()}"
        self.run(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})")
        for at in range(0, len(rows), 5000):
            values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows[at : at + 5000])
            self.run(f"INSERT INTO {name} VALUES {values}")
        return name

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall())


class _Recording(Warehouse):
    """Nothing is replaced: each statement is written down and sent."""

    def __init__(self, connection: Any, sent: list[str]) -> None:
        super().__init__(connection)
        self.sent = sent

    def _cursor(self) -> Any:
        # fakesnow's connection knows no cursor class; the class of ours only changes waiting and time-outs.
        return self._session.connection.cursor() if self._session is not None else super()._cursor()

    def rows(self, sql: str, *, doing: str = "query Snowflake") -> list[dict[str, Any]]:
        self.sent.append(sql)
        return super().rows(sql, doing=doing)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


@contextmanager
def embedded() -> Iterator[Embedded]:
    """An empty database KUMO with the schema PUBLIC."""
    with fakesnow.instance.FakeSnow().connect("KUMO", "PUBLIC") as connection:
        yield Embedded(connection)
