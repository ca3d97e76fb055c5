"""What is assumed of Snowflake: values, digits, the proof of a table, and the unload; all by the SQL that the chain runs.

The tables are two, because a key with a line break in it may cost an import the rest of its file.
"""

from __future__ import annotations

import json
import math
import os
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

from kumo_assets.config.environment import is_loopback
from kumo_assets.errors import WarehouseError
from kumo_assets.proving.proof import BROKEN, EMULATED, PLAIN, Proof
from kumo_assets.proving.report import Differs, NotTried
from kumo_assets.proving.s3 import encrypted_as_asked
from kumo_assets.proving.values import SCORES, Lists, decoded, differences, read_csv, summed_up
from kumo_assets.resources.sql import literal, table

if TYPE_CHECKING:
    from kumo_assets.resources.snowflake import Warehouse

POSTPROCESSED = "postprocessed"
NUMBER = "0.1234567890123456789012345678"
# Words of Snowflake's refusal of a place that an integration does not allow, or of a role without a grant.
REFUSALS = ("not allowed", "not authorized", "access denied", "insufficient privileges", "forbidden")


def prove_snowflake(proof: Proof) -> None:
    """Try every row of the area. What it unloads is in `proof.unloaded` for the import."""
    from kumo_assets.resources.snowflake import connect_outside_dagster

    report = proof.report
    with ExitStack() as stack:
        warehouse: Warehouse | None = None
        with report.trying("snowflake-values") as trial:
            warehouse = stack.enter_context(connect_outside_dagster())
            proof.makes(warehouse=(warehouse.database, warehouse.schema))
            for attempt in (PLAIN, BROKEN):
                _insert(proof, warehouse, attempt)
            trial.seen = _as_inserted(proof, warehouse)
        if warehouse is None:
            report.skip_rest("snowflake", "there is no session with Snowflake")
            return
        _digits(proof, warehouse)
        _unload(proof, warehouse)


def _where(proof: Proof, warehouse: Warehouse, attempt: int) -> str:
    return table(warehouse.database, warehouse.schema, _name(proof, attempt))


def _name(proof: Proof, attempt: int) -> str:
    return proof.names.warehouse_table(proof.release, POSTPROCESSED, attempt)


def _insert(proof: Proof, warehouse: Warehouse, attempt: int) -> None:
    """A post-processed table with the awkward rows. A score is given as text, which has every digit of it."""
    where = _where(proof, warehouse, attempt)
    values = ",\n".join(
        f"({literal(entity)}, {literal(name)}, {literal(repr(score))}, {rank})"
        for entity, pairs in proof.lists(attempt).items()
        for rank, (name, score) in enumerate(pairs, 1)
    )
    warehouse.rows(
        f"CREATE TABLE {where} (ENTITY VARCHAR, CLASS VARCHAR, SCORE FLOAT, RANK NUMBER)", doing="create a table"
    )
    warehouse.rows(
        f"INSERT INTO {where} SELECT COLUMN1, COLUMN2, COLUMN3::FLOAT, COLUMN4 FROM (VALUES\n{values})",  # noqa: S608
        doing="insert awkward rows",
    )


def _as_inserted(proof: Proof, warehouse: Warehouse) -> str:
    found: dict[str, list[tuple[str, float]]] = {}
    for attempt in (PLAIN, BROKEN):
        for row in warehouse.rows(
            f"SELECT ENTITY, CLASS, SCORE FROM {_where(proof, warehouse, attempt)} ORDER BY ENTITY, RANK",  # noqa: S608
            doing="read the rows back",
        ):
            found.setdefault(str(row["ENTITY"]), []).append((str(row["CLASS"]), float(row["SCORE"])))
    return _equal(_both(proof), {entity: tuple(pairs) for entity, pairs in found.items()})


def _both(proof: Proof) -> Lists:
    return proof.lists(PLAIN) | proof.lists(BROKEN)


def _equal(wanted: Lists, found: dict[str, tuple[tuple[str, float], ...]]) -> str:
    wrong = differences(wanted, found)
    if wrong:
        raise Differs(summed_up(wrong, len(wanted)))
    return f"{len(wanted)} entities, {sum(map(len, wanted.values()))} scores"


def _digits(proof: Proof, warehouse: Warehouse) -> None:
    from kumo_assets.assets.s3_export import as_text

    report = proof.report
    values = ", ".join(f"({literal(score)})" for score in SCORES)
    scores = f"(SELECT COLUMN1::FLOAT AS SCORE FROM (VALUES {values}))"  # noqa: S608 - constants
    with report.trying("snowflake-float-plain") as trial:
        rows = warehouse.rows(f"SELECT SCORE, TO_VARCHAR(SCORE) AS TEXT FROM {scores}", doing="write floats as text")  # noqa: S608
        for row in rows:
            if not math.isclose(float(row["TEXT"]), float(row["SCORE"]), rel_tol=1e-9):
                raise Differs(f"{row['SCORE']!r} is written {row['TEXT']}")
        trial.seen = f"0.1 + 0.2 is written {rows[0]['TEXT']}"
    with report.trying("snowflake-float-exact") as trial:
        rows = warehouse.rows(f"SELECT SCORE, {as_text('SCORE', 'FLOAT')} AS TEXT FROM {scores}", doing="write floats")  # noqa: S608
        for row in rows:
            if float(json.loads(row["TEXT"])) != float(row["SCORE"]):
                raise Differs(f"{row['SCORE']!r} is written {row['TEXT']}")
        trial.seen = f"0.1 + 0.2 is written {rows[0]['TEXT']}"
    with report.trying("snowflake-number-exact") as trial:
        number = f"{literal(NUMBER)}::NUMBER(38, 28)"
        text = str(warehouse.row(f"SELECT {as_text(number, 'NUMBER')} AS TEXT", doing="write a number")["TEXT"])
        if Decimal(text) != Decimal(NUMBER):
            raise Differs(f"{NUMBER} is written {text}")
        trial.seen = text
    with report.trying("snowflake-view-text") as trial:
        trial.seen = _view(proof, warehouse)


