"""Sessions with Snowflake, and the few ways this project talks through one.

`Warehouse` runs statements, fetches small results only, and keeps the time Snowflake took apart from ours. A session is
given up while something else is waited for. How to log in is in `snowflake_settings`, how requests time out in
`snowflake_cursor`. SQL text is built elsewhere (`.sql` files and one builder per statement); identifiers are quoted in
`sql.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from kumo_assets.config.query import NOT_SHOWN
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.redaction import without_secrets
from kumo_assets.resources.query_tag import PLAIN, current_tag
from kumo_assets.resources.snowflake_settings import resource_outside_dagster
from kumo_assets.resources.sql import by_upper_case, in_upper_case, table
from kumo_assets.resources.waiting import Narrator

if TYPE_CHECKING:
    from dagster_snowflake import SnowflakeConnection as ResourceInContext
    from dagster_snowflake import SnowflakeResource
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor
    from snowflake.connector.errors import Error

# More rows than this never belong in Python: counts, samples and previews are all this project fetches.
MOST_ROWS_FETCHED = 50_000

# A result's row by column name. Only the statement knows its types, so a reader converts each value: `int(row["N"])`.
Row: TypeAlias = dict[str, Any]

# "Object does not exist or not authorized": the one error number for a table, schema or database that is not there.
NOT_THERE = 2003
# A result's description names these types after their storage; this is how Snowflake's DDL spells them.
SPELT = {"FIXED": "NUMBER", "REAL": "FLOAT"}


@dataclass(frozen=True)
class Session:
    """One login, and how to give it up: `close` takes whether Snowflake answers; if not, no further request is sent."""

    connection: SnowflakeConnection
    close: Callable[[bool], None]


class Warehouse:
    """One Snowflake session at a time. `seconds` is the time spent waiting for it, `statements` how many were sent.

    `log_in` opens another session once `rest` has given up this one; without it a session is kept to the end. Without
    `show_values` an error about a value of the data is named by its number: Snowflake's text quotes the value.
    """

    def __init__(
        self,
        session: Session | SnowflakeConnection,
        log_in: Callable[[], Session] | None = None,
        narrator: Narrator | None = None,
        *,
        show_values: bool = True,
        tag: str = PLAIN,
    ) -> None:
        first = session if isinstance(session, Session) else Session(session, lambda answers: None)
        self._session: Session | None = first
        self._log_in = log_in
        self._show_values = show_values
        self._parameters = {"QUERY_TAG": tag}
        self._narrator = narrator or Narrator(lambda line: None)
        self.database, self.schema = str(first.connection.database), str(first.connection.schema)
        self.seconds = 0.0
        self.statements = 0
        self._answers = True
        self._columns: dict[tuple[str, str, str], dict[str, str]] = {}

    def rest(self) -> None:
        """Give up the session, before a wait for something else: one that idles through a job of hours may be ended by a
        session policy (5 minutes at least; Snowflake, "Snowflake sessions and session policies"). The next statement
        logs in again."""
        if self._log_in is not None and self._session is not None:
            self._session.close(self._answers)
            self._session = None
            self._columns.clear()

    def _cursor(self) -> SnowflakeCursor:
        from kumo_assets.resources.snowflake_cursor import UnhurriedCursor

        if self._session is None:
            assert self._log_in is not None, "only a warehouse that can log in again gives up its session"
            started = time.perf_counter()
            self._session, self._answers = self._log_in(), True
            self.seconds += time.perf_counter() - started
        return self._session.connection.cursor(UnhurriedCursor)

    def rows(self, sql: str, *, doing: str = "query Snowflake") -> list[Row]:
        """Run one statement and fetch its (small) result.

        Raises WarehouseError with Snowflake's own message and the query id.
        """
        from snowflake.connector.errors import Error

        cursor = self._cursor()
        started = time.perf_counter()
        try:
            with self._narrator.waiting_for(f"Snowflake to {doing}"):
                cursor.execute(sql, _statement_params=self._parameters)
                names = [column[0] for column in cursor.description or ()]
                fetched = cursor.fetchmany(MOST_ROWS_FETCHED)
        except Error as error:
            raise self._failed(doing, error) from self._cause(error)
        finally:
            self._sent(cursor, started)
        return [dict(zip(names, row, strict=True)) for row in fetched]

    def row(self, sql: str, *, doing: str = "query Snowflake") -> Row:
        """The one row of a statement that has exactly one; WarehouseError otherwise."""
        found = self.rows(sql, doing=doing)
        if len(found) != 1:
            raise WarehouseError(
                doing,
                found=f"{len(found)} rows where one was expected",
                next="report this; the statement should aggregate",
            )
        return found[0]

    def columns(self, database: str, schema: str, name: str) -> dict[str, str]:
        """Column name -> SQL type of a table or view, in order; empty when it does not exist, or may not be seen.

        A SELECT is described, which Snowflake compiles and does not run: a query of INFORMATION_SCHEMA takes far longer.
        The answer is cached for the session once the table exists. Types have the names that DESCRIBE gives them.
        """
        key = (database, schema, name)
        if key not in self._columns:
            where = table(database, schema, name)
            found = self._described(f"SELECT * FROM {where}", f"read the columns of {name}", missing=True)  # noqa: S608 - quoted
            if found is None:
                return {}
            self._columns[key] = found
        return self._columns[key]

    def readable(self, database: str, schema: str, name: str) -> tuple[str, dict[str, str]]:
        """(what to select from, column -> SQL type): a table, with every column under its name in upper case; no column
        when there is no such table."""
        columns = self.columns(database, schema, name)
        kinds = {upper: columns[column] for upper, column in by_upper_case(columns).items()}
        return in_upper_case(table(database, schema, name), columns), kinds

    def compiled(self, select: str, *, doing: str) -> dict[str, str]:
        """Column name -> SQL type of what a SELECT returns, in order. Snowflake compiles it and runs nothing.

        `EXPLAIN` compiles and needs no running warehouse (Snowflake, "EXPLAIN"); a description gives the columns. Raises
        WarehouseError with Snowflake's own message.
        """
        whole = f"SELECT * FROM (\n{select}\n)"  # noqa: S608 - the user's own SELECT, whatever its form
        self.rows(f"EXPLAIN {whole}", doing=doing)
        return self._described(whole, doing) or {}

    def _described(self, select: str, doing: str, *, missing: bool = False) -> dict[str, str] | None:
        """Column name -> SQL type of a SELECT's result; None for a table that is not there, where it may be `missing`."""
        from snowflake.connector.constants import FIELD_ID_TO_NAME
        from snowflake.connector.errors import Error

        cursor = self._cursor()
        started = time.perf_counter()
        try:
            with self._narrator.waiting_for(f"Snowflake to {doing}"):
                described = cursor.describe(select, _statement_params=self._parameters)
        except Error as error:
            if missing and error.errno == NOT_THERE:
                return None
            raise self._failed(doing, error) from self._cause(error)
        finally:
            self._sent(cursor, started)
        types = {column.name: str(FIELD_ID_TO_NAME[column.type_code]) for column in described}
        return {column: SPELT.get(kind, kind) for column, kind in types.items()}

    def _cause(self, error: Error) -> Error | None:
        """What an error of ours is raised from: its traceback is in the run's log, with Snowflake's text."""
        return error if self._show_values or not _is_of_data(error) else None

    def _failed(self, doing: str, error: Error) -> WarehouseError:
        from kumo_assets.resources.snowflake_cursor import no_answer

        advice = "fix the SQL or the grant it names, then materialise again"
        if no_answer(error):
            self._answers = False
            advice = "check the network and Snowflake's status page, then materialise again: what was begun is adopted"
        return WarehouseError(
            doing,
            to=f"(Snowflake query {error.sfqid or 'not started'})",
            found=message_of(error) if self._show_values or not _is_of_data(error) else _unquoted(error),
            next=advice,
        )

    def _sent(self, cursor: SnowflakeCursor, started: float) -> None:
        self.seconds += time.perf_counter() - started
        self.statements += 1
        cursor.close()


