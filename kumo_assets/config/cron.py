"""Whether a text is a cron schedule that Dagster takes, told without Dagster: operational commands do not load it."""

from __future__ import annotations

import re
from calendar import monthrange

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Each field's name, least and greatest value, and the words that stand for values from the least on.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?P<from>\*|\w+)(?:-(?P<to>\w+))?(?:/(?P<step>\d{1,4}))?")


def cron_fault(text: str) -> str:
    """What is wrong with a schedule; "" for one of five fields that some day matches.

    Numbers, words, lists, ranges and steps are known, as in POSIX and Vixie cron. What only some crons know (`L`, `#`,
    `@daily`) is refused.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields"
    found: list[set[int]] = []
    for field, (name, least, greatest, words) in zip(fields, _FIELDS, strict=True):
        values: set[int] = set()
        for part in field.split(","):
            some = _values(part, least, greatest, words)
            if not some:
                return f"{part!r} is no {name} ({least} to {greatest})"
            values |= some
        found.append(values)
    _, _, days, months, _ = found
    if fields[4] == "*" and not any(day <= monthrange(2000, month)[1] for day in days for month in months):
        return "no month has such a day"
    return ""


def _values(part: str, least: int, greatest: int, words: tuple[str, ...]) -> set[int]:
    """The values that one part of a list stands for; empty for a part that stands for none."""
    match = _PART.fullmatch(part.lower())
    if match is None or (match["step"] is not None and not 0 < int(match["step"]) <= greatest):
        return set()
    if match["from"] == "*":
        first, last = (least, greatest) if match["to"] is None else (None, None)
    else:
        first = _value(match["from"], least, words)
        last = first if match["to"] is None else _value(match["to"], least, words)
        if match["to"] is None and match["step"] is not None:
            last = greatest
    if first is None or last is None or not least <= first <= last <= greatest:
        return set()
    return set(range(first, last + 1, int(match["step"] or 1)))


def _value(text: str, least: int, words: tuple[str, ...]) -> int | None:
    if text in words:
        return words.index(text) + least
    return int(text) if re.fullmatch("[0-9]{1,2}", text) else None
