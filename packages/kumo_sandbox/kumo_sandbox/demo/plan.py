"""Which days a demo runs, from what the log holds and what is active already.

Time moves on between two demos, as in a company: the second goes on with the day after the active release's. When the
log has no further day, the last one is built again; a later sealed release of the same day may go live too.
"""

from __future__ import annotations

from datetime import date, timedelta

from kumo_sandbox.demo.evaluate import HORIZON_DAYS
from kumo_sandbox.grocery import EventLog, LogError
from kumo_sandbox.grocery.log import quoted

GROCERY_FIRST_DAY = date(2017, 11, 28)
DEFAULT_DAYS = 3
# So many days of logs at least before the first day that is run: predictions from less are guesses.
HISTORY_DAYS = 7


def first_day(log: EventLog, days: int, grocery: bool) -> date:
    """The first day ever run: so late that `days` of them fit, and so early that 28 days follow where the log can.

    A short log keeps a fifth of its days for what comes after. Raises LogError when it is too short for that.
    """
    if grocery:
        return GROCERY_FIRST_DAY
    oldest, newest = log.days
    span = (newest - oldest).days
    after = min(HORIZON_DAYS, span // 5)
    first = newest - timedelta(days=after + days - 1)
    if (first - oldest).days < HISTORY_DAYS:
        raise LogError(
            f"run {days} day{'s' if days > 1 else ''} of",
            to=log.title,
            found=f"it reaches from {oldest} to {newest}, and {HISTORY_DAYS} days of history are needed before",
            next="give a longer log, or fewer --days",
        )
    return first


def last_full_day(log: EventLog) -> date:
    """The last day that can be run; the log's last one may have ended in the middle."""
    return log.days[1] - timedelta(days=1)


def horizon_of(log: EventLog, day: date) -> int:
    """Full days of the log after `day` that predictions are compared with, at most 28; 0 when it ends."""
    return max(0, min(HORIZON_DAYS, (last_full_day(log) - day).days))


def days_to_run(log: EventLog, days: int, active: date | None, first: date) -> list[date]:
    """The next `days` days after the active release's (or from `first`) that have an event, at least one.

    A day on which nothing happened (Christmas, a closed shop) has nothing to learn from, and a gate says so.
    """
    start = active + timedelta(days=1) if active is not None else first
    last = last_full_day(log)
    busy = _days_with_events(log, start, last)[:days]
    return busy or _days_with_events(log, log.days[0], last)[-1:] or [last]


def _days_with_events(log: EventLog, start: date, last: date) -> list[date]:
    rows = log.database.execute(
        f"SELECT DISTINCT {quoted(log.time)}::DATE AS day FROM events "
        f"WHERE {quoted(log.time)} >= $start AND {quoted(log.time)} < $end ORDER BY day",
        {"start": start, "end": last + timedelta(days=1)},
    ).fetchall()
    return [row[0] for row in rows]


def late_tolerance_minutes(log: EventLog, days: list[date], least: int = 60) -> int:
    """How long before midnight the last event of any of these days may be, in minutes, with a tenth to spare."""
    worst = 0.0
    for day in days:
        end = day + timedelta(days=1)
        row = log.database.execute(
            f"SELECT DATE_DIFF('second', MAX({quoted(log.time)}), $end::TIMESTAMP) FROM events WHERE {quoted(log.time)} < $end",
            {"end": end},
        ).fetchone()
        worst = max(worst, float(row[0]) if row and row[0] is not None else 0.0)
    return max(least, int(worst / 60 * 1.1) + 1)
