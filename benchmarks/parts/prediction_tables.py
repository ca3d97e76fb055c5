"""A day's prediction table and the day before's, made by SQL inside the warehouse, and the SQL a person would write."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

DATABASE, SCHEMA = "KUMO", "PUBLIC"
COLUMNS = {"ENTITY": "NUMBER", "CLASS": "NUMBER", "SCORE": "FLOAT"}

# Five items of 10,000 an entity; a score is the entity's own level, the day's noise, and falls with the rank.
PREDICTIONS = """
CREATE OR REPLACE TABLE {table} AS
SELECT
    E.N AS ENTITY,
    (FLOOR(2000 * POWER((ABS(HASH(E.N, K.N, '{day}')) % 1000003) / 1000003.0, 3)) * 5 + K.N)::NUMBER(38, 0) AS CLASS,
    ((ABS(HASH(E.N, 'a')) % 1000003 + ABS(HASH(E.N, 'b')) % 1000003 + ABS(HASH(E.N, '{day}')) % 1000003)
        / 1000003.0 * 3 - 0.7 * K.N)::FLOAT AS SCORE
FROM (SELECT SEQ8() AS N FROM TABLE(GENERATOR(ROWCOUNT => {entities}))) E
CROSS JOIN (SELECT SEQ4() AS N FROM TABLE(GENERATOR(ROWCOUNT => 5))) K
"""
SERVED = """
CREATE OR REPLACE TABLE {table} AS
SELECT ENTITY, CLASS, SCORE, ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC, CLASS) AS RANK
FROM {source} QUALIFY RANK <= 5
"""
# One scan, by hand: what a careful person would check of such a table, with ten bins of the score.
BY_HAND = """
SELECT
    COUNT(*), COUNT(DISTINCT ENTITY), COUNT(DISTINCT ENTITY, CLASS), COUNT(DISTINCT CLASS),
    COUNT_IF(ENTITY IS NULL OR CLASS IS NULL OR SCORE IS NULL), MIN(SCORE), MAX(SCORE), AVG(SCORE), STDDEV(SCORE),
    {bins}
FROM {table}
"""


def name(table: str) -> str:
    return f'"{DATABASE}"."{SCHEMA}"."{table}"'


def make_tables(execute: Callable[[str], Any], rows: int) -> None:
    """P_OLD and P_NEW (predictions) and S_OLD and S_NEW (to be served), `rows` rows each."""
    for day in ("OLD", "NEW"):
        execute(PREDICTIONS.format(table=name(f"P_{day}"), day=day, entities=rows // 5))
        execute(SERVED.format(table=name(f"S_{day}"), source=name(f"P_{day}")))


def by_hand(edges: Sequence[float]) -> str:
    """The one hand-written aggregate over P_NEW."""
    bounds = [None, *edges, None]
    pieces = []
    for low, high in itertools.pairwise(bounds):
        parts = [f"SCORE > {low!r}"] if low is not None else []
        parts += [f"SCORE <= {high!r}"] if high is not None else []
        pieces.append(f"COUNT_IF({' AND '.join(parts)})")
    return BY_HAND.format(bins=", ".join(pieces), table=name("P_NEW"))
