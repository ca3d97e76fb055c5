"""The groceries' own day-1 outcomes, household by household, for every day of half a year: what the power of the check
`realised_quality` is measured on. `python -m kumo_assets_tests.outcomes.groceries` makes `data/groceries_day1.npz` anew,
in about two minutes.

The lists are an honest recommender's: purchases so far, decayed, with popularity. The days are the real ones, so weekdays,
seasons and what one day has to do with the next are in them.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data" / "groceries_day1.npz"
FIRST, DAYS, LISTED = date(2017, 5, 1), 220, 5
STALE = (7, 28)
LISTS = """
WITH S AS (
    SELECT e, i, SUM(EXP(-($day - d) / 60.0)) AS s FROM ev WHERE d <= $day GROUP BY 1, 2
), P AS (
    SELECT i, COUNT(DISTINCT e) / 2500.0 AS p FROM ev WHERE d <= $day AND d > $day - 28 GROUP BY 1
)
SELECT e, i, ROW_NUMBER() OVER (PARTITION BY e ORDER BY s + 0.5 * COALESCE(p, 0) DESC, i) AS r
FROM S LEFT JOIN P USING (i) QUALIFY r <= 5
"""
# Hits of a relation of lists (e, i) on a day, by household.
HITS = "SELECT L.e, COUNT(*) FROM {lists} L JOIN ev ON ev.e = L.e AND ev.i = L.i AND ev.d = $day GROUP BY 1"


def make() -> None:
    from kumo_sandbox.grocery import grocery_log

    db = grocery_log().database
    db.execute(
        "CREATE TABLE ev AS SELECT DISTINCT household_id::INT AS e, product_id::INT AS i, transaction_timestamp::DATE AS d "
        "FROM events"
    )
    most = int(db.execute("SELECT MAX(e) FROM ev").fetchone()[0]) + 1  # type: ignore[index]
    names = ("own", "before", "popular", "shuffled", *(f"stale_{days}" for days in STALE))
    found = {name: np.zeros((DAYS, most), np.int8) for name in names}
    served = np.zeros((DAYS, most), bool)
    random = np.random.default_rng(2017)
    for at in range(-max(STALE), DAYS):
        day = FIRST + timedelta(days=at)
        db.execute(f"CREATE TABLE l{at + 100} AS {LISTS}", {"day": day})
        if at < 0:
            continue
        mine = f"l{at + 100}"
        entities = [row[0] for row in db.execute(f"SELECT DISTINCT e FROM {mine} ORDER BY e").fetchall()]
        served[at, entities] = True
        others = random.permutation(entities)
        db.execute("CREATE OR REPLACE TABLE turned (e INT, o INT)")
        db.executemany("INSERT INTO turned VALUES (?, ?)", list(zip(entities, map(int, others), strict=True)))
        top = f"(SELECT i FROM {mine} GROUP BY i ORDER BY COUNT(*) DESC, i LIMIT {LISTED})"
        lists = {
            "own": mine,
            "before": f"l{at + 99}",
            "popular": f"(SELECT t.e, i FROM turned t CROSS JOIN {top})",
            "shuffled": f"(SELECT t.o AS e, i FROM {mine} JOIN turned t USING (e))",
            **{f"stale_{days}": f"l{at + 100 - days}" for days in STALE},
        }
        for name, relation in lists.items():
            rows = db.execute(HITS.format(lists=relation), {"day": day + timedelta(days=1)}).fetchall()
            for entity, hits in rows:
                found[name][at, entity] = hits
    some = served.any(axis=0)
    np.savez_compressed(DATA, served=served[:, some], **{name: hits[:, some] for name, hits in found.items()})


if __name__ == "__main__":
    make()
