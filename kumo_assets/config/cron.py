"""Whether a text is a cron schedule that Dagster takes. Decided without Dagster, which operational commands do not load."""

from __future__ import annotations

import re
from calendar import monthrange

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Each field's name, least and greatest value, and the names that stand for values from the least on.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_MONTH_DAY, _WEEK_DAY = 2, 4
_PART = re.compile(r"(?P<from>[*?]|\w+)(?:-(?P<to>\w+))?(?:/(?P<step>\d{1,4}))?")
# The last day of a month; the last, or the first to fifth, of a weekday. As in Dagster's croniter.
_LAST = re.compile("l", re.IGNORECASE)
_NTH = re.compile("l[0-7]|([0-7]|sun|mon|tue|wed|thu|fri|sat)#[1-5]", re.IGNORECASE)


def cron_fault(text: str) -> str:
    """What is wrong with a schedule; "" for one of five fields that comes some day.

    Numbers, words, lists, ranges, steps, `L` and `#` are known, as Dagster's croniter reads them.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields"
    found: list[set[int]] = []
    for number, (field, (name, least, greatest, names)) in enumerate(zip(fields, _FIELDS, strict=True)):
        values: set[int] = set()
        for part in field.split(","):
            nth = number == _WEEK_DAY and all(_NTH.fullmatch(other) for other in field.split(","))
            if nth or (number == _MONTH_DAY and _LAST.fullmatch(part)):
                values.add(least)
                continue
            some = _values(part, least, greatest, names)
            if not some:
                return f"{part!r} is no {name} ({least} to {greatest})"
            values |= some
        found.append(values)
    _, _, days, months, _ = found
    any_weekday = fields[_WEEK_DAY] in ("*", "?")
    # With a weekday as well, either of the two is enough; croniter refuses the 30th of February all the same.
    if (any_weekday or months == {2}) and not any(
        day <= monthrange(2000, month)[1] for day in days for month in months
    ):
        return "no month has such a day"
    return ""


def _values(part: str, least: int, greatest: int, names: tuple[str, ...]) -> set[int]:
    """The values that one part of a list stands for; empty for a part that stands for none."""
    match = _PART.fullmatch(part.lower())
    step = int(match["step"]) if match is not None and match["step"] is not None else 1
    if match is None or step == 0:
        return set()
    if match["from"] in ("*", "?"):
        return set(range(least, greatest + 1, step)) if match["to"] is None else set()
    first = _value(match["from"], least, greatest, names)
    last = first if match["to"] is None else _value(match["to"], least, greatest, names)
    if first is None or last is None:
        return set()
    if match["to"] is None and match["step"] is not None:
        last = greatest
    if first <= last:
        return set(range(first, last + 1, step))
    return {*range(first, greatest + 1), *range(least, last + 1)}  # a range over the end: 22-2


def _value(text: str, least: int, greatest: int, names: tuple[str, ...]) -> int | None:
    if text in names:
        return names.index(text) + least
    value = int(text) if re.fullmatch("[0-9]{1,2}", text) else -1
    return value if least <= value <= greatest else None
