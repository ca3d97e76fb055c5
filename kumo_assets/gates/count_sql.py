"""The statements that count a release's tables for its gates, and their answers as `counts`. Few statements a table, and
only counts are fetched.

Predictions: one scan, whatever the number of gates. A release that sets its own bins looks at a sample for the
quantiles and scans once more to count them; one with repeated keys scans once more to be sure. Post-processed: one scan
for the shape of lists, one for classes; the comparison with the active release scans both tables once, for a sample of
entities. The SQL is in `sql/`. When to count is decided in `take_counts`, what the counts mean in the gates' modules, and
raw logs are counted in `raw.count_sql`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kumo_assets.gates.counts import Continuity, ListCounts, PredictionCounts
from kumo_assets.gates.formulas import distinct_edges
from kumo_assets.resources.template import render

_FOLDER = Path(__file__).parent / "sql"

# Column name -> value, of whatever Python type the connector has for the column's.
Row = Mapping[str, Any]
# Runs one statement.
Rows = Callable[[str], Sequence[Row]]

BINS = 10
# Classes kept by name; the rest is one class. Enough for a catalogue's head, and still a small document.
MOST_CLASSES = 200
# A release sets bins of its own when one of the baseline's holds more than this share of all scores: such a bin hides
# most movements.
LOPSIDED = 0.5
# Entities that quantiles, and the comparison with the active release, are taken from. The standard error of a share of
# 1% is then 0.0004, less than a twentieth of it.
SAMPLED_ENTITIES = 50_000
# Scores within this share of each other are one score: an approximate percentile need not give one of the values.
HAIR = 1e-9
# Fewer scores of one class than this may well be alike.
FEW = 10
DECIDED = (
    "MIN(IFF(TARGET_PRED::BOOLEAN, TRUE_PROB, NULL)) AS LOWEST_TRUE,\n    "
    "MAX(IFF(TARGET_PRED::BOOLEAN, NULL, TRUE_PROB)) AS HIGHEST_FALSE,\n    "
)
# The order of longer lists is checked by a window instead of one column per rank.
MOST_RANK_COLUMNS = 20


def value_column(columns: Mapping[str, str]) -> str:
    """The column with the number Kumo predicts, whatever the task."""
    return next(name for name in ("SCORE", "TRUE_PROB", "TARGET_PRED") if name in columns)


def sample_of(entities: int) -> int:
    """One entity in how many is sampled; 1 is all."""
    return max(1, entities // SAMPLED_ENTITIES)


def count_predictions(
    rows: Rows,
    table: str,
    columns: Mapping[str, str],
    baseline: PredictionCounts | None,
    reference: PredictionCounts | None = None,
) -> PredictionCounts:
    """Counts of Kumo's table, whose name is quoted; `columns` are its own, name -> SQL type.

    Histograms are taken over the edges of `baseline` and `reference`, the counts of the releases compared with.
    """
    value = value_column(columns)
    pairs = "CLASS" in columns
    decides = "TARGET_PRED" in columns and value == "TRUE_PROB"
    known = list((baseline or {}).get("edges") or [])
    fixed = list((reference or {}).get("edges") or [])
    found = rows(
        text(
            "predictions_pairs.sql" if pairs else "predictions_single.sql",
            table=table,
            value=value,
            histogram=cumulative(value, known, "B") + cumulative(value, fixed, "R"),
            **({} if pairs else {"decided": DECIDED if decides else ""}),
        )
    )[0]
    against = bins(found, known, "B") if known else []
    low, high = (None if found[name] is None else float(found[name]) for name in ("LOWEST", "HIGHEST"))
    finite = all(bound is None or math.isfinite(bound) for bound in (low, high))
    counts: PredictionCounts = {
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
        # Hashes may collide (about 3 in a million at 10 M rows): that every key occurs once is then certain, that one
        # occurs twice is not. Count again, exactly.
        counts["keys"] = int(rows(text("distinct_pairs.sql", table=table))[0]["KEY_COUNT"])
    if decides:
        ends = (found["LOWEST_TRUE"], found["HIGHEST_FALSE"])
        counts["lowest_true"], counts["highest_false"] = (None if end is None else float(end) for end in ends)
    if finite and (not known or max(against, default=0) > LOPSIDED * max(sum(against), 1)):
        sample = sample_of(counts["entities"])
        tenths = quantiles(rows, table, value, where=f"MOD(HASH(ENTITY), {sample}) = 0")
        edges = distinct_edges(tenths)
        if edges:
            middle = tenths[len(tenths) // 2]
            own = rows(
                text(
                    "histogram.sql",
                    table=table,
                    histogram=cumulative(value, edges, "B"),
                    alike=f"ABS({value} - {middle!r}) <= {HAIR * abs(middle)!r}",
                    value=value,
                )
            )[0]
            counts["edges"], counts["histogram"] = edges, bins(own, edges, "B")
            counts["values"], counts["alike"] = int(own["VALUE_COUNT"]), int(own["ALIKE"])
        if edges and "PREDICTED" in columns:
            _count_alike(rows, table, counts, sample)
    return counts


def _count_alike(rows: Rows, table: str, counts: PredictionCounts, sample: int) -> None:
    """Class by class, for a multiclass table: its scores differ between classes even when everybody has the same ones."""
    found = rows(text("predicted_alike.sql", table=table, few=str(FEW), sample=str(sample), hair=repr(HAIR)))[0]
    counts["values"], counts["alike"] = int(found["SCORES"]), int(found["ALIKE"] or 0)
    counts["decided"], counts["contradicted"] = int(found["DECIDED"]), int(found["CONTRADICTED"] or 0)


def count_lists(
    rows: Rows, table: str, top_k: int, catalogue: tuple[str, str] | None = None, *, closed: int | None = None
) -> ListCounts:
    """Counts of the table to be served, whose name is quoted: what is recommended, by class, and the shape of lists.

    `catalogue` is (quoted table, quoted column) of every item there is, to count entries of unknown ones. A full list
    has `top_k` entries. Where classes are a closed set (multiclass) it has no more than there are classes, now or in the
    baseline, which had `closed`: a class that is gone thus leaves lists short. None where classes are no closed set.
    """
    join = known = ""
    if catalogue is not None:
        join = text("known_items.sql", catalogue=catalogue[0], column=catalogue[1])
        known = "K.ITEM IS NULL"
    classes = rows(
        text("classes.sql", table=table, most=str(MOST_CLASSES), join=join, unknown=f"IFF({known or '1 = 0'}, 1, 0)")
    )
    named = sorted(classes, key=lambda row: -int(row["SERVED"]))[:MOST_CLASSES]
    totals = classes[0] if classes else {}
    coverage = int(totals.get("CLASSES") or 0)
    full = top_k if closed is None else min(top_k, max(closed, coverage))
    shape = rows(_shape(table, top_k, full))[0]
    counts: ListCounts = {
        "classes": {str(row["CLASS"]): int(row["SERVED"]) for row in named},
        "firsts": {str(row["CLASS"]): int(row["FIRSTS"]) for row in classes if row["FIRSTS"]},
        "finite": all(math.isfinite(float(totals.get(name) or 0)) for name in ("LOWEST", "HIGHEST")),
        "coverage": coverage,
        "served": int(totals.get("TOTAL") or 0),
        "most_first": int(totals.get("MOST_FIRST") or 0),
        "full": full,
        "lists": int(shape["LISTS"] or 0),
        "short": int(shape["SHORT"] or 0),
        "misranked": int(shape["MISRANKED"] or 0),
        "disordered": int(shape["DISORDERED"] or 0),
        "longest": int(shape["LONGEST"] or 0),
    }
    if catalogue is not None:
        counts["unknown"] = int(totals.get("UNKNOWN") or 0)
        counts["unknown_classes"] = int(totals.get("UNKNOWN_CLASSES") or 0)
        counts["unknown_named"] = [str(row["CLASS"]) for row in classes if row["IS_UNKNOWN"]][:5]
    return counts


def count_continuity(
    rows: Rows, table: str, active: str, *, lists: bool, entities: int = 0, alike: bool = False
) -> Continuity:
    """Entities lost, and list entries changed, against the active release's table. Both names are quoted.

    Of many `entities` a sample is compared, chosen by a hash that is the same in both tables. Unless ENTITY and CLASS
    have `alike` types in both, they are compared and hashed as text: Snowflake would cast text to the other side's
    number and fail, and HASH(1) is not HASH('1'). Text takes four times as long in all (1 M rows, DuckDB).
    """
    sample = sample_of(entities)
    name = "continuity_lists.sql" if lists else "continuity_entities.sql"
    columns = {"entity": "ENTITY"} | ({"class": "CLASS"} if lists else {})
    spelt = {key: column if alike else f"TO_VARCHAR({column})" for key, column in columns.items()}
    found = rows(text(name, table=table, active=active, sample=str(sample), **spelt))[0]
    return {
        "old": int(found["OLD_ENTITIES"] or 0),
        "lost": int(found["LOST"] or 0),
        "entries": int(found["ENTRIES"] or 0),
        "changed": int(found["CHANGED"] or 0),
        "sample": sample,
    }


def cumulative(value: str, edges: Sequence[float], prefix: str) -> str:
    """SQL that counts the values up to each edge, each column followed by a comma. Edges are written by repr, which
    Snowflake reads back exactly. `bins` turns the answer into counts per bin."""
    return "".join(f"COUNT_IF({value} <= {edge!r}) AS {prefix}{index},\n    " for index, edge in enumerate(edges))


def bins(row: Row, edges: Sequence[float], prefix: str) -> list[int]:
    """Counts per bin (-inf, e1], (e1, e2], ..., (en, inf), from the columns of `cumulative` and from VALUE_COUNT, the
    number of values that are not null."""
    upto = [int(row[f"{prefix}{index}"] or 0) for index in range(len(edges))] + [int(row["VALUE_COUNT"] or 0)]
    return [now - before for before, now in zip([0, *upto], upto, strict=False)]


def quantile_edges(rows: Rows, table: str, value: str, where: str) -> list[float]:
    """Inner edges of a table's own bins: nine deciles, without repeats."""
    return distinct_edges(quantiles(rows, table, value, where))


def quantiles(rows: Rows, table: str, value: str, where: str) -> list[float]:
    """The nine deciles of a column; empty where it has no value."""
    pieces = ", ".join(f"APPROX_PERCENTILE({value}, {index / BINS}) AS Q{index}" for index in range(1, BINS))
    found = rows(text("quantiles.sql", quantiles=pieces, table=table, where=where))[0]
    return [float(found[f"Q{index}"]) for index in range(1, BINS) if found[f"Q{index}"] is not None]


def _shape(table: str, top_k: int, full: int) -> str:
    """The statement on the shape of lists. Ranks and falling scores are checked rank by rank in one grouping, which needs
    no sort; in long lists, by a window."""
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
    """One of the SQL files, filled in. ConfigError for a placeholder without a value."""
    return render((_FOLDER / name).read_text(), name, **values)
