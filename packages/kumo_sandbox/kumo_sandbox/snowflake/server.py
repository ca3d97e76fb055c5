"""The Snowflake server process: `python -m kumo_sandbox.snowflake.server`, configured by environment variables.

fakesnow's ASGI app over one shared store (its own FAKESNOW_DB_PATH opens the files per session, and the second session
fails), with a login that is checked, unloads that run, and errors that say what went wrong. Settings: SNOWFLAKE_* and AWS_* of the sandbox, and
KUMO_SANDBOX_SNOWFLAKE_STATE, a folder.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import duckdb
import fakesnow.server as fake
import snowflake.connector.errors
import sqlglot
import uvicorn
from botocore.config import Config
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.dialect import parse, parse_one
from fakesnow.instance import FakeSnow
from fakesnow.transforms import stage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kumo_sandbox.snowflake.floats import as_snowflake_writes
from kumo_sandbox.snowflake.floats import install as install_floats
from kumo_sandbox.snowflake.names import Catalogue, check_names
from kumo_sandbox.snowflake.statement import StatementError, Unload, explained, is_unload, parse_unload
from kumo_sandbox.snowflake.tokens import token_request
from kumo_sandbox.snowflake.unload import run_unload
from kumo_sandbox.snowflake.views import install as install_views
from kumo_sandbox.snowflake.views import remember

SCHEMAS = ("PUBLIC", "RAW")
_SHOW_WAREHOUSES = re.compile(r"^\s*SHOW\s+WAREHOUSES\b", re.IGNORECASE)
NOTHING_DROPPED = "SELECT 'Drop statement executed successfully (it does not exist or not authorized).' AS \"status\""
logger = logging.getLogger("kumo_sandbox.snowflake")
# What EXPLAIN answers here: the first of Snowflake's columns and rows. There are no partitions to tell of.
_PLAN = (
    'SELECT NULL::NUMBER AS "step", NULL::NUMBER AS "id", NULL::VARCHAR AS "parent", \'GlobalStats\' AS "operation", '
    '0 AS "partitionsTotal", 0 AS "partitionsAssigned", 0 AS "bytesAssigned"'
)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    state = Path(os.environ["KUMO_SANDBOX_SNOWFLAKE_STATE"])
    state.mkdir(parents=True, exist_ok=True)
    keep_stages_in(state.with_name(f"{state.name}-stages"))
    fake.shared_fs = FakeSnow(db_path=str(state))
    _create_schemas()
    install_statements()
    uvicorn.run(
        app(os.environ["SNOWFLAKE_USER"], os.environ["SNOWFLAKE_PASSWORD"]),
        host=os.environ["SNOWFLAKE_HOST"],
        port=int(os.environ["SNOWFLAKE_PORT"]),
        log_level="warning",
    )


def app(user: str, password: str) -> Starlette:
    """fakesnow's routes, with a login that compares user and password."""
    ours = ("/session/v1/login-request", "/fs_bucket/{path:path}")
    routes = [route for route in fake.routes if route.path not in ours]
    fake.logger.setLevel(logging.WARNING)
    return Starlette(
        routes=[
            Route("/session/v1/login-request", _checked_login(user, password), methods=["POST"]),
            Route("/session/token-request", token_request, methods=["POST"]),
            Route("/fs_bucket/{path:path}", _stage_upload, methods=["PUT"]),
            Route("/_sandbox/health", lambda request: JSONResponse({"ok": True})),
            *routes,
        ]
    )


