"""What a post-processed table must prove before anything is built on it: right columns, rows, unique keys that DynamoDB
takes, numbers.

Snowflake counts in one scan, and once more, pair by pair, before repeated keys are reported; the counts are judged here.
Gates judge the same counts for the release's verdicts. Unlike them this proof cannot be switched off: the import
overwrites duplicates in random order and calls it success (rule 6), and a score that is not a finite number cannot be
written as JSON, so no reader could decode it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kumo_assets.assets.templates import shipped
from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import WarehouseError
from kumo_assets.gates.count_sql import MOST_RANK_COLUMNS, at_each_rank
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.snowflake_names import alike
from kumo_assets.resources.sql import table

LIST_COLUMNS = ("ENTITY", "CLASS", "SCORE", "RANK")
NUMBER_COLUMNS = ("ENTITY", "TARGET_PRED")
# A partition key has 1 to 2,048 bytes of UTF-8 (DynamoDB developer guide, "Constraints"). ImportTable counts a line with
# any other as an error, and abandons the rest of its object.
MOST_KEY_BYTES = 2048


@dataclass(frozen=True)
class Proof:
    """Counts of one post-processed table. `keys` are distinct entities as text, `class_keys` distinct
    (entity, class), `rank_keys` distinct (entity, rank). `finite` is False when a score is NaN or infinite.

    Entities whose text is `empty`, or `long` for a key, are refused by DynamoDB; `changed` are rows whose entity or class
    is a float that reads back as another one from its text.
    """

    rows: int
    entities: int
    nulls: int
    keys: int
    class_keys: int
    rank_keys: int
    longest: int
    finite: bool = field(default=True, kw_only=True)
    empty: int = field(default=0, kw_only=True)
    long: int = field(default=0, kw_only=True)
    changed: int = field(default=0, kw_only=True)


def prove_shape(columns: list[str], task: str, where: str) -> None:
    """WarehouseError when a wanted column is missing; it names the columns found."""
    wanted = NUMBER_COLUMNS if task == "regression" else LIST_COLUMNS
    absent = [name for name in wanted if name not in columns]
    cases = [other for name in absent if (other := alike(name, columns)) is not None]
    hint = f" ({', '.join(cases)} differs in case, which counts in Snowflake)" if cases else ""
    if absent:
        raise WarehouseError(
            "use the post-processed table",
            to=where,
            found=f"no column {', '.join(absent)}; it has {', '.join(columns) or 'no columns'}{hint}",
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
    if proof.empty:
        found.append(f"{proof.empty:,} entities are an empty text, which DynamoDB refuses as a key")
    if proof.long:
        found.append(
            f"{proof.long:,} entities have more than {MOST_KEY_BYTES:,} bytes, which DynamoDB refuses as a key"
        )
    if proof.changed:
        found.append(
            f"{proof.changed:,} ENTITY or CLASS values are floats that lose digits as text: cast them to NUMBER"
        )
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
        values = _of_keys(columns, "COUNT(DISTINCT ENTITY)")
        counted = warehouse.row(shipped("prove_number.sql", postprocessed=where, **values), doing=f"prove {where}")
    else:
        asked = _prove_list(where, columns, definition.spec.top_k)
        counted = warehouse.row(asked, doing=f"prove {where}")
        counted["CLASS_KEY_COUNT"] = counted["RANK_KEY_COUNT"] = counted["ROW_COUNT"]
        if counted["SUSPECTS"]:
            exact = shipped("prove_list_exactly.sql", postprocessed=where)
            counted |= warehouse.row(exact, doing=f"prove {where} exactly")
    # Snowflake: NaN is greater than any other number, infinity too, so that the extremes show both.
    ends = (counted["LOWEST"], counted["HIGHEST"])
    finite = all(end is None or math.isfinite(float(end)) for end in ends)
    more = {name: int(counted[column] or 0) for name, column in _OF_KEYS.items()}
    proof = Proof(*(int(counted[column] or 0) for column in _COUNTS), finite=finite, **more)
    found = faults(proof, definition.spec.top_k, task)
    if found:
        raise WarehouseError(
            "use the post-processed table",
            to=where,
            found="; ".join(found),
            next="fix postprocess.sql (or look at Kumo's table), then materialise again; nothing was exported",
        )
    return proof


def _of_keys(columns: Mapping[str, str], entities: str) -> dict[str, str]:
    """What the statement counts of keys: placeholder -> SQL."""
    return {
        "keys": _keys(columns["ENTITY"], entities),
        "key": "TO_VARCHAR(ENTITY)",
        "most_bytes": str(MOST_KEY_BYTES),
        "changed": _changed("ENTITY", columns),
    }


def _changed(column: str, columns: Mapping[str, str]) -> str:
    """SQL that is true of a float that its text does not keep: Snowflake documents no number of digits."""
    if columns[column] != "FLOAT":
        return "1 = 0"
    return f"TO_DOUBLE(TO_VARCHAR({column})) <> {column}"


def _keys(entity_type: str, entities: str) -> str:
    """SQL that counts distinct entities after conversion to text. NUMBER and TEXT never collide when converted, so
    `entities` is already right; floats and timestamps can, so they are counted again as text."""
    return entities if entity_type in ("NUMBER", "TEXT") else "COUNT(DISTINCT TO_VARCHAR(ENTITY))"


def _prove_list(where: str, columns: Mapping[str, str], top_k: int) -> str:
    """The statement on lists. One column per rank costs half of what hashes of the pairs did, and a hash costs less than
    text. Two classes with one hash make the list a suspect, and so does a list that is too long for the columns."""
    ranks = range(1, top_k + 1) if top_k <= MOST_RANK_COLUMNS else range(0)
    there = " + ".join(f"IFF(C{rank} IS NULL, 0, 1)" for rank in ranks) or "0"
    alike = "".join(f" OR C{one} = C{other}" for one in ranks for other in ranks if one < other)
    return shipped(
        "prove_list.sql",
        postprocessed=where,
        changed_class=_changed("CLASS", columns),
        classes=at_each_rank("HASH(CLASS)", "C", ranks),
        suspect=f"LENGTH <> {there}{alike}",
        **_of_keys(columns, "COUNT(ENTITY)"),
    )


_COUNTS = ("ROW_COUNT", "ENTITY_COUNT", "NULL_COUNT", "KEY_COUNT", "CLASS_KEY_COUNT", "RANK_KEY_COUNT", "LONGEST")
_OF_KEYS = {"empty": "EMPTY_KEYS", "long": "LONG_KEYS", "changed": "CHANGED_KEYS"}
