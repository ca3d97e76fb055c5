"""What a demo is asked for and what came of it: values only, and the JSON document of `kumo-sandbox demo --json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kumo_sandbox.demo.evaluate import Evaluation
from kumo_sandbox.demo.plan import DEFAULT_DAYS
from kumo_sandbox.grocery import Columns

BLOCKED = 3


@dataclass(frozen=True)
class DemoOptions:
    """What a person can ask for. `events` None is the grocery year; `break_kind` one of `faults.BREAKS`."""

    home: Path
    days: int = DEFAULT_DAYS
    break_kind: str | None = None
    events: Path | None = None
    columns: Columns = field(default_factory=Columns)
    row_filter: str | None = None
    entity: str | None = None
    folder: Path = field(default_factory=Path.cwd)


@dataclass
class Demo:
    """What came of it, also as JSON (`document`)."""

    query: str
    releases: list[dict[str, Any]] = field(default_factory=list)
    lookup: dict[str, Any] | None = None
    evaluation: Evaluation | None = None
    blocked: dict[str, Any] | None = None
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        return BLOCKED if self.blocked else 0

    def document(self) -> dict[str, Any]:
        found = self.evaluation
        return {
            "query": self.query,
            "releases": self.releases,
            "lookup": self.lookup,
            "evaluation": found
            and {
                "partition": self.releases[-1]["partition"],
                "entities": found.entities,
                "active": found.active,
                "days": found.days,
                "listed": found.listed,
                "mean_hits": found.predicted.mean_hits,
                "hit_share": found.predicted.hit_share,
                "popular_mean_hits": found.popular.mean_hits,
                "popular_hit_share": found.popular.hit_share,
            },
            "blocked": self.blocked,
            "exit_status": self.exit_status,
            "seconds": round(self.seconds, 1),
        }
