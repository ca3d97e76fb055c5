"""Snowflake: the dagster-snowflake resource made from the environment, and the few ways this project talks through it.

`Warehouse` runs statements, fetches small results only, and keeps the time Snowflake took apart from ours. A session is
given up while something else is waited for. How requests time out is in `snowflake_cursor`. SQL text is built elsewhere
(`.sql` files and one builder per statement); identifiers are quoted in `sql.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.redaction import holds_a_secret, without_secrets
from kumo_assets.resources.sql import in_upper_case, table
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

# A request whose answer does not come is sent again for so long, in seconds; then the statement fails. A statement that
# runs for hours is no such request: Snowflake answers every 45 s that it is still in progress. The connector's own default
# is for ever.
NETWORK_SECONDS = 300
# Reading one answer, in seconds (the connector's own default).
SOCKET_SECONDS = 60

# "Object does not exist or not authorized": the one error number for a table, schema or database that is not there.
NOT_THERE = 2003
# A result's description names these types after their storage; this is how Snowflake's DDL spells them.
SPELT = {"FIXED": "NUMBER", "REAL": "FLOAT"}

# Parameters of our own sessions, whatever an account or a user sets, because each changes what our SQL means
# (Snowflake, "Parameters"): names quoted in lower case would become upper case, text would be read as timestamps by
# another format, and timestamps without an offset would be in another time zone. A view is also read by other people's
# sessions, so the views of `assets/raw.py` rely on none of them.
SESSION = {
    "QUERY_TAG": "kumo_assets",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "TIMEZONE": "UTC",
}


# Ways to log in that need a token, by SNOWFLAKE_AUTHENTICATOR (Snowflake, "Python connector: authentication").
TOKEN_AUTHENTICATORS = ("OAUTH", "PROGRAMMATIC_ACCESS_TOKEN")


def snowflake_resource(environ: Mapping[str, str] | None = None) -> SnowflakeResource:
    """dagster-snowflake's resource with each SNOWFLAKE_* variable that is set, as `EnvVar`: no secret is read here.

    SNOWFLAKE_HOST, _PORT and _PROTOCOL (the sandbox, or a private link) are passed to the connector as they are. Raises
    ConfigError where the variables contradict each other, or one holds a key that should name its file.
    """
    from kumo_assets.resources.snowflake_login import SnowflakeWithToken

    source = os.environ if environ is None else environ
    if holds_a_secret(source.get("SNOWFLAKE_PRIVATE_KEY_PATH") or "/"):
        raise ConfigError(
            "log in to Snowflake",
            found="SNOWFLAKE_PRIVATE_KEY_PATH holds no path but something that looks like the key itself",
            next="put the key into SNOWFLAKE_PRIVATE_KEY, or the path of its file into SNOWFLAKE_PRIVATE_KEY_PATH",
        )
    optional = {
        "password": "SNOWFLAKE_PASSWORD",
        "private_key": "SNOWFLAKE_PRIVATE_KEY",
        "private_key_path": "SNOWFLAKE_PRIVATE_KEY_PATH",
        "private_key_password": "SNOWFLAKE_PRIVATE_KEY_PASSWORD",
        "role": "SNOWFLAKE_ROLE",
        "warehouse": "SNOWFLAKE_WAREHOUSE",
        "database": "SNOWFLAKE_DATABASE",
        "schema": "SNOWFLAKE_SCHEMA",
        "authenticator": "SNOWFLAKE_AUTHENTICATOR",
        "token": "SNOWFLAKE_TOKEN",
        "token_file_path": "SNOWFLAKE_TOKEN_FILE_PATH",
        "workload_identity_provider": "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER",
    }
    fields: dict[str, Any] = {name: dg.EnvVar(variable) for name, variable in optional.items() if source.get(variable)}
    extra: dict[str, object] = {
        "session_parameters": dict(SESSION),
        # At each login connector 4 asks clouds' metadata addresses and AWS STS where it runs, for its telemetry: up to
        # 0.6 s, four times a day's run (snowflake/connector/platform_detection.py; measured 0.72 s against 0.07 s).
        "platform_detection_timeout_seconds": 0.0,
        "socket_timeout": SOCKET_SECONDS,
    }
    for name in ("host", "protocol"):
        if source.get(f"SNOWFLAKE_{name.upper()}"):
            extra[name] = source[f"SNOWFLAKE_{name.upper()}"]
    if source.get("SNOWFLAKE_PORT"):
        extra["port"] = int(source["SNOWFLAKE_PORT"])
    secrets = [name for name in ("password", "private_key", "private_key_path") if name in fields]
    if len(secrets) > 1:
        raise ConfigError(
            "log in to Snowflake",
            found=f"{' and '.join(optional[name] for name in secrets)} are set",
            next="keep one: a key pair for a service, a password for a laptop's sandbox",
        )
    authenticator = source.get("SNOWFLAKE_AUTHENTICATOR", "").upper()
    tokens = [name for name in ("token", "token_file_path") if name in fields]
    if tokens and not authenticator and not secrets:
        raise ConfigError(
            "log in to Snowflake",
            found=f"{optional[tokens[0]]} is set, and SNOWFLAKE_AUTHENTICATOR does not say what kind of token it is",
            next=f"set SNOWFLAKE_AUTHENTICATOR to one of: {', '.join(TOKEN_AUTHENTICATORS)}, WORKLOAD_IDENTITY",
        )
    if authenticator in TOKEN_AUTHENTICATORS and not tokens:
        # An unset variable fails at run time with its name; without it the connector would send an empty token.
        fields["token"] = dg.EnvVar("SNOWFLAKE_TOKEN")
    if not secrets and not authenticator:
        # dagster-snowflake insists on one of them; an unset variable then fails at run time with its name.
        fields["password"] = dg.EnvVar("SNOWFLAKE_PASSWORD")
    return SnowflakeWithToken(
        account=dg.EnvVar("SNOWFLAKE_ACCOUNT"),
        user=dg.EnvVar("SNOWFLAKE_USER"),
        login_timeout=30,
        network_timeout=NETWORK_SECONDS,
        additional_snowflake_connection_args=extra,
        **fields,
    )


@dataclass(frozen=True)
class Session:
    """One login, and how to give it up: `close` takes whether Snowflake answers; if not, no further request is sent."""

    connection: SnowflakeConnection
    close: Callable[[bool], None]


class Warehouse:
    """One Snowflake session at a time. `seconds` is the time spent waiting for it, `statements` how many were sent.

    `log_in` opens another session once `rest` has given up this one; without it a session is kept to the end.
    """

    def __init__(
        self,
        session: Session | SnowflakeConnection,
        log_in: Callable[[], Session] | None = None,
        narrator: Narrator | None = None,
    ) -> None:
        first = session if isinstance(session, Session) else Session(session, lambda answers: None)
        self._session: Session | None = first
        self._log_in = log_in
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
                cursor.execute(sql)
                names = [column[0] for column in cursor.description or ()]
                fetched = cursor.fetchmany(MOST_ROWS_FETCHED)
        except Error as error:
            raise self._failed(doing, error) from error
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
        kinds = {column.upper(): kind for column, kind in columns.items()}
        return in_upper_case(table(database, schema, name), columns), kinds | {
            column: kind for column, kind in columns.items() if column.isupper()
        }

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
                described = cursor.describe(select)
        except Error as error:
            if missing and error.errno == NOT_THERE:
                return None
            raise self._failed(doing, error) from error
        finally:
            self._sent(cursor, started)
        types = {column.name: str(FIELD_ID_TO_NAME[column.type_code]) for column in described}
        return {column: SPELT.get(kind, kind) for column, kind in types.items()}

    def _failed(self, doing: str, error: Error) -> WarehouseError:
        from kumo_assets.resources.snowflake_cursor import no_answer

        advice = "fix the SQL or the grant it names, then materialise again"
        if no_answer(error):
            self._answers = False
            advice = "check the network and Snowflake's status page, then materialise again: what was begun is adopted"
        return WarehouseError(
            doing,
            to=f"(Snowflake query {error.sfqid or 'not started'})",
            found=_message(error),
            next=advice,
        )

    def _sent(self, cursor: SnowflakeCursor, started: float) -> None:
        self.seconds += time.perf_counter() - started
        self.statements += 1
        cursor.close()


@contextmanager
def connect(snowflake: SnowflakeResource | ResourceInContext, narrator: Narrator | None = None) -> Iterator[Warehouse]:
    """A session from the Dagster resource, as an argument or from `context.resources`. WarehouseError when Snowflake cannot
    be reached or refuses the login. What is waited for is said in the run's log, or to `narrator`."""
    telling = narrator or Narrator(dg.get_dagster_logger().info)
    started = time.perf_counter()
    first = _log_in(snowflake, telling)
    warehouse = Warehouse(first, lambda: _log_in(snowflake, telling), telling)
    warehouse.seconds += time.perf_counter() - started
    try:
        yield warehouse
    finally:
        warehouse.rest()


