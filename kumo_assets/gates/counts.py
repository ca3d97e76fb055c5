"""The counts that gates judge: few statements per table, counts only, kept with the release as the next baseline.

Predictions: one scan, whatever the number of gates (a release that sets its own bins looks at a sample for the
quantiles, and once more to count them; one with repeated keys once more to be sure). Post-processed: one scan for the
shape of lists, one for classes; the comparison with the active release scans both tables once, for a sample of entities.
SQL stands in `sql/`; what the counts mean is judged elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kumo_assets.gates.statistics import distinct_edges
from kumo_assets.resources.template import render

_FOLDER = Path(__file__).parent / "sql"

Rows = Callable[[str], Sequence[Mapping[str, Any]]]

BINS = 10
# Classes kept by name; the rest is one class. Enough for a catalogue's head, little enough for a small document.
MOST_CLASSES = 200
# A release sets bins of its own when the baseline's have become this lopsided: an outer bin that holds half of all
# scores sees little.
LOPSIDED = 0.5
# Entities that quantiles, and the comparison with the active release, are taken from: the standard error of a share of
# 1% is then 0.0004, a twentieth of it.
SAMPLED_ENTITIES = 50_000
# Lists longer than this are checked for order by a window instead of one column per rank.
MOST_RANK_COLUMNS = 20


def value_column(columns: Mapping[str, str]) -> str:
    """The column with the number Kumo predicts, in every task's form."""
    return next(name for name in ("SCORE", "TRUE_PROB", "TARGET_PRED") if name in columns)


