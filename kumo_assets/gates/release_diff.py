"""What changed between two releases, from the counts stored with them: entities, classes, scores, gates and models.

They outlive the releases' tables. What only the tables can say is counted in `release_diff_sql`, and laid over this. Which
two releases are compared is the caller's choice, or `default_pair`'s. Reads stored documents; asks no warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kumo_serving.pointer import release_of_table

from kumo_assets.errors import Refused
from kumo_assets.gates.counts import ListCounts, PredictionCounts, Statistics, statistics_in
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import served_release
from kumo_assets.releases.operations.promote import next_promotion
from kumo_assets.releases.store import SealedRelease

DOING = "compare releases of"
MOST_CLASSES = 10
STORED = "stored counts"


@dataclass(frozen=True)
class Side:
    """One of the two releases."""

    release_id: str
    partition: str
    sealed_at: str
    entities: int
    rows: int
    model_id: str | None
    job_id: str | None
    tracking_url: str | None
    gates: dict[str, str]


@dataclass(frozen=True)
class ClassShare:
    """A class's share of all list entries before and after; `name` where a catalogue knows one. None: not among the
    classes that were kept by name."""

    label: str
    before: float | None
    after: float | None
    name: str | None = None


@dataclass(frozen=True)
class ScoreBin:
    """The share of scores up to `upto` (None: above the last edge) and above the bin before."""

    upto: float | None
    before: float
    after: float


@dataclass(frozen=True)
class Example:
    """What one entity was and is shown: [class, score] best first, or a number alone; empty where it is not in the table."""

    entity: str
    before: list[list[str | float]]
    after: list[list[str | float]]


@dataclass(frozen=True)
class Diff:
    """What changed from `before` to `after`. Shares are fractions; None where nothing says.

    `counted` says from what: the tables, of one entity in `sample`, or the stored counts, and `why` the tables were not
    asked. `lost` and `gained` are shares of the entities before and after, `unchanged` of the entities in both whose list
    (number, for a regression) is the same, `same_classes` whose list has the same classes in any order, `changed` of list
    entries that are not in the new list. `moved` is by how many places a class that stays in a list moved, on average;
    `change` and `absolute_change` are means over the entities' numbers, for a regression.
    """

    query: str
    before: Side
    after: Side
    counted: str = STORED
    why: str = ""
    sample: int = 1
    lost: float | None = None
    gained: float | None = None
    unchanged: float | None = None
    same_classes: float | None = None
    changed: float | None = None
    moved: float | None = None
    change: float | None = None
    absolute_change: float | None = None
    classes_gained: list[ClassShare] = field(default_factory=list)
    classes_lost: list[ClassShare] = field(default_factory=list)
    scores: list[ScoreBin] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def default_pair(ctx: ReleaseContext, first: str | None = None) -> tuple[str, str]:
    """(before, after): what waits against the active release, else the active one against the one before it. `first` is
    what to compare instead of what waits. Refused when there are no two."""
    found = ctx.pointers.read()
    if found is None:
        raise Refused(DOING, to=ctx.query, found="nothing is active", next="name two: kumo-assets diff QUERY A B")
    pointer = found.pointer
    active = served_release(ctx, pointer)
    waits = first or (pointer.staged.served_release_id if pointer.staged is not None else "") or _candidate(ctx)
    if waits and active and waits != active:
        return active, waits
    before = next((item.release_id or release_of_table(item.table) or "" for item in pointer.previous), "")
    if not before or not active:
        next_step = f"name two: kumo-assets diff {ctx.query} A B"
        raise Refused(DOING, to=ctx.query, found=f"no release was active before {active or 'it'}", next=next_step)
    return before, active


def _candidate(ctx: ReleaseContext) -> str:
    release, decision = next_promotion(ctx)
    return release or "" if decision.outcome == "promote" else ""


def stored_diff(ctx: ReleaseContext, before: str, after: str) -> Diff:
    """What the stored counts say. Refused for a release that is not sealed, DamagedDocument for one that is damaged."""
    old, new = _sealed(ctx, before), _sealed(ctx, after)
    was, now = statistics_in(old.seal.statistics), statistics_in(new.seal.statistics)
    gained, lost = _classes(was.get("postprocessed", {}), now.get("postprocessed", {}))
    diff = Diff(
        ctx.query,
        _side(ctx, old),
        _side(ctx, new),
        classes_gained=gained,
        classes_lost=lost,
        scores=_scores(was.get("predictions", {}), now.get("predictions", {}), before),
    )
    return _with_continuity(diff, now, before)


def _sealed(ctx: ReleaseContext, release: str) -> SealedRelease:
    ctx.names.release_prefix(release)  # ConfigError for what is no release id
    found = ctx.store.sealed(release)
    if found is None:
        raise Refused(DOING, to=ctx.query, found=f"{release} is not sealed", next=f"kumo-assets releases {ctx.query}")
    return found


def _side(ctx: ReleaseContext, sealed: SealedRelease) -> Side:
    seal = sealed.seal
    opened = ctx.store.opened(sealed.release_id)
    verdicts = ctx.store.required_verdicts(opened) if opened is not None else {}
    return Side(
        release_id=sealed.release_id,
        partition=seal.partition,
        sealed_at=seal.sealed_at,
        entities=seal.counts.entities,
        rows=seal.counts.rows,
        model_id=seal.kumo.model_id,
        job_id=seal.kumo.job_id,
        tracking_url=seal.kumo.tracking_url,
        gates={
            gate: verdict.severity if verdict is not None else "missing" for gate, verdict in sorted(verdicts.items())
        },
    )


def _classes(was: ListCounts, now: ListCounts) -> tuple[list[ClassShare], list[ClassShare]]:
    """The classes whose share of list entries grew and shrank most. One that a release does not name counts as 0 there
    when all its classes are named; else nobody knows its share, and it is left out."""
    shares = [_shares(counts) for counts in (was, now)]
    whole = [counts.get("coverage", 0) <= len(counts.get("classes", {})) for counts in (was, now)]
    if not all(shares):
        return [], []
    moves = []
    for label in sorted(shares[0].keys() | shares[1].keys()):
        pair = [found.get(label, 0.0 if named else None) for found, named in zip(shares, whole, strict=True)]
        if pair[0] is not None and pair[1] is not None:
            moves.append((pair[1] - pair[0], ClassShare(label, pair[0], pair[1])))
    rising = sorted((move for move in moves if move[0] > 0), key=lambda move: -move[0])
    falling = sorted((move for move in moves if move[0] < 0), key=lambda move: move[0])
    return [share for _, share in rising[:MOST_CLASSES]], [share for _, share in falling[:MOST_CLASSES]]


def _shares(counts: ListCounts) -> dict[str, float]:
    served = counts.get("served", 0)
    return {label: count / served for label, count in counts.get("classes", {}).items()} if served else {}


def _scores(was: PredictionCounts, now: PredictionCounts, before: str) -> list[ScoreBin]:
    """Both releases' scores over the same bins: the earlier one's, over which the later one was counted, or equal ones.
    Empty where the two were counted over different bins."""
    edges = was.get("edges") or []
    counted_against = now.get("baselines", {}).get("main") == before and len(now.get("against", [])) == len(edges) + 1
    if edges and counted_against:
        return score_bins(edges, was.get("histogram", []), now["against"])
    if edges and edges == now.get("edges"):
        return score_bins(edges, was.get("histogram", []), now.get("histogram", []))
    return []


def score_bins(edges: list[float], was: list[int], now: list[int]) -> list[ScoreBin]:
    """Counts of two releases over the same edges, as shares."""
    old, new = sum(was), sum(now)
    if not old or not new:
        return []
    return [ScoreBin(upto, left / old, right / new) for upto, left, right in zip([*edges, None], was, now, strict=True)]


def _with_continuity(diff: Diff, now: Statistics, before: str) -> Diff:
    """With what the later release's gates counted against the earlier one's table, when that was the active one then."""
    lists = now.get("postprocessed", {})
    found = lists.get("continuity", {})
    if lists.get("baselines", {}).get("active") != before or not found.get("old"):
        return diff
    entries = found.get("entries", 0)
    return replace(
        diff,
        sample=found.get("sample", 1),
        lost=found["lost"] / found["old"],
        changed=found["changed"] / entries if entries else None,
    )


def named(diff: Diff, names: Mapping[str, str]) -> Diff:
    """With the names of its classes."""
    return replace(
        diff,
        classes_gained=[replace(one, name=names.get(one.label)) for one in diff.classes_gained],
        classes_lost=[replace(one, name=names.get(one.label)) for one in diff.classes_lost],
    )
