"""What a gate declares about itself, once: the asset it looks at, the tasks it is for, what must hold, what to look at.

The registrations that a user can set are in `gates.py`; the import's, which nobody can set, is in
`kumo_assets.gates.import_complete`. Check descriptions, advice and the gates of a query are derived from them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypedDict

from pydantic import BeforeValidator, Field, model_validator

from kumo_assets.config.raw_logs import Strict
from kumo_assets.config.tasks import EVERY_TASK, Task

# The greatest limit that may be written: a change by this factor is no limit any more.
MOST = 1e9

# The assets that gates look at. A query's own gates may look at the first two.
SettableAsset = Literal["predictions", "postprocessed"]
GatedAsset = Literal["predictions", "postprocessed", "dynamodb_table"]


def off_as_text(value: object) -> object:
    """YAML 1.1 reads a bare `off` as false; a person who writes `mode: off` means the word."""
    return "off" if value is False else value


Mode = Annotated[Literal["block", "warn", "off"], BeforeValidator(off_as_text)]


class AskedGate(TypedDict):
    """One gate of a release, as `opened.json` records it."""

    asset: str
    mode: str


class Gate(Strict):
    """A registration. A subclass sets the class attributes below; its fields are the mode and limits a user may write.

    A new gate is a subclass and a field of `GatesSpec`, a judgement in a module of `kumo_assets.gates`, and a line in
    `kumo_assets.gates.bindings`.
    """

    # The asset whose counts the gate judges; its check belongs to that asset.
    asset: ClassVar[GatedAsset]
    # Tasks of queries that have this gate.
    tasks: ClassVar[tuple[Task, ...]] = EVERY_TASK
    # Names of the sources (`source:` in the YAML) whose predictions have this gate; None for every source.
    sources: ClassVar[tuple[str, ...] | None] = None
    # What holds when the gate passes: the description of its check.
    about: ClassVar[str]
    # What a person looks at when it does not pass.
    advice: ClassVar[str]
    # Judged on the raw logs before anything is launched, instead of on the asset once it exists.
    before_launch: ClassVar[bool] = False
    # Its errors block in every mode: `off` means `warn`, and its check is a blocking one in `warn` too. Which of its
    # judgements are such errors is said by `Judgement.always`.
    errors_always_block: ClassVar[bool] = False

    mode: Mode = "block"

    @property
    def judged_mode(self) -> Literal["block", "warn", "off"]:
        """The mode a release is judged in."""
        return "warn" if self.mode == "off" and self.errors_always_block else self.mode

    @property
    def configured(self) -> bool:
        """False for a gate that needs a setting which this query does not have."""
        return True

    def judges(self, task: Task, source: str | None = None) -> bool:
        """Whether a release of a query of this task and source is judged by this gate; without `source`, of any source."""
        fits = source is None or self.sources is None or source in self.sources
        return task in self.tasks and fits and self.configured and self.judged_mode != "off"


class Limits(Gate):
    """A gate with one figure and two limits on it. An effective limit is never below what chance alone would show."""

    warn: float = Field(ge=0, le=MOST)
    block: float = Field(ge=0, le=MOST)

    @model_validator(mode="after")
    def _rising(self) -> Limits:
        if self.warn > self.block:
            raise ValueError(f"warn ({self.warn}) must not be more than block ({self.block})")
        return self
