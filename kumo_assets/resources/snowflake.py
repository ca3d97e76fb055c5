"""Snowflake: the dagster-snowflake resource made from the environment, and the few ways this project talks through it.

`Warehouse` runs statements, fetches small results only, and keeps the time Snowflake took apart from ours. SQL text is
built elsewhere (`.sql` files and one builder per statement); identifiers are quoted in `sql.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.resources.sql import table

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


def snowflake_resource(environ: Mapping[str, str] | None = None) -> SnowflakeResource:
    """dagster-snowflake's resource with each SNOWFLAKE_* variable that is set, as `EnvVar`: no secret is read here.

    SNOWFLAKE_HOST, _PORT and _PROTOCOL (the sandbox, or a private link) are passed to the connector as they are.
    """
    from dagster_snowflake import SnowflakeResource

    source = os.environ if environ is None else environ
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
    }
    fields: dict[str, Any] = {name: dg.EnvVar(variable) for name, variable in optional.items() if source.get(variable)}
    extra: dict[str, object] = {
        "session_parameters": dict(SESSION),
        # At each login connector 4 asks clouds' metadata addresses and AWS STS where it runs, for its telemetry: up to
        # 0.6 s, four times a day's run (snowflake/connector/platform_detection.py; measured 0.72 s against 0.07 s).
        "platform_detection_timeout_seconds": 0.0,
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
    if not secrets and "authenticator" not in fields:
        # dagster-snowflake insists on one of them; an unset variable then fails at run time with its name.
        fields["password"] = dg.EnvVar("SNOWFLAKE_PASSWORD")
    return SnowflakeResource(
        account=dg.EnvVar("SNOWFLAKE_ACCOUNT"),
        user=dg.EnvVar("SNOWFLAKE_USER"),
        login_timeout=30,
        additional_snowflake_connection_args=extra,
        **fields,
    )


class Warehouse:
    """One Snowflake session. `seconds` is the time spent waiting for it, `statements` how many were sent."""

    def __init__(self, connection: SnowflakeConnection) -> None:
        self._connection = connection
        self.seconds = 0.0
        self.statements = 0
        self._columns: dict[tuple[str, str, str], dict[str, str]] = {}

    @property
    def database(self) -> str:
        return str(self._connection.database)

    @property
    def schema(self) -> str:
        return str(self._connection.schema)

    def rows(self, sql: str, *, doing: str = "query Snowflake") -> list[Row]:
        """Run one statement and fetch its (small) result.

        Raises WarehouseError with Snowflake's own message and the query id.
        """
        from snowflake.connector.errors import Error

        started = time.perf_counter()
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            names = [column[0] for column in cursor.description or ()]
            fetched = cursor.fetchmany(MOST_ROWS_FETCHED)
        except Error as error:
            raise _failed(doing, error) from error
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
        from snowflake.connector.constants import FIELD_ID_TO_NAME
        from snowflake.connector.errors import Error

        key = (database, schema, name)
        if key in self._columns:
            return self._columns[key]
        started = time.perf_counter()
        cursor = self._connection.cursor()
        try:
            described = cursor.describe(f"SELECT * FROM {table(database, schema, name)}")  # noqa: S608 - quoted
        except Error as error:
            if error.errno == NOT_THERE:
                return {}
            raise _failed(f"read the columns of {name}", error) from error
        finally:
            self._sent(cursor, started)
        types = {column.name: str(FIELD_ID_TO_NAME[column.type_code]) for column in described}
        self._columns[key] = {column: SPELT.get(kind, kind) for column, kind in types.items()}
        return self._columns[key]

    def _sent(self, cursor: SnowflakeCursor, started: float) -> None:
        self.seconds += time.perf_counter() - started
        self.statements += 1
        cursor.close()


def _failed(doing: str, error: Error) -> WarehouseError:
    return WarehouseError(
        doing,
        to=f"(Snowflake query {error.sfqid or 'not started'})",
        found=_message(error),
        next="fix the SQL or the grant it names, then materialise again",
    )


@contextmanager
def connect(snowflake: SnowflakeResource | ResourceInContext) -> Iterator[Warehouse]:
    """A session from the Dagster resource, as an argument or from `context.resources`. WarehouseError when Snowflake cannot be reached or refuses the login."""
    from snowflake.connector.errors import Error

    started = time.perf_counter()
    try:
        manager = snowflake.get_connection()
        connection = manager.__enter__()
    except Error as error:
        raise WarehouseError(
            "log in to Snowflake",
            found=_message(error),
            next="check SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and the password or key; `kumo-assets doctor` tries each",
        ) from error
    warehouse = Warehouse(connection)
    warehouse.seconds += time.perf_counter() - started
    try:
        yield warehouse
    finally:
        manager.__exit__(None, None, None)


def _message(error: Exception) -> str:
    """Snowflake's message on one line. The connector keeps passwords out of its messages."""
    return " ".join(str(getattr(error, "raw_msg", None) or error).split())[:800]


def names_a_conflict(error: WarehouseError) -> bool:
    """Whether Snowflake refused a statement because of another one at the same time, or just before. Its messages are
    not documented word by word: the worst of a wrong answer is a few seconds of looking again."""
    return any(word in error.found.lower() for word in ("conflict", "already exists", "concurrent", "locked"))
