"""The one place where identifiers and literals become SQL text. Nothing else quotes.

Identifiers come from configuration and from names we make; both have patterns, and this is the second lock (fault 22).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from kumo_assets.errors import ConfigError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,254}")


def quote(name: str) -> str:
    """`"NAME"`: a Snowflake identifier, case preserved. ConfigError for anything that is not a plain identifier.

    Source: Snowflake, "Identifier requirements". Quotes inside names are refused, not doubled: none of ours has any.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ConfigError(
            "put into SQL the identifier",
            to=repr(name),
            found="it is not letters, digits, _ and $ after a letter or _",
            next="rename it in the definition",
        )
    return f'"{name}"'


def table(database: str, schema: str, name: str) -> str:
    """A fully qualified, quoted table name."""
    return ".".join(quote(part) for part in (database, schema, name))


def by_upper_case(columns: Iterable[str]) -> dict[str, str]:
    """Name in upper case -> the column of that name. Of several that differ only in case the one in upper case is taken,
    else the first."""
    chosen: dict[str, str] = {}
    for name in sorted(columns, key=str.isupper, reverse=True):
        chosen.setdefault(name.upper(), name)
    return chosen


def in_upper_case(where: str, columns: Iterable[str]) -> str:
    """What to select from so that each of these columns of the table `where` (quoted) has its name in upper case.

    The table itself where all have. Kumo's writer makes columns such as `True_PROB`, which SQL without quotes does not
    find. See `by_upper_case` for names that differ only in case.
    """
    chosen = by_upper_case(columns)
    if all(upper == name for upper, name in chosen.items()):
        return where
    listed = ", ".join(f"{quote(name)} AS {quote(upper)}" for upper, name in chosen.items())
    return f"(SELECT {listed} FROM {where})"  # noqa: S608 - quoted names


def literal(text: str) -> str:
    """`'text'`: a string literal, with quotes doubled and backslashes escaped as Snowflake reads them."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def moment_sql(moment: datetime) -> str:
    """A time as SQL: TIMESTAMP_NTZ of UTC."""
    return f"CAST({literal(moment.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S'))} AS TIMESTAMP_NTZ)"
