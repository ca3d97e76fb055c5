"""Score one release with the Engine: a fresh process, the bundle of the model in use, and a Snowflake table, proved.

An attempt is begun once. One whose process died is never gone on with: the next has another name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC

from kumo_assets.documents import PredictionDetails, utc_now
from kumo_assets.errors import ConfigError, EngineError, WarehouseError
from kumo_assets.resources.creating import is_there
from kumo_assets.resources.sql import literal, quote, table
from kumo_assets.sources.engine.environment import VERSION, engine_python
from kumo_assets.sources.engine.lease import Held, held
from kumo_assets.sources.engine.question import Question, read_question
from kumo_assets.sources.engine.records import (
    Bundle,
    Scored,
    archive_key,
    inputs_of,
    read_bundle,
    read_scored,
    scoring_folder,
    write_scored,
)
from kumo_assets.sources.engine.runs import EngineRun, settings_of
from kumo_assets.sources.engine.scratch import scratch
from kumo_assets.sources.protocol import Predicted, PredictionWork

MOST_ATTEMPTS = 20
# From which probability on a prediction is true, where the definition does not say; the Engine demands one.
BINARY_THRESHOLD = 0.5
# Parquet's types, by Arrow's names -> Snowflake's.
TYPES = {"int64": "NUMBER(38, 0)", "int32": "NUMBER(38, 0)", "string": "VARCHAR", "large_string": "VARCHAR"}
TYPES |= {"float": "FLOAT", "double": "FLOAT", "bool": "BOOLEAN"}
TIMES = ("ANCHOR_TIMESTAMP", "JOB_TIMESTAMP")


def score(work: PredictionWork) -> Predicted:
    """Adopt what an attempt of this release has made, or make it. Raises ConfigError, EngineError and WarehouseError."""
    started = time.perf_counter()
    question, python = read_question(work.definition), engine_python()
    folder = scoring_folder(work.names, work.release_id)
    objects = work.registry.objects
    # No session of Snowflake's is held while somebody else's process is waited for.
    work.warehouse.rest()
    with held(objects, f"{folder}lease.json", work.names.query, progress=work.progress) as lease:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            begun = work.attempts.attempt(attempt)
            if work.attempts.differs(begun):
                continue
            scored = read_scored(objects, folder, attempt) if begun is not None else None
            adopted = scored is not None
            if begun is not None and scored is None:
                work.say(f"Attempt {attempt} ended before it had scored; this is another attempt")
                continue
            if scored is None:
                # A model that cannot be used costs no attempt.
                bundle = bundle_in_use(work, question)
                work.attempts.begin_attempt(attempt)
                scored = _made(work, lease, question, bundle, python, folder, attempt)
            faults = faults_of(work, scored)
            if not faults:
                return _predicted(work, scored, adopted, started)
            work.warn(f"{scored.table} is not used: {'; '.join(faults)}")
            if not adopted:
                break
    raise WarehouseError(
        f"score {work.partition} in",
        to=work.table(attempt),
        found="what is in the table is not what the Engine wrote",
        next="run this again: it is another attempt",
    )


def _made(
    work: PredictionWork, lease: Held, question: Question, bundle: Bundle, python: str, folder: str, attempt: int
) -> Scored:
    """Run the Engine, record what it computed, and fill the attempt's table."""
    settings, spec = settings_of(work.definition), work.definition.spec
    threshold = settings.binary_threshold if settings.binary_threshold is not None else BINARY_THRESHOLD
    lists = spec.task in ("ranking", "multiclass_classification")
    with scratch(f"{work.names.query}-{work.release_id}") as local:
        run = EngineRun(
            work=work,
            warehouse=work.warehouse,
            python=python,
            question=question,
            folder=local,
            inputs=inputs_of(folder, "scoring", attempt),
            run_id=work.root_run_id,
            anchor=work.anchor,
            deadline_seconds=settings.deadline_minutes * 60,
            watch=lease.demand,
        )
        found = run.result(
            "predict",
            bundle={"bucket": work.names.bucket, "key": archive_key(work.names, bundle.model_id, bundle.sha256)},
            sha256=bundle.sha256,
            anchor=work.anchor.astimezone(UTC).replace(tzinfo=None).isoformat(),
            classes=spec.classes_per_entity if lists else None,
            threshold=threshold if spec.task == "binary_classification" else None,
        )
        scored = Scored(
            query=work.names.query,
            attempt=attempt,
            table=work.table(attempt),
            rows=found["rows"],
            entities=found["entities"],
            model_id=bundle.model_id,
            run=work.root_run_id,
            ended_at=utc_now(),
            peak_bytes=found["peak"],
        )
        if not scored.rows:
            raise EngineError("score", to=work.partition, found="the Engine predicted nothing", next="correct the PQL")
        work.say(f"Scored {scored.entities:,} entities; at most {scored.peak_bytes / 1e9:.1f} GB of memory")
        lease.demand()
        write_scored(work.registry.objects, folder, scored)
        fill(work, scored.table, found["files"], found["types"])
    return scored


