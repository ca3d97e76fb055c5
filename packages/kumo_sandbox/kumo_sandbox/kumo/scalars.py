"""SQL of the answers that are not rankings: regression, binary and multiclass classification, from the raw logs alone.

Each is a textbook baseline whose formula stands beside it; output columns are those of the vendor's tables. Ranking is
in `ranking.py`.
"""

from __future__ import annotations

from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.ranking import CutOff, quoted, ranking_select, source, where


def _events(spec: QuerySpec, cut_off: CutOff, *columns: str) -> str:
    listed = ", ".join((f"{quoted(spec.entity)} AS E", *columns))
    return f"""
  SELECT {listed}, DATEDIFF('second', {quoted(spec.time)}, {cut_off.literal}) / 86400.0 AS AGE
  FROM {source(spec)} WHERE {where(spec, cut_off)}"""


def regression_select(spec: QuerySpec, cut_off: CutOff) -> str:
    """ENTITY, TARGET_PRED: the target's sum over the next `horizon_days`.

    The mean of the last horizon and of the last three, per entity, shrunk by a tenth towards the mean of all entities.
    """
    assert spec.target is not None
    h = spec.horizon_days
    return f"""
WITH EV AS ({_events(spec, cut_off, f"{quoted(spec.target)} AS V")}), RATE AS (
  SELECT E, 0.4 * SUM(CASE WHEN AGE <= {h} THEN V ELSE 0 END) + 0.6 * SUM(CASE WHEN AGE <= {3 * h} THEN V ELSE 0 END) / 3
    AS R FROM EV GROUP BY 1
)
SELECT E AS ENTITY, (0.9 * R + 0.1 * AVG(R) OVER ())::FLOAT AS TARGET_PRED FROM RATE
"""


def binary_select(spec: QuerySpec, cut_off: CutOff, threshold: float) -> str:
    """ENTITY, TARGET_PRED, False_PROB, True_PROB: whether the entity has no event in the next `horizon_days` (churn).

    Gamma-Poisson: with n active days, decaying with a time constant of one horizon h, P(none in h) =
    (1 + h / (h + h/2)) ^ -(n + 1/2). The older form of the table is ENTITY, SCORE. The newer
    form's names are in this case: the vendor's writer makes columns by INFER_SCHEMA without IGNORE_CASE.
    """
    h = float(spec.horizon_days)
    columns = (
        "E AS ENTITY, P AS SCORE"
        if spec.binary_form == "score"
        else f'E AS ENTITY, P >= {threshold!r} AS TARGET_PRED, 1 - P AS "False_PROB", P AS "True_PROB"'
    )
    return f"""
WITH EV AS ({_events(spec, cut_off, f"{quoted(spec.time)}::DATE AS D")}), DAYS AS (
  SELECT E, D, MIN(AGE) AS AGE FROM EV GROUP BY 1, 2
), PROB AS (
  SELECT E, POWER(1 + {h} / ({h} * 1.5), -(SUM(EXP(-AGE / {h})) + 0.5))::FLOAT AS P FROM DAYS GROUP BY 1
)
SELECT {columns} FROM PROB
"""


def multiclass_select(spec: QuerySpec, cut_off: CutOff, classes: int | None) -> str:
    """ENTITY, PREDICTED, CLASS as text, SCORE: the share of each class in the entity's events, newer ones weighing more.

    SCORE sums to one over all classes of an entity; PREDICTED marks the likeliest.
    """
    assert spec.item is not None
    keep = f"QUALIFY PLACE <= {classes}" if classes is not None else ""
    return f"""
WITH EV AS ({_events(spec, cut_off, f"{quoted(spec.item)} AS I")}), W AS (
  SELECT E, I, SUM(EXP(-AGE / {2.0 * spec.horizon_days})) AS W FROM EV WHERE I IS NOT NULL GROUP BY 1, 2
), RANKED AS (
  SELECT E, I, W / SUM(W) OVER (PARTITION BY E) AS S, ROW_NUMBER() OVER (PARTITION BY E ORDER BY W DESC, I) AS PLACE
  FROM W {keep}
)
SELECT E AS ENTITY, PLACE = 1 AS PREDICTED, I::VARCHAR AS CLASS, S::FLOAT AS SCORE FROM RANKED
"""


def predictions_select(spec: QuerySpec, cut_off: CutOff, classes: int | None, threshold: float | None) -> str:
    """The SELECT that answers a query, whatever its task. `classes` None means all, which a ranking reads as 100."""
    if spec.task == "temporal_link_prediction":
        return ranking_select(spec, cut_off, classes or 100)
    if spec.task == "regression":
        return regression_select(spec, cut_off)
    if spec.task == "binary_classification":
        return binary_select(spec, cut_off, 0.5 if threshold is None else threshold)
    return multiclass_select(spec, cut_off, classes)