def _checked_login(user: str, password: str) -> Any:
    async def login(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        data = json.loads(body).get("data", {})
        if data.get("LOGIN_NAME", "").upper() != user.upper() or data.get("PASSWORD") != password:
            # What Snowflake answers (code 390100); fakesnow itself takes any password.
            return JSONResponse(
                {
                    "data": {"nextAction": None},
                    "code": "390100",
                    "message": "Incorrect username or password was specified.",
                    "success": False,
                    "headers": None,
                }
            )
        return await fake.login_request(request)

    return login


async def _stage_upload(request: Request) -> Response:
    """fakesnow's, with a full disk answered by a status the connector does not try again for minutes."""
    try:
        return await fake.bucket_upload(request)
    except OSError as error:
        return Response(f"the sandbox could not keep the staged file: {error.strerror}", status_code=507)


def keep_stages_in(folder: Path) -> None:
    """Staged files lie with the sandbox's state, not in a folder of /tmp per process that nobody removes."""
    made = Path(stage.LOCAL_BUCKET_PATH)
    if made.is_dir() and not any(made.iterdir()):
        made.rmdir()
    folder.mkdir(parents=True, exist_ok=True)
    stage.LOCAL_BUCKET_PATH = str(folder)


def _create_schemas() -> None:
    database = os.environ.get("SNOWFLAKE_DATABASE", "KUMO")
    with fake.shared_fs.connect(database, "PUBLIC") as connection:
        for schema in SCHEMAS:
            connection.cursor().execute(f'CREATE SCHEMA IF NOT EXISTS "{database}"."{schema}"')


def install_statements() -> None:
    """Let fakesnow's cursor run `COPY INTO 's3://...'` and `EXPLAIN`, refuse several statements in one request, and answer
    whatever DuckDB says as Snowflake answers.

    Left alone, an error fakesnow does not expect (a full disk, a number out of range) becomes an HTTP 500 without a
    reason, and Snowflake's connector asks again for minutes.
    """
    original = FakeSnowflakeCursor.execute
    transform = FakeSnowflakeCursor._transform
    install_floats(fake.shared_fs.duck_conn)
    install_views(fake.shared_fs.duck_conn)
    local = threading.local()

    def client() -> Any:
        # boto3 clients are thread-safe, their creation is not; statements run on a thread pool.
        if not hasattr(local, "s3"):
            local.s3 = boto3.session.Session().client(
                "s3", config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "max_attempts": 3})
            )
        return local.s3

    def transformed(self: Any, expression: Any, params: Any) -> Any:
        return as_snowflake_writes(transform(self, expression, params))

    def named_right(self: Any, expression: Any) -> bool:
        conn = self._conn
        return check_names(expression, Catalogue(self._duck_conn, conn.database or "", conn.schema or ""))

    def execute(self: Any, command: str, params: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not is_unload(command):
            try:
                if _SHOW_WAREHOUSES.match(command):
                    return original(self, _warehouse(), None, *args, **kwargs)
                if (statement := explained(command)) is not None:
                    named_right(self, parse_one(self._inline_variables(statement)))
                    # Described, which binds every name and type and reads no row.
                    original(self, f"DESCRIBE {statement}", params, *args, **kwargs)
                    return original(self, _PLAN, None, *args, **kwargs)
                expression = parse_one(self._inline_variables(command))
                if not named_right(self, expression):
                    return original(self, NOTHING_DROPPED, None, *args, **kwargs)
                answer = original(self, command, params, *args, **kwargs)
                remember(self._duck_conn, expression, command, self._conn.database or "", self._conn.schema or "")
                return answer
            except snowflake.connector.errors.Error:
                raise
            except duckdb.Error as error:
                raise _internal(_words(error)) from error
            except Exception as error:
                logger.exception("a statement fakesnow does not know how to run")
                raise _programming(
                    f"the sandbox cannot run this statement ({type(error).__name__}: {error})"
                ) from error
        try:
            unload = parse_unload(command)
            if unload.stage is not None:
                unload = _placed(unload, self._duck_conn)
            else:
                _check_integration(unload.integration)
            query_id = str(uuid.uuid4())

            def batches() -> Any:
                expression = parse_one(unload.source)
                named_right(self, expression)
                self.check_db_and_schema(expression)
                sql = self._transform(expression, None).sql(dialect="duckdb")
                reader = self._duck_conn.execute(sql).to_arrow_reader(100_000)
                return reader.schema, reader

            files = run_unload(unload, batches, client(), query_id)
        except StatementError as error:
            raise _programming(str(error)) from error
        except snowflake.connector.errors.Error:
            raise
        except Exception as error:
            # Whatever DuckDB or S3 says is the statement's failure, told as Snowflake tells one.
            raise _programming(f"{type(error).__name__}: {error}") from error
        return original(self, _result(unload.detailed, files), None, *args, **kwargs)

    FakeSnowflakeCursor.execute = execute  # type: ignore[method-assign]
    FakeSnowflakeCursor._transform = transformed  # type: ignore[method-assign]
    fake.parse_one = _one_statement  # type: ignore[attr-defined]


def _one_statement(command: str) -> Any:
    """The statement of a request. fakesnow takes the first of several and forgets the rest; Snowflake refuses them."""
    found = [item for item in parse(command) if item is not None and not isinstance(item, sqlglot.exp.Semicolon)]
    if len(found) > 1:
        raise snowflake.connector.errors.ProgrammingError(
            msg=f"Actual statement count {len(found)} did not match the desired statement count 1.",
            errno=8,
            sqlstate="0A000",
        )
    return found[0] if found else parse_one(command)


def _result(detailed: bool, files: list[Any]) -> str:
    """A SELECT whose rows are the unload's result, with Snowflake's column names."""
    if detailed:
        rows = ", ".join(f"('{item.name}', {item.size}, {item.rows})" for item in files)
        names = "COLUMN1 AS FILE_NAME, COLUMN2 AS FILE_SIZE, COLUMN3 AS ROW_COUNT"
        if not rows:
            return f"SELECT {names} FROM VALUES ('', 0, 0) WHERE COLUMN1 <> ''"
        return f"SELECT {names} FROM VALUES {rows}"
    total = sum(item.rows for item in files), sum(item.raw for item in files), sum(item.size for item in files)
    return f'SELECT {total[0]} AS "rows_unloaded", {total[1]} AS "input_bytes", {total[2]} AS "output_bytes"'


def _placed(unload: Unload, connection: Any) -> Unload:
    """The same, with the bucket and prefix that its stage leads to."""
    found = connection.execute(
        "SELECT url FROM _fs_global._fs_information_schema._fs_stages "
        "WHERE database_name = ? AND schema_name = ? AND name = ?",
        list(unload.stage or ()),
    ).fetchone()
    if found is None:
        raise StatementError(f"Stage '{'.'.join(unload.stage or ())}' does not exist or not authorized.")
    if not str(found[0]).startswith("s3://"):
        raise StatementError("the sandbox unloads to a stage with URL = 's3://...' only")
    bucket, _, folder = found[0].removeprefix("s3://").partition("/")
    folder = f"{folder.rstrip('/')}/" if folder else ""
    return replace(unload, bucket=bucket, prefix=folder + unload.prefix)


def _warehouse() -> str:
    """A SELECT of what SHOW WAREHOUSES says: the one warehouse there is, under the name that the sandbox gave out."""
    name = os.environ.get("SNOWFLAKE_WAREHOUSE", "SANDBOX").replace("'", "''")
    return (
        f"SELECT '{name}' AS \"name\", 'STARTED' AS \"state\", 'X-Small' AS \"size\", 'Y' AS \"is_current\", "
        "'true' AS \"auto_resume\""
    )


def _check_integration(name: str | None) -> None:
    known = os.environ.get("KUMO_ASSETS_STORAGE_INTEGRATION", "")
    if name is None:
        raise StatementError("the sandbox unloads through a STORAGE_INTEGRATION only: credentials never stand in SQL")
    if name != known:
        raise StatementError(f"Integration '{name}' does not exist or not authorized.")


def _internal(message: str) -> snowflake.connector.errors.ProgrammingError:
    """000603 (XX000), Snowflake's code of what is no fault of the statement's author."""
    return snowflake.connector.errors.ProgrammingError(
        msg=f"SQL execution internal error: {message}", errno=603, sqlstate="XX000"
    )


def _words(error: duckdb.Error) -> str:
    text = str(error).split("\n")[0]
    if "No space left on device" in text:
        return f"the sandbox's disk is full; free some, and repeat the statement ({text})"
    if isinstance(error, duckdb.FatalException) or "has been invalidated" in text:
        return f"the sandbox's store closed itself after an earlier error: kumo-sandbox stop, then start ({text})"
    return text


def _programming(message: str) -> snowflake.connector.errors.ProgrammingError:
    return snowflake.connector.errors.ProgrammingError(
        msg=f"SQL execution error: {message}", errno=2003, sqlstate="42501"
    )


if __name__ == "__main__":
    main()
