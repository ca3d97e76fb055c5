"""The rows of one run of `prove`: each assumption holds, differs, or was not tried, with what was seen.

A row is tried inside a `with` block. An exception is its outcome and never ends the run: a system that refuses one thing
must not hide the others. What is tried is in the modules of the areas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from kumo_serving.errors import KumoAssetsError

from kumo_assets.proving.assumptions import ASSUMPTIONS, BY_NAME, Area, Assumption
from kumo_assets.redaction import without_secrets
from kumo_assets.resources.aws import explain_error

Outcome = Literal["holds", "differs", "not tried"]
MOST_SEEN = 400


class Differs(Exception):
    """The assumption does not hold: what was seen."""


class NotTried(Exception):
    """The assumption could not be tried, or nobody asked for it: why."""


@dataclass(frozen=True)
class Row:
    """One row of the report."""

    assumption: Assumption
    outcome: Outcome
    seen: str


@dataclass
class Trial:
    """A row while it is tried: `seen` is what it shows when it holds."""

    seen: str = ""


@dataclass
class Report:
    """The rows as they are decided; `on_row` is called with each."""

    on_row: Callable[[Row], object] = lambda row: None
    rows: dict[str, Row] = field(default_factory=dict)

    @contextmanager
    def trying(self, name: str) -> Iterator[Trial]:
        """Decide the row `name` by what the block does. No exception leaves it, but for an interruption."""
        trial = Trial()
        try:
            yield trial
        except NotTried as reason:
            self._decide(name, "not tried", str(reason))
        except Differs as found:
            self._decide(name, "differs", str(found))
        except KumoAssetsError as error:
            self._decide(name, "differs", f"{error.found or error}")
        except Exception as error:  # noqa: BLE001 - whatever a system answers is this row's outcome
            self._decide(name, "differs", explain_error(error, "")[0])
        else:
            self._decide(name, "holds", trial.seen)

    def skip(self, name: str, reason: str) -> None:
        """Decide that a row is not tried."""
        self._decide(name, "not tried", reason)

    def skip_rest(self, area: Area, reason: str) -> None:
        """Decide that every row of an area that is not decided yet is not tried."""
        for one in ASSUMPTIONS:
            if one.area == area and one.name not in self.rows:
                self._decide(one.name, "not tried", reason)

    def holds(self, *names: str) -> bool:
        """Whether all these rows were tried and hold."""
        return all(name in self.rows and self.rows[name].outcome == "holds" for name in names)

    def in_order(self) -> list[Row]:
        """The rows in the order of the page."""
        return [self.rows[one.name] for one in ASSUMPTIONS if one.name in self.rows]

    def _decide(self, name: str, outcome: Outcome, seen: str) -> None:
        row = Row(BY_NAME[name], outcome, " ".join(without_secrets(seen).split())[:MOST_SEEN])
        self.rows[name] = row
        self.on_row(row)
