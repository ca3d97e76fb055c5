"""What is found out of raw logs outside Snowflake, and the moments that their values state, in any form of a time.

Who is asked is in `reach`; nothing is read here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import RawLogError

# Snowflake, TO_TIMESTAMP: a number below each limit is in the unit of that many a second, as it is here. Kafka's and
# Firehose's producers write the same units.
EPOCH_UNITS = ((31_536_000_000, 1), (31_536_000_000_000, 1_000), (31_536_000_000_000_000, 1_000_000))
NANOSECONDS = 1_000_000_000
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Reach:
    """The newest event (aware; None when there is none, or nobody says), and what else was seen, by label. `empty`: there is
    nothing at all where it was looked."""

    newest: datetime | None
    seen: dict[str, str] = field(default_factory=dict)
    empty: bool = False


def moment_of(value: object, raw: RawTable) -> datetime | None:
    """The moment, aware, that a value of the log's event time states; None for one that is no time.

    A text is ISO 8601, and a date alone means its end. A number is seconds, or a finer unit, since 1970 in UTC. A time
    without an offset is of `event_time_zone`.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _since_1970(value)
    if isinstance(value, str):
        try:
            if ISO_DATE.fullmatch(value):
                value = date.fromisoformat(value)
            elif ISO_DATE.match(value):
                value = datetime.fromisoformat(value)
        except ValueError:
            return None
    # NaT of pandas is a datetime that equals nothing, itself included.
    if not isinstance(value, date) or value != value:
        return None
    try:
        return raw.moment(value).astimezone(UTC)
    except (OverflowError, ValueError):  # the year 1 or 9999, moved by an offset
        return None


def _since_1970(number: float) -> datetime | None:
    if not math.isfinite(number):
        return None
    unit = next((unit for limit, unit in EPOCH_UNITS if abs(number) < limit), NANOSECONDS)
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / unit)
    except OverflowError:
        return None


def no_times(name: str, where: str, field: str | None, found: str) -> RawLogError:
    """The log has rows there, and none of them says when it happened."""
    return RawLogError(
        f"find the newest event of the raw log {name} in",
        to=where,
        found=found,
        next=f"write event_time as the log has it (it is {field!r} now), or a location that has nothing else in it",
    )
