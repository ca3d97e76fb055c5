# ruff: noqa: S608 - names and numbers of this module alone
"""The counting of one ranking release at one age, in a process of its own, and one hand-written join between its rounds.
Prints JSON: seconds, memory, statements.

    python -m benchmarks.parts.outcomes_run ENTITIES EVENTS ROUNDS

The tables are made here: lists of 5 of this release and of the one before it, and the events of 28 days.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.machine import peak_mb, reset_peak, resident_mb

ITEMS, LISTED = 20_000, 5
PLACE = '"KUMO"."PUBLIC".'
Run = Callable[[str], Sequence[dict[str, Any]]]


def make_tables(run: Run, entities: int, events: int) -> None:
    """`B_SERVED`, `B_BEFORE` and `B_EVENTS`: numbers, drawn by arithmetic alone."""
    for name, step in (("B_SERVED", 7), ("B_BEFORE", 11)):
        run(
            f"CREATE OR REPLACE TABLE {PLACE}{name} AS SELECT E.I AS ENTITY, MOD(E.I * {step} + R.I * 977, {ITEMS}) AS CLASS, "
            f"1.0 / (R.I + 1) AS SCORE, R.I + 1 AS RANK FROM (SELECT range AS I FROM range({entities})) E "
            f"CROSS JOIN (SELECT range AS I FROM range({LISTED})) R"
        )
    run(
        f"CREATE OR REPLACE TABLE {PLACE}B_EVENTS AS SELECT MOD(range * 7919, {entities}) AS USER_ID, "
        f"MOD(range * 104729 + FLOOR(range / 13), {ITEMS}) AS ITEM_ID, "
        f"DATEADD('second', MOD(range, 2419200), '2017-12-01'::TIMESTAMP_NTZ) AS HAPPENED FROM range({events})"
    )


HAPPENED = (
    f"SELECT USER_ID AS ENTITY, ITEM_ID AS CLASS FROM {PLACE}B_EVENTS "
    "WHERE HAPPENED >= '2017-12-01'::TIMESTAMP_NTZ AND HAPPENED < '2017-12-29'::TIMESTAMP_NTZ"
)
BY_HAND = f"""
SELECT COUNT(DISTINCT S.ENTITY) AS N, COUNT(T.CLASS) AS HITS
FROM {PLACE}B_SERVED S LEFT JOIN (SELECT DISTINCT ENTITY, CLASS FROM ({HAPPENED}) H) T
ON S.ENTITY = T.ENTITY AND S.CLASS = T.CLASS
"""


def measure(run: Run, rounds: int, *, rivals: bool = True) -> dict[str, Any]:
    """Seconds of each round of both, and that they agree."""
    from kumo_assets.outcomes.count_sql import Compared, count

    sent = 0

    def rows(sql: str) -> Sequence[dict[str, Any]]:
        nonlocal sent
        sent += 1
        return run(sql)

    compared = Compared(
        "ranking",
        LISTED,
        f"{PLACE}B_SERVED",
        HAPPENED,
        before=f"{PLACE}B_BEFORE" if rivals else "",
        catalogue=f"SELECT CLASS FROM ({HAPPENED}) H" if rivals else "",
        fallback=tuple(map(str, range(LISTED))) if rivals else (),
        alike=True,
        numbers=True,
        sampled=False,
    )
    run(BY_HAND)  # the files are in memory for both
    idle = resident_mb()
    reset_peak()
    ours, theirs = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        [found] = run(BY_HAND)
        theirs.append(time.perf_counter() - started)
        sent, started = 0, time.perf_counter()
        counted = count(rows, compared)
        ours.append(time.perf_counter() - started)
        hits = counted.figures["mean_hits"].value * counted.entities
        assert round(hits) == int(found["HITS"]), "the two count the same"
    return {"ours": ours, "by_hand": theirs, "statements": sent, "idle_mb": idle, "peak_mb": peak_mb()}


def main() -> None:
    entities, events, rounds = map(int, sys.argv[1:4])
    from kumo_sandbox.snowflake.client import connect

    connection = connect(os.environ)

    def run(sql: str) -> list[dict[str, Any]]:
        cursor = connection.cursor()
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    make_tables(run, entities, events)
    print(json.dumps(measure(run, rounds)))


if __name__ == "__main__":
    main()
