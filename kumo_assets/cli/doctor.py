"""`doctor`: each outside system and permission, tried for real; what is missing, and what to run to fix it.

Every trial cleans up after itself. One that fails never stops the others.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli.clocks import clocks, judge
from kumo_assets.cli.output import By, Json, Reason, context_of, definitions, show, table
from kumo_assets.cli.trials import Seen, count_tables, login_warning, regions_agree, see_raw_log, see_reach
from kumo_assets.cli.warehouse_trials import see_warehouse, try_unload
from kumo_assets.cli.webserver import open_pages, running, warning
from kumo_assets.config.environment import Environment
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.errors import ConfigError
from kumo_assets.redaction import without_secrets


@dataclass(frozen=True)
class Finding:
    """One thing tried: `ok`, what was seen, and how to fix it."""

    what: str
    ok: bool
    seen: str
    fix: str = ""


def doctor(
    query: Annotated[str | None, typer.Argument(help="Only with --accept-hole: whose history it is.")] = None,
    accept_hole: Annotated[
        int | None,
        typer.Option(
            help="Accept that the ledger has no entry of this generation, or two, and do nothing else. Needs --reason.",
            metavar="GENERATION",
        ),
    ] = None,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Try every outside system and permission; say what to run to fix what fails. Exit status 1 when any does."""
    if accept_hole is not None:
        _accept_hole(query, accept_hole, reason, by, as_json)
        return
    if query is not None or reason or by:
        raise ConfigError(
            "run doctor", found="QUERY, --reason and --by go with --accept-hole", next="run kumo-assets doctor alone"
        )
    findings = [_try(what, trial) for what, trial in _trials(definitions())]

    def words() -> None:
        table(
            ["", "what", "seen", "fix"],
            [["ok" if item.ok else "FAIL", item.what, item.seen, item.fix] for item in findings],
        )

    show(as_json, {"ok": all(item.ok for item in findings), "findings": [asdict(item) for item in findings]}, words)
    if not all(item.ok for item in findings):
        raise typer.Exit(1)


def _accept_hole(query: str | None, generation: int, reason: str, by: str, as_json: bool) -> None:
    """For the named query, or the only one that has something wrong there."""
    from kumo_assets.releases.moves import faults, read_or_raw, shown
    from kumo_assets.releases.operations.accept import accept_hole
    from kumo_assets.releases.run import person

    index = definitions()
    names = [query] if query is not None else [definition.name for definition in _readable(index)]
    found = [name for name in names if len(names) == 1]
    for name in names if len(names) > 1 else ():
        with closing(context_of(name, index=index)) as ctx:
            if faults(ctx, read_or_raw(ctx), newest=None).found_at(generation) is not None:
                found.append(name)
    if len(found) != 1:
        seen = f"{', '.join(found) or 'no query'} has something wrong with generation {generation}"
        raise ConfigError(
            "accept a hole", found=seen, next="name the query: kumo-assets doctor QUERY --accept-hole GENERATION"
        )
    with closing(context_of(found[0], index=index)) as ctx:
        span = accept_hole(ctx, generation, by=by or person(), reason=reason)
    document = {"query": found[0], "accepted": {"first": span[0], "last": span[1]}}
    show(as_json, document, lambda: print(f"Accepted: generation {shown(span)} of {found[0]}. Retirement works again."))


def _try(what: str, trial: Callable[[], str | Seen]) -> Finding:
    try:
        found = trial()
        return Finding(what, True, found.seen, found.warning) if isinstance(found, Seen) else Finding(what, True, found)
    except KumoAssetsError as error:
        return Finding(what, False, error.found or str(error), error.next)
    except Exception as error:  # noqa: BLE001 - a trial must never hide the others: what it raises is its finding
        from kumo_assets.resources.aws import explain_error

        seen, fix = explain_error(
            error, "the message is the system's own; docs/operations.md says what each part needs"
        )
        return Finding(what, False, without_secrets(seen)[:400], fix)


