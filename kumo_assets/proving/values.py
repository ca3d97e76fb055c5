"""The awkward rows of a proof, and how what came out at the other end is compared with them, value by value.

Pure: how the rows get into Snowflake and DynamoDB is in the modules of those areas.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from kumo_serving.items import RANKING, Predictions, decode, encode

# Entity -> its classes with their scores, in order of rank.
Lists: TypeAlias = dict[str, tuple[tuple[str, float], ...]]

TOP_K = 5
# A partition key has at most so many bytes (DynamoDB developer guide, "Constraints").
LONGEST = "k" * 2046 + "é"
TEXTS = (
    'a "quoted" text',
    '"',
    '""',
    "it's",
    "a,b;c|d",
    "tab\there",
    "back\\slash",
    "\\n is no line break",
    "\\N",
    "NULL",
    "null",
    "true",
    "007",
    "0",
    "-0.0",
    "1e5",
    "2017-11-30",
    " leading and trailing ",
    "é composed",
    "e\u0301 decomposed",
    "日本語",
    "עברית",
    "😀 emoji 👩‍👩‍👧",
    "no-break\u00a0space",
    "next\u0085line",
    "line\u2028separator",
    "control\x01character",
    "<b>&amp;</b>",
    "{{ placeholder }} %s $1 ? :1",
    "-- comment /* here */",
    "[]",
    '{"S": "x"}',
)
BREAKS = ("line\nbreak", "carriage\rreturn", "both\r\nof them", "\nfirst", "last\n", 'a "quoted",\r\nline\n\nbreak')
# As text, because a statement must be given every digit. -0.0 must come out as a zero of either sign.
SCORES = (
    "0.30000000000000004",  # 0.1 + 0.2
    "0.3333333333333333",
    "1e-17",
    "123456789.12345679",
    "1e308",
    "-0.0",
    "0.9999999999999999",
    "5e-324",
    "-2.5",
    "1",
)
FILLERS = 200


def plain_lists() -> Lists:
    """A few hundred lists whose entities and classes have every awkward character; no entity has a line break in it."""
    entities = [*TEXTS, LONGEST, *(f"{number:06d}" for number in range(FILLERS))]
    return _lists(entities)


def broken_lists() -> Lists:
    """A few lists whose entities have line breaks in them: apart, because a vendor that takes one for the end of a row
    loses the rest of a file."""
    return _lists(BREAKS)


def _lists(entities: Iterable[str]) -> Lists:
    classes = (*TEXTS, *BREAKS, "")
    found: Lists = {}
    for number, entity in enumerate(entities):
        length = 1 + number % TOP_K
        picked = [classes[(3 * number + rank) % len(classes)] for rank in range(length)]
        found[entity] = tuple((name, float(SCORES[(number + rank) % len(SCORES)])) for rank, name in enumerate(picked))
    return found


def items_of(lists: Lists) -> dict[str, str]:
    """Entity -> the item's `p`, as our own encoder writes it."""
    return {entity: encode(pairs, RANKING) for entity, pairs in lists.items()}


def csv_object(items: Iterable[tuple[str, str]]) -> bytes:
    """A gzip CSV object as the unload writes it: every field in quotes, quotes doubled, LF after each row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(("e", "p"))
    writer.writerows(items)
    return gzip.compress(text.getvalue().encode())


def read_csv(data: bytes) -> list[tuple[str, str]]:
    """The rows of a gzip CSV object without its header. ValueError for one that is not `e`, `p`."""
    rows = list(csv.reader(io.StringIO(gzip.decompress(data).decode(), newline=""), strict=True))
    if not rows or [name.lower() for name in rows[0]] != ["e", "p"]:
        raise ValueError(f"the header is {rows[0] if rows else 'missing'}, not e and p")
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"a row has {len(row)} fields: {row!r}"[:200])
    return [(row[0], row[1]) for row in rows[1:]]


def decoded(items: Mapping[str, str]) -> dict[str, Predictions]:
    """Entity -> its predictions as a service reads them. ItemMalformed for a text that none could read."""
    return {entity: decode(p, RANKING) for entity, p in items.items()}


def differences(wanted: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """Every entity whose value differs, is missing or was not expected, in words; the first is the plainest."""
    wrong = [f"{entity!r:.60} is missing" for entity in wanted.keys() - found.keys()]
    wrong += [f"{entity!r:.60} was not written" for entity in found.keys() - wanted.keys()]
    for entity in sorted(wanted.keys() & found.keys()):
        if wanted[entity] != found[entity]:
            wrong.append(f"{entity!r:.60}: {_first(wanted[entity], found[entity])}")
    return sorted(wrong, key=len)


def _first(wanted: object, found: object) -> str:
    """Where two values differ first."""
    if isinstance(wanted, tuple) and isinstance(found, tuple) and len(wanted) == len(found):
        return next(
            f"{there!r:.80} instead of {asked!r:.80}"
            for asked, there in zip(wanted, found, strict=True)
            if asked != there
        )
    return f"{found!r:.80} instead of {wanted!r:.80}"


def summed_up(wrong: list[str], of: int) -> str:
    """The differences in one line."""
    return f"{len(wrong)} of {of} differ: {'; '.join(wrong[:3])}"
