"""The counts of a release that its gates judge: one dictionary per asset, of JSON types.

They are stored as they are, in `statistics/<asset>.json` and in the seal's `statistics`, and are the baseline of later
releases. So a field keeps its name and its meaning, and any field may be missing: an older release did not count it, or
nobody needed it. Only shapes are here; `count_sql` and `raw.count_sql` fill them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict, cast


class NumberColumn(TypedDict):
    """A watched column of numbers in a raw log. Each histogram has one bin more than edges, and one for nulls.

    `units` are the rows, or the distinct values of the column whose rows move together (`raw_drift.per`).
    """

    kind: Literal["numbers"]
    rows: int
    units: int
    edges: list[float]
    histogram: list[int]
    against: list[int]  # over the baseline's edges
    against_reference: list[int]  # over the fixed reference's edges


class ValueColumn(TypedDict):
    """A watched column of text in a raw log: its most frequent values."""

    kind: Literal["values"]
    rows: int
    units: int
    values: dict[str, int]


ColumnCounts = NumberColumn | ValueColumn


class RawCounts(TypedDict, total=False):
    """One raw log on the partition's day, or the whole of a table that is no stream."""

    rows: int
    lag_minutes: float | None  # from the newest event to the day's end; None without events, missing when no stream
    columns: dict[str, ColumnCounts]


class Continuity(TypedDict, total=False):
    """A sample of the active release's entities, and list entries, looked up in the new table."""

    old: int
    lost: int
    entries: int
    changed: int
    sample: int  # one entity in how many was compared
    missing: str  # instead of counts: which table does not exist
    failed: str  # instead of counts: Snowflake's reason why the tables could not be compared


class Mark(TypedDict):
    """Release ids of the baselines that counts were taken against; empty where there was none."""

    active: str
    main: str
    reference: str


class AssetCounts(TypedDict, total=False):
    """What is stored with the counts of either asset: the baselines, and what the counting took."""

    baselines: Mark
    statements: int
    scans: int


class PredictionCounts(AssetCounts, total=False):
    """Of Kumo's table. `keys` are distinct keys, `edges` and `histogram` what a later release compares with.

    Where a release sets bins of its own, the first one always: of `values` scores `alike` are the median (of their class,
    for a multiclass), and of `decided` entities `contradicted` are predicted a class that is not their likeliest.
    """

    rows: int
    entities: int
    nulls: int
    keys: int
    finite: bool
    lowest: float | None
    highest: float | None
    edges: list[float]
    histogram: list[int]
    against: list[int]  # over the baseline's edges
    against_reference: list[int]  # over the fixed reference's edges
    values: int
    alike: int
    decided: int
    contradicted: int
    lowest_true: float | None  # of a binary table: the lowest probability predicted true, None when none is
    highest_false: float | None
    raw: dict[str, RawCounts]


class ListCounts(AssetCounts, total=False):
    """Of the table to be served. A regression has `lists` and `continuity` only.

    `classes` and `firsts` name the most frequent classes only; `coverage` counts all of them, `served` all entries.
    """

    lists: int
    full: int  # the length of a list that is not short
    short: int
    misranked: int
    disordered: int
    longest: int
    finite: bool
    classes: dict[str, int]
    firsts: dict[str, int]
    coverage: int
    served: int
    most_first: int
    unknown: int
    unknown_classes: int
    unknown_named: list[str]
    continuity: Continuity


# The counts of one asset.
Counts = PredictionCounts | ListCounts


class Statistics(TypedDict, total=False):
    """The counts of a release by asset, as its seal holds them."""

    predictions: PredictionCounts
    postprocessed: ListCounts


def counts_in(stored: Mapping[str, object]) -> Counts:
    """A stored `statistics/<asset>.json`, of whatever version: nothing is checked, and a field may be missing."""
    return cast(Counts, stored)


def statistics_in(stored: Mapping[str, object]) -> Statistics:
    """The stored `statistics` of a seal; as for `counts_in`, nothing is checked."""
    return cast(Statistics, stored)
