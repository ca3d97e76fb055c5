"""What a post-processed table must prove before anything is built on it: right columns, rows, unique keys, numbers.

Snowflake counts in one scan, and once more, pair by pair, before repeated keys are reported; the counts are judged here.
Gates judge the same counts for the release's verdicts. Unlike them this proof cannot be switched off: the import
overwrites duplicates in random order and calls it success (rule 6), and a score that is not a finite number cannot be
written as JSON, so no reader could decode it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kumo_assets.assets.templates import shipped
from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.count_sql import MOST_RANK_COLUMNS, at_each_rank
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table

LIST_COLUMNS = ("ENTITY", "CLASS", "SCORE", "RANK")
NUMBER_COLUMNS = ("ENTITY", "TARGET_PRED")


@dataclass(frozen=True)
class Proof:
    """Counts of one post-processed table. `keys` are distinct entities as text, `class_keys` distinct
    (entity, class), `rank_keys` distinct (entity, rank). `finite` is False when a score is NaN or infinite."""

    rows: int
    entities: int
    nulls: int
    keys: int
    class_keys: int
    rank_keys: int
    longest: int
    finite: bool = field(default=True, kw_only=True)


def prove_shape(columns: list[str], task: str, where: str) -> None:
    """WarehouseError when a wanted column is missing; it names the columns found."""
    wanted = NUMBER_COLUMNS if task == "regression" else LIST_COLUMNS
    absent = [name for name in wanted if name not in columns]
    if absent:
        raise WarehouseError(
            "use the post-processed table",
            to=where,
            found=f"no column {', '.join(absent)}; it has {', '.join(columns) or 'no columns'}",
            next=f"let postprocess.sql return {', '.join(wanted)}",
        )


def faults(proof: Proof, top_k: int, task: str) -> list[str]:
    """Every reason why the table must not be exported; empty when there is none."""
    found = []
    if proof.rows == 0:
        found.append("it has no rows")
    if proof.nulls:
        found.append(f"{proof.nulls:,} rows have a null in a key, score or rank")
    if not proof.finite:
        found.append("some scores are not finite numbers")
    if proof.keys != proof.entities:
        found.append(f"{proof.entities:,} entities have only {proof.keys:,} distinct keys as text")
    if proof.class_keys != proof.rows:
        found.append(f"{proof.rows - proof.class_keys:,} rows repeat an (ENTITY, CLASS) pair")
    if proof.rank_keys != proof.rows:
        what = "ENTITY" if task == "regression" else "(ENTITY, RANK) pair"
        found.append(f"{proof.rows - proof.rank_keys:,} rows repeat an {what}")
    if proof.longest > top_k and task != "binary_classification" and task != "regression":
        found.append(f"a list is {proof.longest} long; top_k is {top_k}")
    return found


def prove_table(warehouse: Warehouse, name: str, definition: QueryDefinition) -> Proof:
    """Count and judge. Raises WarehouseError listing every fault; the table stays, for a person to look at."""
    task = definition.spec.task
    # DESCRIBE by an empty SELECT: works for any name and costs nothing.
    where = table(warehouse.database, warehouse.schema, name)
    columns = warehouse.columns(warehouse.database, warehouse.schema, name)
    prove_shape(list(columns), task, where)
    if task == "regression":
        keys = _keys(columns["ENTITY"], "COUNT(DISTINCT ENTITY)")
        counted = warehouse.row(shipped("prove_number.sql", postprocessed=where, keys=keys), doing=f"prove {where}")
    else:
        asked = _prove_list(where, _keys(columns["ENTITY"], "COUNT(ENTITY)"), definition.spec.top_k)
        counted = warehouse.row(asked, doing=f"prove {where}")
        counted["CLASS_KEY_COUNT"] = counted["RANK_KEY_COUNT"] = counted["ROW_COUNT"]
        if counted["SUSPECTS"]:
            exact = shipped("prove_list_exactly.sql", postprocessed=where)
            counted |= warehouse.row(exact, doing=f"prove {where} exactly")
    # Snowflake: NaN is greater than any other number, infinity too, so that the extremes show both.
    ends = (counted["LOWEST"], counted["HIGHEST"])
    finite = all(end is None or math.isfinite(float(end)) for end in ends)
    proof = Proof(*(int(counted[column] or 0) for column in _COUNTS), finite=finite)
    found = faults(proof, definition.spec.top_k, task)
    if found:
        raise WarehouseError(
            "use the post-processed table",
            to=where,
            found="; ".join(found),
            next="fix postprocess.sql (or look at Kumo's table), then materialise again; nothing was exported",
        )
    return proof


def _keys(entity_type: str, entities: str) -> str:
    """SQL that counts distinct entities after conversion to text. NUMBER and TEXT never collide when converted, so
    `entities` is already right; floats and timestamps can, so they are counted again as text."""
    return entities if entity_type in ("NUMBER", "TEXT") else "COUNT(DISTINCT TO_VARCHAR(ENTITY))"


def _prove_list(where: str, keys: str, top_k: int) -> str:
    """The statement on lists. One column per rank costs half of what hashes of the pairs did, and a hash costs less than
    text. Two classes with one hash make the list a suspect, and so does a list that is too long for the columns."""
    ranks = range(1, top_k + 1) if top_k <= MOST_RANK_COLUMNS else range(0)
    there = " + ".join(f"IFF(C{rank} IS NULL, 0, 1)" for rank in ranks) or "0"
    alike = "".join(f" OR C{one} = C{other}" for one in ranks for other in ranks if one < other)
    return shipped(
        "prove_list.sql",
        postprocessed=where,
        keys=keys,
        classes=at_each_rank("HASH(CLASS)", "C", ranks),
        suspect=f"LENGTH <> {there}{alike}",
    )


_COUNTS = ("ROW_COUNT", "ENTITY_COUNT", "NULL_COUNT", "KEY_COUNT", "CLASS_KEY_COUNT", "RANK_KEY_COUNT", "LONGEST")
