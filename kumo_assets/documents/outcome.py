"""The documents under `outcomes/` in a release's folder: which sample of what it serves was kept, and how good it was at
each age. Counting and judging are in `kumo_assets.outcomes`."""

from __future__ import annotations

from pydantic import Field

from kumo_assets.config.tasks import Task
from kumo_assets.documents.base import Document, Record


class Served(Document):
    """`outcomes/served.json`: the Snowflake table with a sample of what the release serves. `share` of the `entities` is
    in it, chosen by a hash that is the same in every release; 1 is all. `top_k` is the length of a full list."""

    release_id: str
    partition: str
    task: Task
    top_k: int
    table: str
    database: str
    schema_name: str = Field(alias="schema")
    entities: int
    share: float
    taken_at: str


class ServedDropped(Document):
    """`outcomes/dropped.json`: the sample is not needed any more, and its table was dropped."""

    release_id: str
    at: str
    by: str
    reason: str = ""


class Figure(Record):
    """A figure, its standard error by entity (None for one that has none), and how many entities it is over."""

    value: float
    standard_error: float | None = None
    entities: int = 0


class RivalOutcome(Record):
    """The same figures of a rival on the same days, and the paired differences (release - rival) on the entities that both
    have. `release_id` is None for the release's own fallback. `reason` says why there is no comparison; else it is ""."""

    release_id: str | None = None
    figures: dict[str, Figure] = Field(default_factory=dict)
    differences: dict[str, Figure] = Field(default_factory=dict)
    reason: str = ""


class CalibrationRow(Record):
    """One tenth of the entities by what was predicted."""

    entities: int
    predicted: float
    happened: float
    standard_error: float


class Outcome(Document):
    """`outcomes/<age>.json`: how good the release was, this many days after its partition's end. Written once.

    `judged` is False where nobody will ever know, with the `reason`. The events are those in [`window_start`,
    `window_end`). `entities` are those of the sample that were judged, `active` those of them with an event. `rivals` are
    `fallback` (the list or number that everybody would get) and `before` (the release that was live before).
    """

    release_id: str
    partition: str
    task: Task
    age_days: int
    judged: bool
    reason: str = ""
    window_start: str
    window_end: str
    judged_at: str
    run_id: str
    hours_live: float
    share: float = 1
    top_k: int = 0
    entities: int = 0
    active: int = 0
    figures: dict[str, Figure] = Field(default_factory=dict)
    rivals: dict[str, RivalOutcome] = Field(default_factory=dict)
    calibration: tuple[CalibrationRow, ...] = ()