def _trials(index: DefinitionsIndex) -> Iterator[tuple[str, Callable[[], str | Seen]]]:
    readable = _readable(index)
    yield "definitions", partial(_definitions, index)
    yield "environment variables", _variables
    yield "S3: write, read, conditional write, delete", _s3
    yield "DynamoDB: list and describe", _dynamodb
    yield "Snowflake: log in, create and drop a table, see raw logs", partial(_snowflake, index, readable)
    yield "unload: one row from Snowflake to S3, and deleted", _unload
    elsewhere = {source.name: source for source in _sources(index, readable) if not source.table.counted}
    for name, source in elsewhere.items():
        yield f"raw log {name}: how far it reaches", partial(see_reach, source)
    for definition in readable:
        if (definition.folder / "postprocess.sql").is_file():
            yield f"postprocess.sql: {definition.name}", partial(_postprocess, index, definition)
    yield from _sources_of_predictions(readable)
    for definition in readable:
        if definition.spec.source.name == "kumo" and (definition.folder / "training.py").is_file():
            yield f"query as code: {definition.name}", partial(_code, definition)
    for store, definition in {definition.spec.pointer.store: definition for definition in readable}.items():
        yield f"active pointer: read in {store}", partial(_pointer, definition)
    yield "ledger: every move is in it, once", partial(_ledgers, readable)
    yield "Dagster: instance, and one owner of each clock", partial(_dagster, readable)
    if os.environ.get("DAGSTER_HOME"):
        yield "runs whose process is gone", _dead_runs
        yield "run slots, retries and monitoring of the instance", _limits


def _readable(index: DefinitionsIndex) -> list[QueryDefinition]:
    """The definitions that can be read: what is wrong with the others is the first trial's finding, and stops no other."""
    found = []
    for name in index.names():
        with suppress(ConfigError):
            found.append(index.query(name))
    return found


def _definitions(index: DefinitionsIndex) -> str:
    from kumo_assets.assets.definition_check import faults

    names = index.names()
    wrong = faults(index)
    if wrong:
        raise ConfigError(
            "read the definitions",
            found="; ".join(dict.fromkeys(f"{error.to}: {error.found}" for error in wrong)),
            next="; ".join(dict.fromkeys(error.next for error in wrong)),
        )
    return f"{_queries(len(names))} in {index.folder}: {', '.join(names) or 'none'}"


def _variables() -> Seen:
    from kumo_assets.resources.aws import encryption

    environment = Environment.from_variables()
    environment.names("doctor")
    encryption()
    if not environment.storage_integration and not environment.stage:
        raise ConfigError(
            "unload through a storage integration",
            found="KUMO_ASSETS_STORAGE_INTEGRATION is not set, and neither is KUMO_ASSETS_STAGE",
            next="create an integration (deploy/snowflake/grants.sql) or a stage (stage.sql beside it) and set its variable",
        )
    return Seen(f"environment {environment.name}, bucket {environment.bucket}", regions_agree())


def _s3() -> str:
    from kumo_assets.resources.aws import s3_client
    from kumo_assets.resources.s3_objects import ObjectStore, describing

    environment = Environment.from_variables()
    objects = ObjectStore(environment.bucket, s3_client())
    # In a folder of the ledger's name: a policy that lets pointers be written may leave it out.
    key = f"{environment.name}/.doctor/ledger/{secrets.token_hex(8)}.json"
    objects.put(key, b"1")
    try:
        stored = objects.get(key)
        if objects.create(key, b"3"):
            raise ConfigError(
                "compare and set",
                found="a second If-None-Match: * was accepted",
                next="use AWS S3, or a store that honours If-None-Match",
            )
        if objects.replace(key, b"2", etag='"0123456789abcdef0123456789abcdef"'):
            raise ConfigError(
                "compare and set",
                found="a stale If-Match was accepted",
                next="use AWS S3, or a store that honours If-Match",
            )
        if stored is not None and stored.version:
            # What shows a hand that puts an old pointer back while another move is decided.
            with describing("list versions of", "grant s3:ListBucketVersions on the bucket (deploy/iam)"):
                objects.versions(key)
        if stored is None or not objects.replace(key, b"2", etag=stored.etag):
            raise ConfigError(
                "compare and set",
                found="a current If-Match was refused, or what was written was not there",
                next="use AWS S3, or a store that is consistent",
            )
    finally:
        objects.delete_many([key])
    return objects.uri(f"{environment.name}/")