def _view(proof: Proof, warehouse: Warehouse) -> str:
    """Make a view as raw logs have one, and ask whether it would be made again."""
    from kumo_assets.resources.views import ensure_view

    name, select = proof.names.view(proof.release), "SELECT 'it''s' AS \"A b\", -- a comment\n    2 AS B"
    place = (warehouse.database, warehouse.schema, name)
    try:
        ensure_view(warehouse, *place, select, doing="create a view")
    except WarehouseError as error:
        if _refused(error):
            raise NotTried(f"this role may make no view in {warehouse.schema}: {error.found}") from error
        raise
    if ensure_view(warehouse, *place, select, doing="look at a view"):
        raise Differs("the view was made again")
    return "it was left as it is"


def _refused(error: WarehouseError) -> bool:
    return any(words in error.found.lower() for words in REFUSALS)


def _unload(proof: Proof, warehouse: Warehouse) -> None:
    from kumo_assets.assets.postprocess_proof import prove_table
    from kumo_assets.assets.s3_export import packed, taken_sample, unload

    report, spec = proof.report, proof.definition.spec
    if not report.holds("snowflake-values"):
        report.skip_rest("snowflake", "snowflake-values does not hold")
        return
    entities: dict[int, int] = {}
    with report.trying("snowflake-proof") as trial:
        for attempt in (PLAIN, BROKEN):
            counted = prove_table(warehouse, _name(proof, attempt), proof.definition)
            lists = proof.lists(attempt)
            if (counted.rows, counted.entities) != (sum(map(len, lists.values())), len(lists)):
                raise Differs(f"{counted.rows} rows of {counted.entities} entities were counted")
            entities[attempt] = counted.entities
        trial.seen = f"{sum(entities.values())} entities"
    with report.trying("unload-complete") as trial:
        if not entities:
            raise NotTried("snowflake-proof does not hold")
        counts: list[str] = []
        for attempt in (PLAIN, BROKEN):
            where, prefix = _where(proof, warehouse, attempt), proof.names.export_prefix(proof.release, attempt)
            files = unload(
                warehouse,
                proof.objects,
                prefix,
                packed(spec.task, where),
                spec.export,
                proof.environment,
                entities=entities[attempt],
                source=_name(proof, attempt),
            )
            proof.unloaded[attempt] = prefix
            counts.append(f"{sum(item.rows for item in files)} rows, {len(files)} file")
        trial.seen = " and ".join(counts)
    with report.trying("unload-values") as trial:
        if not report.holds("unload-complete"):
            raise NotTried("unload-complete does not hold")
        items = {entity: p for attempt in (PLAIN, BROKEN) for entity, p in exported(proof, attempt)}
        trial.seen = _equal(_both(proof), decoded(items))  # type: ignore[arg-type]
    with report.trying("unload-sample") as trial:
        where = _where(proof, warehouse, PLAIN)
        sample = taken_sample(warehouse, where, len(proof.lists(PLAIN)), spec, proof.release, "FLOAT")
        found = decoded({item.entity: item.p for item in sample})
        trial.seen = _equal({entity: proof.lists(PLAIN)[entity] for entity in found}, found)  # type: ignore[arg-type]
    with report.trying("unload-encryption") as trial:
        if not report.holds("unload-complete"):
            raise NotTried("unload-complete does not hold")
        first = next(item.key for item in proof.objects.list(proof.unloaded[PLAIN]))
        trial.seen = encrypted_as_asked(proof, first)
    _denial(proof, warehouse)


def exported(proof: Proof, attempt: int) -> list[tuple[str, str]]:
    """(entity, `p`) of every row that lies under an attempt's prefix."""
    rows: list[tuple[str, str]] = []
    for item in proof.objects.list(proof.names.export_prefix(proof.release, attempt)):
        stored = proof.objects.get(item.key)
        rows += read_csv(stored.data) if stored is not None else []
    return rows


def _denial(proof: Proof, warehouse: Warehouse) -> None:
    from kumo_assets.assets.s3_export import copy_into, packed
    from kumo_assets.resources.aws import encryption

    environment, prefix = proof.environment, proof.names.outside
    with proof.report.trying("denied-unload") as trial:
        if is_loopback(os.environ.get("SNOWFLAKE_HOST", "")):
            raise NotTried(EMULATED)
        if not environment.storage_integration:
            raise NotTried("KUMO_ASSETS_STORAGE_INTEGRATION is not set")
        select = packed("ranking", _where(proof, warehouse, BROKEN))
        statement = copy_into(
            proof.objects.uri(prefix), select, "csv", environment.storage_integration, 16, encryption()
        )
        try:
            warehouse.rows(statement, doing="unload to where it must not")
        except WarehouseError as error:
            if not _refused(error):
                raise
            trial.seen = f"denied: {error.found}"
            return
        proof.objects.delete_many(item.key for item in proof.objects.list(prefix))
        raise Differs("it was allowed")