def bundle_in_use(work: PredictionWork, question: Question) -> Bundle:
    """The bundle of the model in use. ConfigError when there is none, or it does not go with this Engine or question."""
    names = work.names
    in_use = work.registry.read().in_use
    train = f"materialise {names.query}/model"
    if in_use is None:
        raise ConfigError("score", to=names.query, found="no model is in use", next=train)
    bundle = read_bundle(work.registry.objects, names, in_use.training_job_id)
    if bundle is None:
        raise ConfigError(
            "load the model", to=in_use.training_job_id, found="the bucket has no bundle of it", next=train
        )
    if bundle.engine != VERSION:
        raise ConfigError(
            "load the model",
            to=bundle.model_id,
            found=f"its bundle was written by Kumo Engine {bundle.engine}, and this is {VERSION}",
            next=train,
        )
    if bundle.question != question.digest:
        raise ConfigError(
            "load the model",
            to=bundle.model_id,
            found="it was trained for another question",
            next=f"{train}, or put the question back",
        )
    return bundle


def fill(work: PredictionWork, name: str, files: list[str], types: Mapping[str, str]) -> None:
    """Create the table, put the files on its own stage, and load them by the names of their columns, in one statement.

    The connector sends the files as they are; no row is decoded in this process. Source: Snowflake, "PUT" and "COPY INTO
    <table>": MATCH_BY_COLUMN_NAME, PURGE.
    """
    warehouse = work.warehouse
    place = table(warehouse.database, warehouse.schema, name)
    # The session's own schema has the table. Its name is in upper case, and so needs no quotes, which PUT's form for a
    # table's stage does not have.
    stage = f"@%{name}"
    columns = ", ".join(
        f"{quote(column)} {'TIMESTAMP_NTZ' if column in TIMES else sql_type(column, kind)}"
        for column, kind in types.items()
    )
    warehouse.rows(f"CREATE TABLE {place} ({columns})", doing=f"create {name}")
    for file in files:
        warehouse.rows(f"PUT {literal('file://' + file)} {stage} AUTO_COMPRESS = FALSE", doing=f"put a file to {name}")
    warehouse.rows(
        f"COPY INTO {place} FROM {stage} FILE_FORMAT = (TYPE = PARQUET) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE PURGE = TRUE",
        doing=f"load {name}",
    )


def sql_type(column: str, kind: str) -> str:
    """Snowflake's type for a column of the Engine's files. EngineError for one that no task has."""
    if kind not in TYPES:
        raise EngineError("load", to=column, found=f"the Engine wrote the type {kind}", next="report this")
    return TYPES[kind]


def faults_of(work: PredictionWork, scored: Scored) -> list[str]:
    """Why the table is not what the attempt computed; empty when it is."""
    warehouse = work.warehouse
    if not is_there(warehouse, scored.table):
        return ["there is no such table"]
    found = warehouse.row(
        "SELECT COUNT(*) AS ROW_COUNT, COUNT(DISTINCT ENTITY) AS ENTITY_COUNT, "  # noqa: S608 - quoted
        f"COUNT_IF(ENTITY IS NULL) AS NULL_COUNT FROM {table(warehouse.database, warehouse.schema, scored.table)}",
        doing=f"prove the table {scored.table}",
    )
    faults = [
        f"it has {int(found[column]):,} {what} where the Engine wrote {wrote:,}"
        for column, what, wrote in (("ROW_COUNT", "rows", scored.rows), ("ENTITY_COUNT", "entities", scored.entities))
        if int(found[column]) != wrote
    ]
    if int(found["NULL_COUNT"] or 0):
        faults.append(f"{int(found['NULL_COUNT']):,} of its rows have no entity")
    return faults


def _predicted(work: PredictionWork, scored: Scored, adopted: bool, started: float) -> Predicted:
    work.say(f"{'Adopted' if adopted else 'Loaded'} {scored.rows:,} rows of {scored.table}")
    return Predicted(
        table=scored.table,
        attempt=scored.attempt,
        rows=scored.rows,
        entities=scored.entities,
        seconds=time.perf_counter() - started,
        details=PredictionDetails(
            job_id=scored.run,
            model_id=scored.model_id,
            database=work.warehouse.database,
            schema=work.warehouse.schema,
            adopted=adopted,
        ),
    )