def _dynamodb() -> Seen:
    from kumo_assets.resources.aws import dynamodb_client
    from kumo_assets.resources.dynamodb import tables

    environment = Environment.from_variables()
    client = dynamodb_client()
    every = tables.list_tables(client, "")
    found = [name for name in every if name.startswith(f"{environment.name}-")]
    client.list_imports(PageSize=1)
    if found:
        tables.describe(client, found[0])
    return count_tables(len(found), len(every), client.meta.region_name)


def _snowflake(index: DefinitionsIndex, queries: Sequence[QueryDefinition]) -> Seen:
    from kumo_assets.resources.snowflake import connect_outside_dagster
    from kumo_assets.resources.sql import table as qualified

    with connect_outside_dagster() as warehouse:
        name = f"KUMO_ASSETS_DOCTOR_{secrets.token_hex(4).upper()}"
        where = qualified(warehouse.database, warehouse.schema, name)
        warehouse.rows(f"CREATE TABLE {where} (A NUMBER)", doing="create a table")
        warehouse.rows(f"DROP TABLE {where}", doing="drop a table")
        seen = {see_raw_log(warehouse, source) for source in _sources(index, queries) if source.table.table}
        place = f"{warehouse.database}.{warehouse.schema}, {see_warehouse(warehouse)}"
        return Seen(f"{place}; raw logs {', '.join(sorted(seen)) or 'none'}", login_warning())


def _unload() -> str:
    from kumo_assets.resources.aws import s3_client
    from kumo_assets.resources.s3_objects import ObjectStore
    from kumo_assets.resources.snowflake import connect_outside_dagster

    environment = Environment.from_variables()
    with connect_outside_dagster() as warehouse:
        return try_unload(warehouse, environment, ObjectStore(environment.bucket, s3_client()))


def _postprocess(index: DefinitionsIndex, definition: QueryDefinition) -> str:
    """The query's own SQL, compiled by Snowflake against empty tables. Nothing is run."""
    from kumo_assets.assets.definition_check import demand_usable
    from kumo_assets.assets.postprocess_trial import known_columns, try_file
    from kumo_assets.releases.context import ReleaseContext
    from kumo_assets.resources.snowflake import connect_outside_dagster

    usable = demand_usable(index, definition)
    with (
        connect_outside_dagster() as warehouse,
        closing(ReleaseContext.from_environment(definition, Environment.from_variables())) as ctx,
    ):
        return try_file(definition, usable.sources, usable.others, warehouse, known=known_columns(ctx, warehouse))


def _sources(index: DefinitionsIndex, queries: Sequence[QueryDefinition]) -> Iterator[RawSource]:
    """The raw logs of every query whose raw logs are defined; of the others the first trial tells."""
    for definition in queries:
        with suppress(ConfigError):
            yield from index.raw_sources(definition).values()


def _sources_of_predictions(queries: Sequence[QueryDefinition]) -> Iterator[tuple[str, Callable[[], str]]]:
    """A trial of each source that a query uses; of every source while there is no query to say which."""
    from kumo_assets.sources.opening import SOURCES

    for name, opened in SOURCES.items():
        using = [definition for definition in queries if definition.spec.source.name == name]
        if using or not queries:
            source = opened()
            yield source.tried, partial(source.check, using)


