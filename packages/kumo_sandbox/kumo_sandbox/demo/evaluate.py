"""How good were the predictions? Read out of what `kumo-assets outcomes` says of a release; nothing is counted here.

The demo lets time go on: it streams the days after the last release, which neither the run nor Kumo had seen, and asks for
the outcomes then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from kumo_sandbox.grocery import EventLog

HORIZON_DAYS = 28


@dataclass(frozen=True)
class Score:
    """Mean number of listed items that an entity took afterwards, and the share of entities that took at least one."""

    mean_hits: float
    hit_share: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of the lists, of the list that everybody would get (`popular`), and of the release before on the entities that
    both have (None without one). The first two are over all `entities` that had a list, also those with no event in the
    `days` after; `active` counts those that had one.
    """

    entities: int
    active: int
    days: int
    listed: int
    predicted: Score
    popular: Score
    before: Score | None = None


def days_after(log: EventLog, day: date, horizon: int = HORIZON_DAYS) -> int:
    """How many whole days of the log there are after `day`, at most `horizon`."""
    return max(0, min(horizon, (log.days[1] - day).days))


def evaluation_of(outcomes: object, release: str) -> Evaluation | None:
    """The outcome of a release at its greatest age, out of the document of `kumo-assets outcomes --json`; None when it was
    not judged at any."""
    listed: Sequence[Any] = outcomes if isinstance(outcomes, list) else ()
    found = [
        one
        for one in listed
        if isinstance(one, dict) and one.get("release_id") == release and one.get("judged") is True
    ]
    if not found:
        return None
    outcome = max(found, key=lambda one: int(one["age_days"]))
    rivals = outcome["rivals"]
    own = _score(outcome["figures"])
    assert own is not None, "what was judged has figures"
    return Evaluation(
        entities=int(outcome["entities"]),
        active=int(outcome["active"]),
        days=int(outcome["age_days"]),
        listed=int(outcome["top_k"]),
        predicted=own,
        popular=_score(rivals.get("fallback", {}).get("figures", {})) or Score(0.0, 0.0),
        before=_score(rivals.get("before", {}).get("figures", {})),
    )


def _score(figures: Mapping[str, Any]) -> Score | None:
    if "mean_hits" not in figures or "hit_rate" not in figures:
        return None
    return Score(float(figures["mean_hits"]["value"]), float(figures["hit_rate"]["value"]))
