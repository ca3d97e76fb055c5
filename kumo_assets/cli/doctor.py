"""`doctor`: each outside system and permission, tried for real; what is missing, and what to run to fix it.

Every trial cleans up after itself. One that fails never stops the others.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import typer
from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli.clocks import clocks, judge
from kumo_assets.cli.output import Json, definition_of, folder, show, table
from kumo_assets.config.environment import Environment
from kumo_assets.config.load import query_names, raw_sources
from kumo_assets.errors import ConfigError


@dataclass(frozen=True)
class Finding:
    """One thing tried: `ok`, what was seen, and how to mend it."""

    what: str
    ok: bool
    seen: str
    fix: str = ""


def doctor(as_json: Json = False) -> None:
    """Try every outside system and permission; say what to run to fix what fails. Exit status 1 when any does."""
    findings = [_try(what, trial) for what, trial in _trials()]

    def words() -> None:
        table(
            ["", "what", "seen", "fix"],
            [["ok" if item.ok else "FAIL", item.what, item.seen, item.fix] for item in findings],
        )

    show(as_json, {"ok": all(item.ok for item in findings), "findings": [asdict(item) for item in findings]}, words)
    if not all(item.ok for item in findings):
        raise typer.Exit(1)


def _try(what: str, trial: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, trial())
    except KumoAssetsError as error:
        return Finding(what, False, error.found or str(error), error.next)
    except Exception as error:  # noqa: BLE001 - a trial must never hide the others: what it raises is its finding
        from kumo_assets.resources.aws import trouble

        seen, fix = trouble(error, "the message is the system's own; docs/operations.md says what each part needs")
        return Finding(what, False, seen[:400], fix)


def _trials() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "definitions", _definitions
    yield "environment variables", _variables
    yield "S3: write, read, conditional write, delete", _s3
    yield "DynamoDB: list and describe", _dynamodb
    yield "Snowflake: log in, create and drop a table, see raw logs", _snowflake
    yield "Kumo: key, connectors, models", _kumo
    for name in query_names(folder()):
        if (folder() / name / "training.py").is_file():
            yield f"query as code: {name}", partial(_code, name)
    if any(_spec(name) and _spec(name).pointer.store == "zookeeper" for name in query_names(folder())):
        yield "ZooKeeper", _zookeeper
    yield "Dagster: instance, and one owner of each clock", _dagster


def _spec(name: str) -> Any:
    try:
        return definition_of(name).spec
    except ConfigError:
        return None


def _definitions() -> str:
    names = query_names(folder())
    for name in names:
        definition = definition_of(name)
        raw_sources(definition.spec.raw_logs, definition.folder / "defs.yaml", folder())
    return f"{len(names)} queries in {folder()}: {', '.join(names) or 'none'}"


def _variables() -> str:
    environment = Environment.from_variables()
    environment.names("doctor")
    if not environment.storage_integration:
        raise ConfigError(
            "unload through a storage integration",
            found="KUMO_ASSETS_STORAGE_INTEGRATION is not set",
            next="create one (deploy/snowflake/grants.sql) and set it",
        )
    return f"environment {environment.name}, bucket {environment.bucket}"


def _s3() -> str:
    from kumo_assets.resources.aws import s3_client

    environment = Environment.from_variables()
    client = s3_client()
    key = f"{environment.name}/.doctor/{secrets.token_hex(8)}"
    client.put_object(Bucket=environment.bucket, Key=key, Body=b"1", IfNoneMatch="*")
    try:
        tag = client.get_object(Bucket=environment.bucket, Key=key)["ETag"]
        try:
            client.put_object(
                Bucket=environment.bucket, Key=key, Body=b"2", IfMatch='"0123456789abcdef0123456789abcdef"'
            )
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "412"):
                raise
        else:
            raise ConfigError(
                "compare and set",
                found="a stale If-Match was accepted",
                next="use AWS S3, or a store that honours If-Match",
            )
        client.put_object(Bucket=environment.bucket, Key=key, Body=b"2", IfMatch=tag)
    finally:
        client.delete_object(Bucket=environment.bucket, Key=key)
    return f"s3://{environment.bucket}/{environment.name}/"


def _dynamodb() -> str:
    from kumo_assets.resources.aws import dynamodb_client
    from kumo_assets.resources.dynamodb import tables

    environment = Environment.from_variables()
    client = dynamodb_client()
    found = tables.list_tables(client, f"{environment.name}-")
    client.list_imports(PageSize=1)
    if found:
        tables.describe(client, found[0])
    return f"{len(found)} tables of this environment in {client.meta.region_name}"


def _snowflake() -> str:
    from dagster import build_init_resource_context

    from kumo_assets.resources.snowflake import connect, snowflake_resource
    from kumo_assets.resources.sql import table as qualified

    for variable in ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER", "SNOWFLAKE_DATABASE", "SNOWFLAKE_SCHEMA"):
        if not os.environ.get(variable):
            raise ConfigError("log in to Snowflake", found=f"{variable} is not set", next=f"set {variable}")
    resource = snowflake_resource().with_replaced_resource_context(build_init_resource_context())
    with connect(resource.process_config_and_initialize()) as warehouse:
        name = f"KUMO_ASSETS_DOCTOR_{secrets.token_hex(4).upper()}"
        where = qualified(warehouse.database, warehouse.schema, name)
        warehouse.rows(f"CREATE TABLE {where} (A NUMBER)", doing="create a table")
        warehouse.rows(f"DROP TABLE {where}", doing="drop a table")
        seen = []
        for query in query_names(folder()):
            definition = definition_of(query)
            for source in raw_sources(definition.spec.raw_logs, definition.folder, folder()).values():
                database = source.database or warehouse.database
                if not warehouse.columns(database, source.schema, source.table.table):
                    raise ConfigError(
                        "see the raw logs",
                        found=f"no {database}.{source.schema}.{source.table.table}, or no grant on it",
                        next="grant SELECT on it (deploy/snowflake/grants.sql), or correct the RawLogs definition",
                    )
                seen.append(source.name)
        return f"{warehouse.database}.{warehouse.schema}; raw logs {', '.join(sorted(set(seen)))}"


def _kumo() -> str:
    from dagster import build_init_resource_context

    from kumo_assets.resources.kumo.resource import kumo_resource

    for variable in ("KUMO_API_URL", "KUMO_API_KEY"):
        if not os.environ.get(variable) and not (
            variable == "KUMO_API_KEY" and os.environ.get("KUMO_SNOWFLAKE_TOKEN_FILE")
        ):
            raise ConfigError("reach Kumo", found=f"{variable} is not set", next=f"set {variable}")
    resource = kumo_resource().with_replaced_resource_context(build_init_resource_context())
    with resource.process_config_and_initialize().client() as client:
        client.probe()
        if not client.needs_model:
            return "the key is accepted"
        names = {str(item.get("name")) for item in client.connectors()}
        words = []
        for query in query_names(folder()):
            spec = definition_of(query).spec.source.kumo
            if spec.connector not in names:
                raise ConfigError(
                    "find the connector of",
                    to=query,
                    found=f"{spec.connector!r} is not among {', '.join(sorted(names)) or 'none'}",
                    next="correct source.kumo.connector, or make the connector in Kumo",
                )
            words.append(f"{query} by {spec.training_job_id or client.newest_model(spec.predictive_query_id).job_id}")
        return "; ".join(words)


def _code(query: str) -> str:
    """The query's `training.py` against what the tenant has."""
    from kumo_assets.assets.preprocess import has_view, view_name
    from kumo_assets.resources.kumo.query_code import FILE, run_code, sdk_is_there

    definition = definition_of(query)
    if not sdk_is_there():
        return f"{FILE} was not compared with the tenant: kumoai is not installed (pip install 'kumo-assets[kumoai]')"
    view = view_name(Environment.from_variables().names(query)) if has_view(definition) else None
    code = run_code("describe", definition.folder / FILE, definition.spec.source.kumo.predictive_query_id, view=view)
    if code.differences:
        raise ConfigError(
            "find the tenant as the repository says",
            to=query,
            found="; ".join(code.differences),
            next=f"kumo-assets train {query} puts the repository's definition into the tenant and trains it",
        )
    return f"the tenant's {definition.spec.source.kumo.predictive_query_id} is what {FILE} says"


def _zookeeper() -> str:
    from kumo_assets.pointers.zookeeper import ZooKeeperPointerStore

    environment = Environment.from_variables()
    store = ZooKeeperPointerStore(environment.names("doctor"), environment.zookeeper)
    try:
        store.read()
    finally:
        store.close()
    return environment.zookeeper


def _dagster() -> str:
    import dagster as dg

    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigError(
            "find the Dagster instance",
            found="DAGSTER_HOME is not set",
            next="export DAGSTER_HOME=<the folder of dagster.yaml>",
        )
    specs = [(query, spec) for query in query_names(folder()) if (spec := _spec(query)) is not None]
    with dg.DagsterInstance.get() as instance:
        faults = [words for clock in clocks(instance, specs) if (words := judge(clock, datetime.now(UTC)))]
    if faults:
        raise ConfigError(
            "have one owner of each clock",
            found="; ".join(faults),
            next="do what is said behind each; docs/airflow.md has why",
        )
    return f"instance at {os.environ['DAGSTER_HOME']}"
