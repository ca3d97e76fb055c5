"""Evaluation metrics of a training job: measured on a hold-out, the last `horizon_days` of the logs, never invented.

The model is asked as of the start of the hold-out and its answer compared with what happened after. Metric names are
those the vendor shows for the same tasks (ndcg, precision, recall, map; mae, rmse; auroc, accuracy).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.ranking import CutOff, quoted, source, where
from kumo_sandbox.kumo.scalars import predictions_select

STAMP = "%Y-%m-%d %H:%M:%S.%f"


def evaluate(cursor: Any, spec: QuerySpec, newest: str | None) -> dict[str, float | None]:
    """Metrics by name; empty when there are no logs. `newest` is the newest event ingested, as an SQL timestamp."""
    if newest is None:
        return {}
    end = CutOff(newest, inclusive=True)
    start = CutOff((datetime.strptime(newest, STAMP) - timedelta(days=spec.horizon_days)).strftime(STAMP))
    after = f"{where(spec, end)} AND {quoted(spec.time)} >= {start.literal}"
    entity = quoted(spec.entity)
    cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE KUMO_HELD_OUT AS {predictions_select(spec, start, 10, 0.5)}")
    if spec.task == "temporal_link_prediction":
        item = quoted(spec.item or "")
        truth = f"SELECT DISTINCT {entity} AS E, {item} AS I FROM {source(spec)} WHERE {after}"
        return _ranking(cursor, truth)
    if spec.task == "regression":
        truth = (
            f"SELECT {entity} AS E, SUM({quoted(spec.target or '')}) AS V FROM {source(spec)} WHERE {after} GROUP BY 1"
        )
        sql = f"""
SELECT AVG(ABS(TARGET_PRED - COALESCE(V, 0))), SQRT(AVG(POWER(TARGET_PRED - COALESCE(V, 0), 2)))
FROM KUMO_HELD_OUT AS H LEFT JOIN ({truth}) AS T ON T.E = H.ENTITY"""
        return _named(cursor.execute(sql).fetchone(), "mae", "rmse")
    if spec.task == "binary_classification":
        score = "SCORE" if spec.binary_form == "score" else '"True_PROB"'
        truth = f"SELECT DISTINCT {entity} AS E FROM {source(spec)} WHERE {after}"
        # AUROC by ranks (Mann-Whitney): (sum of ranks of positives - n1 (n1 + 1) / 2) / (n1 n0).
        sql = f"""
WITH R AS (
  SELECT IFF(T.E IS NULL, 1, 0) AS Y, {score} AS P, RANK() OVER (ORDER BY {score}) AS PLACE
  FROM KUMO_HELD_OUT AS H LEFT JOIN ({truth}) AS T ON T.E = H.ENTITY)
SELECT (SUM(Y * PLACE) - SUM(Y) * (SUM(Y) + 1) / 2.0) / NULLIF(SUM(Y) * SUM(1 - Y), 0),
       AVG(IFF((P >= 0.5) = (Y = 1), 1.0, 0.0)) FROM R"""
        return _named(cursor.execute(sql).fetchone(), "auroc", "acc")
    truth = f"""SELECT {entity} AS E, {quoted(spec.item or "")} AS I FROM {source(spec)} WHERE {after}
GROUP BY 1, 2 QUALIFY ROW_NUMBER() OVER (PARTITION BY E ORDER BY COUNT(*) DESC, I) = 1"""
    sql = f"""SELECT AVG(IFF(T.I::VARCHAR = H.CLASS, 1.0, 0.0))
FROM KUMO_HELD_OUT AS H JOIN ({truth}) AS T ON T.E = H.ENTITY WHERE PREDICTED"""
    return _named(cursor.execute(sql).fetchone(), "acc")


def _ranking(cursor: Any, truth: str) -> dict[str, float | None]:
    """precision@k, recall@k, ndcg@k over the entities with at least one event in the hold-out."""
    metrics: dict[str, float | None] = {}
    for k in (5, 10):
        sql = f"""
WITH T AS ({truth}), N AS (SELECT E, COUNT(*) AS N FROM T GROUP BY 1), R AS (
  SELECT ENTITY AS E, CLASS AS I, ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC, CLASS) AS PLACE
  FROM KUMO_HELD_OUT QUALIFY PLACE <= {k}
), H AS (
  SELECT R.E, R.PLACE, IFF(T.I IS NULL, 0, 1) AS HIT FROM R LEFT JOIN T ON T.E = R.E AND T.I = R.I
), IDEAL AS (SELECT PLACE AS N, SUM(1 / LOG(2, PLACE + 1)) OVER (ORDER BY PLACE) AS BEST
  FROM (SELECT DISTINCT PLACE FROM R)
), S AS (
  SELECT H.E, SUM(HIT) AS HITS, SUM(HIT / LOG(2, PLACE + 1)) AS DCG, MAX(N.N) AS N
  FROM H JOIN N ON N.E = H.E GROUP BY 1)
SELECT AVG(HITS / {k}), AVG(HITS / S.N), AVG(DCG / BEST) FROM S JOIN IDEAL ON IDEAL.N = LEAST(S.N, {k})"""
        metrics.update(_named(cursor.execute(sql).fetchone(), f"precision@{k}", f"recall@{k}", f"ndcg@{k}"))
    return metrics


def _named(row: Any, *names: str) -> dict[str, float | None]:
    return {name: None if value is None else float(value) for name, value in zip(names, row, strict=True)}