@contextmanager
def connect(
    snowflake: SnowflakeResource | ResourceInContext, narrator: Narrator | None = None, *, show_values: bool = True
) -> Iterator[Warehouse]:
    """A session from the Dagster resource, as an argument or from `context.resources`. WarehouseError when Snowflake cannot
    be reached or refuses the login. What is waited for is said in the run's log, or to `narrator`. `show_values` is the
    query's `show_entities`."""
    telling = narrator or Narrator(dg.get_dagster_logger().info)
    started = time.perf_counter()
    first = _log_in(snowflake, telling)
    warehouse = Warehouse(
        first, lambda: _log_in(snowflake, telling), telling, show_values=show_values, tag=current_tag()
    )
    warehouse.seconds += time.perf_counter() - started
    try:
        yield warehouse
    finally:
        warehouse.rest()


def connect_outside_dagster() -> AbstractContextManager[Warehouse]:
    """A session by the environment's variables, for code that Dagster does not run. Raises as `connect` does, and
    ConfigError for a variable that is not set."""
    for variable in ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER", "SNOWFLAKE_DATABASE", "SNOWFLAKE_SCHEMA"):
        if not os.environ.get(variable):
            raise ConfigError("log in to Snowflake", found=f"{variable} is not set", next=f"set {variable}")
    return connect(resource_outside_dagster())


def _log_in(snowflake: SnowflakeResource | ResourceInContext, narrator: Narrator) -> Session:
    from snowflake.connector.errors import Error

    from kumo_assets.resources.snowflake_login import advice

    try:
        with narrator.waiting_for("Snowflake to log in"):
            manager = snowflake.get_connection()
            connection = manager.__enter__()
    except Exception as error:
        # Not the connector's errors alone: a key that cannot be read is a ValueError, a missing file an OSError.
        raise WarehouseError("log in to Snowflake", found=message_of(error), next=advice(error)) from error

    def close(answers: bool) -> None:
        # dagster-snowflake commits first, which would wait once more for a Snowflake that is away.
        with suppress(Error):
            if answers:
                manager.__exit__(None, None, None)
            else:
                connection.close(retry=False)

    return Session(connection, close)


def message_of(error: Exception) -> str:
    """Snowflake's message on one line. Secrets are taken out before it is cut, or half of one could stay."""
    message = str(getattr(error, "raw_msg", None) or error) or type(error).__name__
    return " ".join(without_secrets(message).split())[:800]


def _is_of_data(error: Error) -> bool:
    """Whether Snowflake met a value that it could not use: SQLSTATE class 22, "data exception"."""
    return str(error.sqlstate or "").startswith("22")


def _unquoted(error: Error) -> str:
    return f"error {error.errno} (SQLSTATE {error.sqlstate}) about a value of the data, its text {NOT_SHOWN}"


def names_a_conflict(error: WarehouseError) -> bool:
    """Whether Snowflake refused a statement because of another one at the same time, or just before. Its messages are
    not documented word by word: the worst of a wrong answer is a few seconds of looking again."""
    return any(word in error.found.lower() for word in ("conflict", "already exists", "concurrent", "locked"))