def _code(definition: QueryDefinition) -> str:
    """The query's `training.py` against what the tenant has."""
    from kumo_assets.assets.preprocess import has_view, view_name
    from kumo_assets.resources.kumo.query_code import FILE, run_code, sdk_is_there

    if not sdk_is_there():
        return f"{FILE} was not compared with the tenant: kumoai is not installed (pip install 'kumo-assets[kumoai]')"
    view = view_name(Environment.from_variables().names(definition.name)) if has_view(definition) else None
    code = run_code("describe", definition.folder / FILE, definition.spec.kumo.predictive_query_id, view=view)
    if code.differences:
        raise ConfigError(
            "find the tenant as the repository says",
            to=definition.name,
            found="; ".join(code.differences),
            next=f"kumo-assets train {definition.name} puts the repository's definition into the tenant and trains it",
        )
    return f"the tenant's {definition.spec.kumo.predictive_query_id} is what {FILE} says"


def _pointer(definition: QueryDefinition) -> str:
    """Reads where one query's pointer is kept; whether there is one yet does not matter."""
    from kumo_assets.releases.context import ReleaseContext

    with closing(ReleaseContext.from_environment(definition, Environment.from_variables())) as ctx:
        ctx.pointers.peek()
        return ctx.pointers.uri


def _ledgers(queries: Sequence[QueryDefinition]) -> str:
    """Looks at the newest thousand entries of each query, and records what the ledger could not take before."""
    from kumo_assets.releases.cache import ReleaseCache
    from kumo_assets.releases.context import ReleaseContext
    from kumo_assets.releases.moves import read_or_raw
    from kumo_assets.releases.operations.reconcile import ledger_problems

    cache, problems = ReleaseCache(), []
    for definition in queries:
        with closing(ReleaseContext.from_environment(definition, Environment.from_variables(), cache=cache)) as ctx:
            wrong = ledger_problems(ctx, read_or_raw(ctx), newest=1_000)
            problems += [f"{definition.name}: {problem}" for problem in wrong]
    if problems:
        raise ConfigError(
            "find every move in the ledger",
            found="; ".join(problems),
            next="do what is said behind each; docs/operations.md has why",
        )
    return _queries(len(queries))


def _dagster(queries: Sequence[QueryDefinition]) -> Seen:
    import dagster as dg

    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigError(
            "find the Dagster instance",
            found="DAGSTER_HOME is not set",
            next="export DAGSTER_HOME=<the folder of dagster.yaml>",
        )
    specs = [(definition.name, definition.spec) for definition in queries]
    with dg.DagsterInstance.get() as instance:
        faults = [words for clock in clocks(instance, specs) if (words := judge(clock, datetime.now(UTC)))]
    if faults:
        raise ConfigError(
            "have one owner of each clock",
            found="; ".join(faults),
            next="do what is said behind each; docs/airflow.md has why",
        )
    return Seen(f"instance at {os.environ['DAGSTER_HOME']}", warning(open_pages(running())))


def _dead_runs() -> str:
    """Ends what a killed `materialize` left: Dagster counts such runs as running for ever, and its queue stops."""
    import dagster as dg

    from kumo_assets.automation.dead_runs import mark_dead_runs

    with dg.DagsterInstance.get() as instance:
        marked = mark_dead_runs(instance)
    runs = ", ".join(f"{run.run_id[:8]} ({run.job_name})" for run in marked)
    return f"{len(marked)} were marked as ended: {runs}" if marked else "none"


def _limits() -> str:
    """What the instance lacks is advice: a laptop's needs none of it, and everything works without, until it is full."""
    import dagster as dg

    from kumo_assets.automation.run_slots import limits_of, missing

    with dg.DagsterInstance.get() as instance:
        lacks = missing(limits_of(instance))
    return f"for production, its dagster.yaml lacks: {'; '.join(lacks)}" if lacks else "promotions find a slot, always"


def _queries(count: int) -> str:
    return "1 query" if count == 1 else f"{count} queries"
