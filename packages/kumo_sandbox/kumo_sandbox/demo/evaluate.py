"""How good were the predictions? Counted on events after the anchor, which neither the run nor Kumo ever saw.

The baseline is the simplest recommender: the most popular items of the days before, the same for everybody. Both are
counted by one query over the log on disk; nothing here talks to the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from kumo_sandbox.grocery import EventLog
from kumo_sandbox.grocery.log import quoted

HORIZON_DAYS = 28


@dataclass(frozen=True)
class Score:
    """Mean number of listed items that an entity took afterwards, and the share of entities that took at least one."""

    mean_hits: float
    hit_share: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of the lists and of the baseline. Both are over all `entities` that had a list, also those with no event in
    the `days` after; `active` counts those that had one.
    """

    entities: int
    active: int
    days: int
    listed: int
    predicted: Score
    popular: Score


def days_after(log: EventLog, day: date, horizon: int = HORIZON_DAYS) -> int:
    """How many whole days of the log there are after `day`, at most `horizon`."""
    return max(0, min(horizon, (log.days[1] - day).days))


def evaluate(log: EventLog, day: date, lists: Mapping[str, Sequence[str]], horizon: int = HORIZON_DAYS) -> Evaluation:
    """Compare lists (entity -> items, as text) predicted from the log up to the end of `day` with what followed.

    The baseline's list is as long as the longest given: the items most entities took in the `horizon` days up to `day`.
    """
    days = days_after(log, day, horizon)
    longest = max((len(items) for items in lists.values()), default=0)
    pairs = [(entity, item) for entity, items in lists.items() for item in items]
    session = log.database.cursor()
    session.register("given", pa.table({"e": [e for e, _ in pairs], "i": [i for _, i in pairs]}))
    session.register("listed", pa.table({"e": list(lists)}))
    entity, item, time = (quoted(name) for name in (log.entity, log.item, log.time))
    anchor = day + timedelta(days=1)
    rows = session.execute(
        f"""
        WITH popular AS (
          SELECT {item}::VARCHAR AS i, COUNT(DISTINCT {entity}) AS n FROM events
          WHERE {time} >= $before AND {time} < $anchor AND ({log.taken}) GROUP BY 1 ORDER BY n DESC, i LIMIT {longest}
        ), after AS (
          SELECT DISTINCT {entity}::VARCHAR AS e, {item}::VARCHAR AS i FROM events
          WHERE {time} >= $anchor AND {time} < $until AND ({log.taken})
        ), marked AS (
          SELECT after.e, (given.i IS NOT NULL)::INT AS own, (popular.i IS NOT NULL)::INT AS pop
          FROM after LEFT JOIN given ON given.e = after.e AND given.i = after.i LEFT JOIN popular ON popular.i = after.i
        ), hits AS (
          SELECT listed.e, COUNT(marked.e) AS taken, COALESCE(SUM(own), 0) AS own, COALESCE(SUM(pop), 0) AS pop
          FROM listed LEFT JOIN marked ON marked.e = listed.e GROUP BY 1
        )
        SELECT COUNT(*), COUNT_IF(taken > 0), AVG(own), AVG((own > 0)::INT), AVG(pop), AVG((pop > 0)::INT) FROM hits
        """,
        {
            "before": anchor - timedelta(days=horizon),
            "anchor": anchor,
            "until": anchor + timedelta(days=days),
        },
    ).fetchone()
    assert rows is not None
    count, active, own, own_share, popular, popular_share = rows
    return Evaluation(
        entities=int(count),
        active=int(active),
        days=days,
        listed=longest,
        predicted=Score(float(own or 0), float(own_share or 0)),
        popular=Score(float(popular or 0), float(popular_share or 0)),
    )
