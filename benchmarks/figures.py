"""What a benchmark says: figures with their targets, tables, notes. Plain values, written as JSON and read back.

Measuring is in `suite/`, printing in `report.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results" / "kept"


@dataclass(frozen=True)
class Figure:
    """One number; with a target it is met or missed. `sense` says on which side of `target` it should be."""

    name: str
    value: float
    unit: str = ""
    target: float | None = None
    sense: Literal["at most", "at least"] = "at most"

    @property
    def met(self) -> bool | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.sense == "at most" else self.value >= self.target


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Result:
    """One benchmark's outcome. `machine` and `at` are filled in by the runner."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    quick: bool = False
    seconds: float = 0.0
    at: str = ""
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.met is False]


def write(name: str, result: Result) -> Path:
    """Keep a result as `results/kept/<name>.json`, for the docs and for whoever compares two machines."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n")
    return path


def read(name: str) -> Result | None:
    """The kept result of a benchmark, None when it was never run here."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text())
    return Result(
        **{
            **kept,
            "figures": [Figure(**item) for item in kept["figures"]],
            "tables": [Table(**item) for item in kept["tables"]],
        }
    )
