"""What every source of predictions does, and the values that pass between a source and the assets that use it.

No source is here, and nothing of Dagster's: a run's log and its cancellation are handed in as callables. Which source a
definition means is in `opening`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from pydantic import JsonValue

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import QueryNames
from kumo_assets.documents import Attempt, PredictionDetails
from kumo_assets.models.registry import Model, ModelRegistry
from kumo_assets.resources.snowflake import Warehouse


@dataclass(frozen=True)
class Link:
    """An address to look at; shown as a link."""

    url: str


# What the UI shows of a release's predictions, by its label.
Figures: TypeAlias = Mapping[str, Link | str | int | float]


@dataclass(frozen=True)
class Work:
    """What a source is given for any work: the query, its outside systems, and a way to the run's log.

    `resources` are those that the source names, by key. `say` and `warn` write a line to the log. `progress` takes the
    state at every poll and decides what of it is worth a line. `cancelling` says whether a person or Dagster is cancelling
    the run; a worker that merely dies never says so.
    """

    definition: QueryDefinition
    names: QueryNames
    registry: ModelRegistry
    resources: Mapping[str, object]
    say: Callable[[str], object]
    warn: Callable[[str], object]
    progress: Callable[[str], object]
    cancelling: Callable[[], bool]


class Attempts(Protocol):
    """What the attempts at one release's predictions were begun with, by number."""

    def attempt(self, number: int) -> Attempt | None:
        """What an attempt was begun with. None for one that was not begun, or by an earlier version."""
        ...

    def differs(self, begun: Attempt | None) -> str:
        """How that differs from `Source.parameters` of now; "" when it agrees, or is not known."""
        ...

    def other_run(self, begun: Attempt | None) -> str:
        """The run that began an attempt, when it is not this one; "" otherwise."""
        ...

    def begin_attempt(self, number: int) -> Attempt:
        """Record what an attempt is begun with, before anything is started. The first record stays and is returned."""
        ...


@dataclass(frozen=True)
class PredictionWork(Work):
    """The predictions of one release: anchored at `anchor` (UTC, the partition's end), written to a table of its own.
    What a source starts under an attempt's name, it begins in `attempts` first."""

    partition: str
    release_id: str
    root_run_id: str
    anchor: datetime
    warehouse: Warehouse
    attempts: Attempts

    def table(self, attempt: int) -> str:
        """The name of an attempt's Snowflake table, in the schema of `warehouse`; no other release or attempt has it."""
        return self.names.warehouse_table(self.release_id, "predictions", attempt)


@dataclass(frozen=True)
class TrainingWork(Work):
    """One training of the query's model. `root_run_id` says what it is for: a re-execution finds the training by it."""

    root_run_id: str


@dataclass(frozen=True)
class Predicted:
    """A proved table: its name, attempt, rows and distinct entities; `seconds` that the source took; what made it."""

    table: str
    attempt: int
    rows: int
    entities: int
    seconds: float
    details: PredictionDetails


@dataclass(frozen=True)
class Shown:
    """How Dagster shows and queues an asset that a source makes. `description` is one sentence. `pool` limits how many run
    at once. `resources` are the keys of the Dagster resources that the source asks for."""

    kinds: frozenset[str]
    description: str
    pool: str
    resources: frozenset[str]


class Source(Protocol):
    """One kind of producer, such as Kumo's service. It keeps no state; each call gets what it works on.

    A new source is a module beside this one, a line in `opening.SOURCES`, and its settings in `kumo_assets.config.query`.
    A gate that judges only its predictions names the source in its registration (`Gate.sources`).
    """

    @property
    def predictions(self) -> Shown: ...

    @property
    def model(self) -> Shown:
        """The model asset; it exists only for a query whose settings have `training`."""
        ...

    def parameters(self, definition: QueryDefinition) -> Mapping[str, JsonValue]:
        """What of the definition makes the predictions what they are; how they are waited for is not among it.

        Beside it the task and the anchor are compared. A part named `candidates` agrees when it was as many or more.
        """
        ...

    def predict(self, work: PredictionWork) -> Predicted:
        """Adopt or launch the release's computation, wait for its end, and prove its table.

        Called again for the same release it adopts what it started, and opens another attempt only after a failure (rule
        2). It refuses what it started with other parameters and that runs or is done. When the run is being cancelled it ends what it started. Raises KumoAssetsError.
        """
        ...

    def figures(self, details: PredictionDetails) -> Figures:
        """What the UI shows of the predictions, beside the figures of every asset."""
        ...

    def train(self, work: TrainingWork) -> tuple[Model, bool]:
        """(the new model, adopted): train the query again and register the model as the candidate.

        The model in use is not touched. Adopts and cancels as `predict` does. Raises KumoAssetsError.
        """
        ...

    @property
    def tried(self) -> str:
        """What `check` tries, for the list that `kumo-assets doctor` prints."""
        ...

    def check(self, queries: Sequence[QueryDefinition]) -> str:
        """Try the source for real, for the queries that use it: what was seen. Raises an error that says how to fix it."""
        ...