def _log_in(snowflake: SnowflakeResource | ResourceInContext, narrator: Narrator) -> Session:
    from snowflake.connector.errors import Error

    from kumo_assets.resources.snowflake_login import advice

    try:
        with narrator.waiting_for("Snowflake to log in"):
            manager = snowflake.get_connection()
            connection = manager.__enter__()
    except Exception as error:
        # Not the connector's errors alone: a key that cannot be read is a ValueError, a missing file an OSError.
        raise WarehouseError("log in to Snowflake", found=_message(error), next=advice(error)) from error

    def close(answers: bool) -> None:
        # dagster-snowflake commits first, which would wait once more for a Snowflake that is away.
        with suppress(Error):
            if answers:
                manager.__exit__(None, None, None)
            else:
                connection.close(retry=False)

    return Session(connection, close)


def _message(error: Exception) -> str:
    """Snowflake's message on one line. Secrets are taken out before it is cut, or half of one could stay."""
    message = str(getattr(error, "raw_msg", None) or error) or type(error).__name__
    return " ".join(without_secrets(message).split())[:800]


def names_a_conflict(error: WarehouseError) -> bool:
    """Whether Snowflake refused a statement because of another one at the same time, or just before. Its messages are
    not documented word by word: the worst of a wrong answer is a few seconds of looking again."""
    return any(word in error.found.lower() for word in ("conflict", "already exists", "concurrent", "locked"))
