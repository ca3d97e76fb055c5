"""The outcomes of a query's releases as they are stored: read for a person, newest first. Counting and judging are in
`kumo_assets.outcomes`; here nobody asks Snowflake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kumo_assets.config.tasks import Task
from kumo_assets.documents import Outcome
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import past
from kumo_assets.releases.listing import Listing

# The figure that a task is judged by, and whether more of it is better.
MAIN: dict[Task, tuple[str, bool]] = {
    "ranking": ("mean_hits", True),
    "regression": ("mean_absolute_error", False),
    "binary_classification": ("brier", False),
    "multiclass_classification": ("accuracy", True),
}
# Releases that a short look reads.
NEWEST = 10


def outcomes_of(ctx: ReleaseContext, listed: Sequence[Listing], age: int | None = None) -> Iterator[Outcome]:
    """Every stored outcome (of one age), of the newest release first, ages ascending; damaged ones left out."""
    for item in sorted(listed, key=lambda item: item.order, reverse=True):
        for found in item.ages_judged:
            if age is None or found == age:
                outcome = past([], lambda release=item.release_id, at=found: ctx.store.outcome(release, at))  # type: ignore[misc]
                if outcome is not None:
                    yield outcome


def newest_outcome(ctx: ReleaseContext, listed: Sequence[Listing]) -> dict[str, object] | None:
    """The newest outcome that was judged, in a few fields for `status`; None when there is none."""
    with_outcomes = [item for item in listed if item.ages_judged][-NEWEST:]
    found = next((one for one in outcomes_of(ctx, with_outcomes) if one.judged), None)
    if found is None:
        return None
    name, _ = MAIN[found.task]
    own = found.figures.get(name)
    return {
        "release_id": found.release_id,
        "age_days": found.age_days,
        "figure": name,
        "value": own.value if own is not None else None,
        "standard_error": own.standard_error if own is not None else None,
        "rivals": {kind: rival.figures[name].value for kind, rival in found.rivals.items() if name in rival.figures},
    }
