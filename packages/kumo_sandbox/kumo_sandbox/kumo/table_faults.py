"""Prediction tables spoilt on request: short, stale, duplicated, users lost, scores shifted, one item everywhere.

Applied in SQL to the work table, before it is copied to its destination, so that what a client finds in the warehouse
is exactly what such a fault would leave there. Faults of HTTP and of job states are in `faults.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

STAMP = "%Y-%m-%d %H:%M:%S.%f"


def spoil(cursor: Any, work: str, faults: list[dict[str, Any]], job_time: str) -> str:
    """Apply every table fault of a job to its work table; the JOB_TIMESTAMP to write."""
    for fault in faults:
        kind, with_ = fault["kind"], fault.get("with") or {}
        if kind == "short_table":
            keep = int(100 * float(with_.get("keep", 0.5)))
            # Hashed over whole rows, so that single rows are dropped and not whole entities.
            row = ", ".join(f'"{name}"' for name in _columns(cursor, work))
            cursor.execute(f"DELETE FROM {work} WHERE MOD(ABS(HASH({row})), 100) >= {keep}")
        elif kind == "users_lost":
            lost = int(100 * float(with_.get("fraction", 0.5)))
            cursor.execute(f"DELETE FROM {work} WHERE MOD(ABS(HASH(ENTITY)), 100) < {lost}")
        elif kind == "duplicated_rows":
            share = int(100 * float(with_.get("fraction", 0.1)))
            cursor.execute(f"INSERT INTO {work} SELECT * FROM {work} WHERE MOD(ABS(HASH(ENTITY)), 100) < {share}")
        elif kind == "scores_shifted":
            column = _score_column(cursor, work)
            add, times = float(with_.get("add", 10)), float(with_.get("times", 1))
            cursor.execute(f"UPDATE {work} SET {column} = {column} * {times!r} + {add!r}")
        elif kind == "dominating_item":
            share = int(100 * float(with_.get("share", 1)))
            cursor.execute(
                f"UPDATE {work} SET CLASS = (SELECT MIN(CLASS) FROM {work}) "
                f"WHERE MOD(ABS(HASH(ENTITY)), 100) < {share} AND (ENTITY, SCORE) IN "
                f"(SELECT ENTITY, MAX(SCORE) FROM {work} GROUP BY ENTITY)"
            )
        elif kind == "null_entities":
            share = int(100 * float(with_.get("fraction", 0.1)))
            cursor.execute(f"UPDATE {work} SET ENTITY = NULL WHERE MOD(ABS(HASH(ENTITY)), 100) < {share}")
        elif kind == "empty_table":
            cursor.execute(f"DELETE FROM {work}")
        elif kind == "stale_table":
            moment = datetime.strptime(job_time, STAMP) - timedelta(hours=float(with_.get("hours", 24)))
            job_time = moment.strftime(STAMP)
    return job_time


def lose(cursor: Any, work: str, faults: list[dict[str, Any]]) -> None:
    """Drop entities after the job has counted them: a write that did not arrive whole, which the job knows nothing of."""
    for fault in faults:
        if fault["kind"] == "partial_write":
            lost = int(100 * float((fault.get("with") or {}).get("fraction", 0.5)))
            cursor.execute(f"DELETE FROM {work} WHERE MOD(ABS(HASH(ENTITY)), 100) < {lost}")


TABLE_FAULTS = frozenset(
    {
        "partial_write",
        "short_table",
        "users_lost",
        "duplicated_rows",
        "scores_shifted",
        "dominating_item",
        "null_entities",
        "empty_table",
        "stale_table",
    }
)


def _columns(cursor: Any, work: str) -> list[str]:
    cursor.execute(f"SELECT * FROM {work} LIMIT 0")
    return [column[0] for column in cursor.description]


def _score_column(cursor: Any, work: str) -> str:
    """The column that carries the number: SCORE, or what the task has instead."""
    columns = _columns(cursor, work)
    return next(f'"{name}"' for name in ("SCORE", "True_PROB", "TARGET_PRED") if name in columns)
