"""What a query's own Python gate is given, `Release`, and what it returns, `Outcome`. Users import both from
`kumo_assets.gates`; how such a gate is found and judged is in `own`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Label -> (in the baseline, in this release): what the plot shows, this release over its baseline.
Bars = Mapping[str, tuple[float | None, float]]


@dataclass(frozen=True)
class Outcome:
    """What a Python gate returns. `warn` makes a failure a warning; `segment` is the part that moved most; `evidence`
    is stored with the verdict; `bars` are (in the baseline, in this release)."""

    passed: bool
    value: float | None = None
    message: str = ""
    warn: bool = False
    segment: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
    bars: Bars = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """What a Python gate is given: the release, quoted names of its tables and of the active release's (None where
    there is none), and a way to query Snowflake."""

    query: str
    partition: str
    release_id: str
    predictions: str
    postprocessed: str | None
    active_predictions: str | None
    active_postprocessed: str | None
    # A row is column name -> value, in whatever Python type the connector has for the column's.
    rows: Callable[[str], list[dict[str, Any]]] = field(repr=False)

    def frame(self, sql: str) -> pd.DataFrame:
        """A small result as a frame: counts, or a sample. At most 50,000 rows are fetched."""
        import pandas as pd

        return pd.DataFrame(self.rows(sql))