def sample_of(entities: int) -> int:
    """One in how many entities is looked at; 1 is all."""
    return max(1, entities // SAMPLED_ENTITIES)


def count_predictions(
    rows: Rows,
    table: str,
    columns: Mapping[str, str],
    baseline: Mapping[str, Any] | None,
    reference: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """rows, entities, nulls, distinct keys, lowest and highest score and the histogram of Kumo's table. `table` is
    quoted.

    `against` counts over the baseline's edges, `against_reference` over the reference's; `edges` and `histogram` are
    what the next release compares with.
    """
    value = value_column(columns)
    pairs = "CLASS" in columns
    known: list[float] = list((baseline or {}).get("edges") or [])
    fixed: list[float] = list((reference or {}).get("edges") or [])
    found = rows(
        text(
            "predictions_pairs.sql" if pairs else "predictions_single.sql",
            table=table,
            value=value,
            histogram=cumulative(value, known, "B") + cumulative(value, fixed, "R"),
        )
    )[0]
    against = bins(found, known, "B") if known else []
    low, high = (None if found[name] is None else float(found[name]) for name in ("LOWEST", "HIGHEST"))
    finite = all(bound is None or math.isfinite(bound) for bound in (low, high))
    counts: dict[str, Any] = {
        "rows": int(found["ROW_COUNT"]),
        "entities": int(found["ENTITY_COUNT"]),
        "nulls": int(found["NULL_COUNT"] or 0),
        "keys": int(found["KEY_COUNT"]),
        "finite": finite,
        "lowest": low if finite else None,
        "highest": high if finite else None,
        "against": against,
        "against_reference": bins(found, fixed, "R") if fixed else [],
        "edges": known,
        "histogram": against,
    }
    if pairs and counts["keys"] < counts["rows"]:
        # A hash may collide (about 3 in a million at 10 M rows), so that "every key once" is certain and "a key
        # twice" is not: count again, exactly.
        counts["keys"] = int(rows(text("distinct_pairs.sql", table=table))[0]["KEY_COUNT"])
    if finite and (not known or max(against, default=0) > LOPSIDED * max(sum(against), 1)):
        edges = quantile_edges(rows, table, value, where=f"MOD(HASH(ENTITY), {sample_of(counts['entities'])}) = 0")
        if edges:
            own = rows(text("histogram.sql", table=table, histogram=cumulative(value, edges, "B"), value=value))[0]
            counts |= {"edges": edges, "histogram": bins(own, edges, "B")}
    return counts


def count_lists(
    rows: Rows, table: str, top_k: int, catalogue: tuple[str, str] | None = None, *, closed: int | None = None
) -> dict[str, Any]:
    """What is recommended, by class; and lists, short, misranked and disordered ones, the longest.

    `catalogue` is (quoted table, quoted column) of every item there is, to count entries of unknown ones. `full` is how
    long a list is that is not short: top_k, but no longer than a `closed` set of classes (multiclass), which is as many
    as there are now or, so that none is lost unseen, were in the baseline.
    """
    counts: dict[str, Any] = {}
    join = known = ""
    if catalogue is not None:
        join = text("known_items.sql", catalogue=catalogue[0], column=catalogue[1])
        known = "K.ITEM IS NULL"
    classes = rows(
        text("classes.sql", table=table, most=str(MOST_CLASSES), join=join, unknown=f"IFF({known or '1 = 0'}, 1, 0)")
    )
    named = sorted(classes, key=lambda row: -int(row["SERVED"]))[:MOST_CLASSES]
    counts["classes"] = {str(row["CLASS"]): int(row["SERVED"]) for row in named}
    counts["firsts"] = {str(row["CLASS"]): int(row["FIRSTS"]) for row in classes if row["FIRSTS"]}
    first = classes[0] if classes else {}
    bounds = (first.get("LOWEST"), first.get("HIGHEST"))
    counts["finite"] = all(bound is None or math.isfinite(float(bound)) for bound in bounds)
    for name, column in (("coverage", "CLASSES"), ("served", "TOTAL"), ("most_first", "MOST_FIRST")):
        counts[name] = int(first.get(column) or 0)
    if catalogue is not None:
        counts |= {"unknown": int(first.get("UNKNOWN") or 0), "unknown_classes": int(first.get("UNKNOWN_CLASSES") or 0)}
        counts["unknown_named"] = [str(row["CLASS"]) for row in classes if row["IS_UNKNOWN"]][:5]
    counts["full"] = top_k if closed is None else min(top_k, max(closed, counts["coverage"]))
    shape = rows(_shape(table, top_k, counts["full"]))[0]
    names = ("LISTS", "SHORT", "MISRANKED", "DISORDERED", "LONGEST")
    return counts | {name.lower(): int(shape[name] or 0) for name in names}


def count_continuity(
    rows: Rows, table: str, active: str, *, lists: bool, entities: int = 0, alike: bool = False
) -> dict[str, Any]:
    """Entities lost, and list entries changed, against the active release's table. Both names are quoted.

    With many `entities` one in `sample` is asked, chosen by hash, the same in both tables. Unless ENTITY and CLASS are
    known to be of `alike` types in both, they are compared and hashed as text: Snowflake casts text to the other
    side's number and fails, and HASH(1) is not HASH('1'). As text costs four times as much over all (1 M rows, DuckDB).
    """
    sample = sample_of(entities)
    name = "continuity_lists.sql" if lists else "continuity_entities.sql"
    columns = {"entity": "ENTITY"} | ({"class": "CLASS"} if lists else {})
    spelt = {key: column if alike else f"TO_VARCHAR({column})" for key, column in columns.items()}
    found = rows(text(name, table=table, active=active, sample=str(sample), **spelt))[0]
    names = {"old": "OLD_ENTITIES", "lost": "LOST", "entries": "ENTRIES", "changed": "CHANGED"}
    return {name: int(found[column] or 0) for name, column in names.items()} | {"sample": sample}


def cumulative(value: str, edges: Sequence[float], prefix: str) -> str:
    """SQL of how many values are at most each edge, each followed by a comma. Numbers are written by repr, which
    Snowflake reads back exactly. `bins` turns the answer into counts per bin."""
    return "".join(f"COUNT_IF({value} <= {edge!r}) AS {prefix}{index},\n    " for index, edge in enumerate(edges))


def bins(row: Mapping[str, Any], edges: Sequence[float], prefix: str) -> list[int]:
    """Counts per bin (-inf, e1], (e1, e2], ..., (en, inf) from `cumulative` and VALUE_COUNT, all that are not null."""
    upto = [int(row[f"{prefix}{index}"] or 0) for index in range(len(edges))] + [int(row["VALUE_COUNT"] or 0)]
    return [now - before for before, now in zip([0, *upto], upto, strict=False)]


def quantile_edges(rows: Rows, table: str, value: str, where: str) -> list[float]:
    """Inner edges of a table's own bins: nine deciles, without repeats."""
    pieces = ", ".join(f"APPROX_PERCENTILE({value}, {index / BINS}) AS Q{index}" for index in range(1, BINS))
    found = rows(text("quantiles.sql", quantiles=pieces, table=table, where=where))[0]
    return distinct_edges([float(found[f"Q{index}"]) for index in range(1, BINS) if found[f"Q{index}"] is not None])


def _shape(table: str, top_k: int, full: int) -> str:
    """The statement on the shape of lists. Ranks and falling scores are asked rank by rank in one grouping, which costs
    no sort; long lists are asked by a window."""
    if top_k > MOST_RANK_COLUMNS:
        return text("lists_long.sql", table=table, full=str(full))
    ranks = range(1, top_k + 1)
    scores = at_each_rank("SCORE", "S", ranks)
    rises = " OR ".join(f"S{rank} < S{rank + 1}" for rank in ranks if rank < top_k) or "1 = 0"
    gaps = " OR ".join(f"(S{rank} IS NULL) <> (LENGTH < {rank})" for rank in ranks)
    return text("lists.sql", table=table, full=str(full), scores=scores, gaps=gaps, rises=rises)


def at_each_rank(column: str, prefix: str, ranks: Iterable[int]) -> str:
    """More columns of a SELECT grouped by entity, each after a comma: the value of `column` at each rank."""
    return "".join(f", MAX(IFF(RANK = {rank}, {column}, NULL)) AS {prefix}{rank}" for rank in ranks)


def text(name: str, **values: str) -> str:
    """One of this room's SQL files, filled in. ConfigError for a placeholder nobody gave."""
    return render((_FOLDER / name).read_text(), name, **values)
