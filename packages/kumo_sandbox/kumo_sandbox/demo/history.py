"""Questions to the log on disk about entities and items around a day. Reading only."""

from __future__ import annotations

from datetime import date, timedelta

from kumo_sandbox.grocery import EventLog
from kumo_sandbox.grocery.log import quoted


def busiest_entity(log: EventLog, day: date) -> str:
    """The entity with most events in the four weeks up to the end of `day`: its list says something to a reader."""
    end = day + timedelta(days=1)
    row = log.database.execute(
        f"SELECT {quoted(log.entity)}::VARCHAR AS e, COUNT(*) FILTER ({quoted(log.time)} >= $begin) AS recent "
        f"FROM events WHERE {quoted(log.time)} < $end GROUP BY 1 ORDER BY recent DESC, e LIMIT 1",
        {"begin": end - timedelta(days=28), "end": end},
    ).fetchone()
    return str(row[0]) if row else ""


def items_before_and_after(log: EventLog, entity: str, day: date, days: int) -> dict[str, tuple[int, bool]]:
    """Item -> (days on which the entity took it up to the end of `day`, whether it did in the `days` after)."""
    end = day + timedelta(days=1)
    time = quoted(log.time)
    rows = log.database.execute(
        f"SELECT {quoted(log.item)}::VARCHAR, COUNT(DISTINCT {time}::DATE) FILTER ({time} < $end), "
        f"COUNT(*) FILTER ({time} >= $end AND {time} < $until) > 0 "
        f"FROM events WHERE {quoted(log.entity)}::VARCHAR = $entity AND ({log.taken}) GROUP BY 1",
        {"end": end, "until": end + timedelta(days=days), "entity": entity},
    ).fetchall()
    return {row[0]: (int(row[1]), bool(row[2])) for row in rows}
