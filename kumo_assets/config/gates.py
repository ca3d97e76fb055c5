"""The `gates:` section of a query. Each class registers one gate: its mode and limits with their defaults, and what the
gate declares about itself (`registration.py` says what the attributes mean).

Nothing is judged here. The import's gate is not here either: no query can set it (rule 6). What each figure means is in
`docs/gates.md`.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from kumo_assets.config.names import RELEASE_PATTERN, ReleaseId
from kumo_assets.config.raw_logs import IDENTIFIER, MOST_ROWS, Strict
from kumo_assets.config.registration import MOST, AskedGate, Gate, Limits, Mode, SettableAsset
from kumo_assets.config.tasks import Task

# A score is any finite number.
FLOAT = sys.float_info.max
OWN_GATE = r"^[a-z][a-z0-9_]{1,62}$"


class RawFreshness(Gate):
    """Minutes between a stream's newest event of the partition's day and the day's end."""

    asset = "predictions"
    about = "The raw logs reach the end of the partition's day."
    advice = "look at the stream that ends early: is its connector behind, or has it stopped?"
    before_launch = True

    warn_minutes: float | None = Field(
        default=None, ge=0, le=MOST, description="Default: schedule.late_logs_tolerance_minutes."
    )
    block_minutes: float | None = Field(default=None, ge=0, le=MOST, description="Default: three times the same.")


class RawVolume(Limits):
    """Relative change of the rows each raw log has for the partition's day. A rise only ever warns."""

    asset = "predictions"
    about = "Rows of the raw logs in the partition's day: a least number, and the change against the baseline."
    advice = "compare the log's rows of the day with those of the day before: a stream that stopped, or runs twice?"
    before_launch = True

    min_rows: int = Field(default=1, ge=0, le=MOST_ROWS, description="Fewer rows in the day than this block.")
    warn: float = Field(default=0.5, ge=0, le=MOST)
    block: float = Field(default=0.9, ge=0, le=MOST)


class RawDrift(Limits):
    """PSI of named raw columns over the partition's day. Judged only for the columns named."""

    asset = "predictions"
    about = "PSI of the watched raw columns over the partition's day, against the baseline."
    advice = "look at the column that moved most, at its source: a changed schema, unit or default?"
    before_launch = True

    columns: dict[str, list[str]] = Field(default_factory=dict, description="Raw log -> columns to watch.")
    per: dict[str, str] = Field(
        default_factory=dict,
        description="Raw log -> column whose rows move together (a basket, a user): counts for the noise floor.",
    )
    warn: float = Field(default=0.1, ge=0, le=MOST)
    block: float = Field(default=0.25, ge=0, le=MOST)

    @property
    def configured(self) -> bool:
        return bool(self.columns)


class KumoWarnings(Gate):
    """Kumo's messages from launch and job. Errors block in every mode; a warning outside the list is unlisted."""

    asset = "predictions"
    sources = ("kumo",)
    about = "Kumo's own warnings and errors, verbatim: none beyond the allow-list; an error always blocks."
    advice = "read the warnings in Kumo's job; list harmless titles under gates.kumo_warnings.allow"
    errors_always_block = True

    allow: list[str] = Field(default_factory=list, description="Title patterns (fnmatch) of warnings to live with.")
    max_unlisted: int = Field(default=0, ge=0, le=10_000)


class Volume(Limits):
    """Relative change of entities and rows predicted, and a least number of entities."""

    asset = "predictions"
    about = "Entities and rows predicted: a least number, and the change against the baseline."
    advice = "compare the raw logs of the day with those of the day before: are entities missing upstream?"

    min_entities: int = Field(default=1, ge=1, le=MOST_ROWS)
    warn: float = Field(default=0.1, ge=0, le=MOST)
    block: float = Field(default=0.25, ge=0, le=MOST)


class Keys(Gate):
    """Null keys and repeated (ENTITY, CLASS) pairs in Kumo's table: none is right."""

    asset = "predictions"
    about = "No null key and no key twice in Kumo's table."
    advice = "look at repeated (ENTITY, CLASS) pairs in Kumo's table; a graph with a duplicated key gives them"


class ScoreRange(Gate):
    """Scores are finite, not the same for nearly everybody, within bounds (0 to 1 for classifications unless written), and
    the class predicted is the one they make likely."""

    asset = "predictions"
    about = "Scores are finite, not the same for nearly everybody, within bounds, and agree with the class predicted."
    advice = "scores that are all the same or out of bounds: a model that failed to train, or the wrong task?"

    min: float | None = Field(default=None, ge=-FLOAT, le=FLOAT)
    max: float | None = Field(default=None, ge=-FLOAT, le=FLOAT)
    most_alike: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Largest share of a release's scores (of one class, for a multiclass) that may be one and the same.",
    )
    contradicted: float = Field(
        default=0.1, ge=0, le=1, description="Largest share of entities predicted a class that is not their likeliest."
    )

    @model_validator(mode="after")
    def _rising(self) -> ScoreRange:
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"min ({self.min}) must be less than max ({self.max})")
        return self


class ScoreDrift(Limits):
    """PSI of the predicted scores or numbers, over the baseline's own quantile bins."""

    asset = "predictions"
    about = "PSI of the predicted scores against the baseline, over its own quantile bins."
    advice = "look at the bin that moved most: a retrained model, a changed feature, a column gone constant?"

    warn: float = Field(default=0.1, ge=0, le=MOST)
    block: float = Field(default=0.15, ge=0, le=MOST)


class ListShape(Limits):
    """Lists to be served: none too long, ranks 1, 2, 3, ..., scores falling; the limits are on the share of short ones."""

    asset = "postprocessed"
    tasks = ("ranking", "multiclass_classification")
    about = "The lists to be served: ranked, falling in score, none too long, few short."
    advice = "look at postprocess.sql: which rule leaves lists short, or ranks twice?"

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.5, ge=0, le=1)


class ClassShare(Limits):
    """Total variation of what is recommended, over classes."""

    asset = "postprocessed"
    tasks = ("ranking",)
    about = "Total variation of what is recommended, against the baseline."
    advice = "look at the class that moved most: a campaign, a catalogue change, a wrong join?"

    warn: float = Field(default=0.2, ge=0, le=1)
    block: float = Field(default=0.4, ge=0, le=1)


class ClassBalance(Limits):
    """Total variation of the predicted class, for classifications."""

    asset = "postprocessed"
    tasks = ("binary_classification", "multiclass_classification")
    about = "Total variation of the predicted class, against the baseline."
    advice = "look at the class that moved most: a retrained model, a moved threshold, a column gone constant?"

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.15, ge=0, le=1)


class TopItem(Limits):
    """Share of first places that any one item gained."""

    asset = "postprocessed"
    tasks = ("ranking",)
    about = "No item takes over the first places."
    advice = "look at the item that is first most often, and at the raw logs of it"

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.1, ge=0, le=1)


class Coverage(Limits):
    """Share of the baseline's number of distinct classes that is no longer recommended."""

    asset = "postprocessed"
    tasks = ("ranking",)
    about = "The catalogue that is recommended does not shrink."
    advice = "look for a filter in postprocess.sql, or a catalogue that was cut"

    warn: float = Field(default=0.2, ge=0, le=1)
    block: float = Field(default=0.5, ge=0, le=1)


class Catalogue(Strict):
    """A Snowflake table with every item that may be recommended."""

    database: str | None = Field(default=None, pattern=IDENTIFIER, description="Default: SNOWFLAKE_DATABASE.")
    schema_name: str = Field(alias="schema", pattern=IDENTIFIER)
    table: str = Field(pattern=IDENTIFIER)
    column: str = Field(pattern=IDENTIFIER, description="Column with the item's key, as Kumo writes it in CLASS.")
    name: str | None = Field(
        default=None, pattern=IDENTIFIER, description="Column with the item's name, which `kumo-assets diff` shows."
    )


class UnknownItems(Limits):
    """Share of list entries whose item is not in the catalogue. Judged only when a catalogue is given."""

    asset = "postprocessed"
    tasks = ("ranking",)
    about = "What is recommended is in the catalogue."
    advice = "look these items up: a catalogue that was cut, or logs of items that are gone?"

    catalogue: Catalogue | None = None
    warn: float = Field(default=0.0, ge=0, le=1)
    block: float = Field(default=0.01, ge=0, le=1)

    @property
    def configured(self) -> bool:
        return self.catalogue is not None


class EntitiesLost(Limits):
    """Share of the active release's entities that have no prediction any more."""

    asset = "postprocessed"
    about = "Entities of the active release keep a prediction."
    advice = "compare the entities of both tables: which segment is missing from the raw logs or the graph?"

    warn: float = Field(default=0.01, ge=0, le=1)
    block: float = Field(default=0.03, ge=0, le=1)


class Overlap(Limits):
    """Share of the active release's list entries that are not in the new list of the same entity."""

    asset = "postprocessed"
    tasks = ("ranking",)
    about = "Lists do not change altogether from one release to the next."
    advice = "lists that change altogether overnight point to a changed model or scrambled keys"

    mode: Mode = "warn"
    warn: float = Field(default=0.8, ge=0, le=1)
    block: float = Field(default=0.95, ge=0, le=1)


class OwnGate(Strict):
    """A gate of the query's own: `gates/<name>.sql` or `gates/<name>.py` in its folder."""

    mode: Mode = "block"
    asset: SettableAsset = "postprocessed"


class GatesSpec(Strict):
    """All gates of one query."""

    baseline: Literal["active", "weekday"] = Field(
        default="active",
        description="What drift is measured against: the last promoted release, or that of the same weekday last week.",
    )
    reference: str | None = Field(
        default=None, pattern=RELEASE_PATTERN, description="A release to compare with as well, against slow creep."
    )
    raw_freshness: RawFreshness = Field(default_factory=RawFreshness)
    raw_volume: RawVolume = Field(default_factory=RawVolume)
    raw_drift: RawDrift = Field(default_factory=RawDrift)
    kumo_warnings: KumoWarnings = Field(default_factory=KumoWarnings)
    volume: Volume = Field(default_factory=Volume)
    keys: Keys = Field(default_factory=Keys)
    score_range: ScoreRange = Field(default_factory=ScoreRange)
    score_drift: ScoreDrift = Field(default_factory=ScoreDrift)
    list_shape: ListShape = Field(default_factory=ListShape)
    class_share: ClassShare = Field(default_factory=ClassShare)
    class_balance: ClassBalance = Field(default_factory=ClassBalance)
    top_item: TopItem = Field(default_factory=TopItem)
    coverage: Coverage = Field(default_factory=Coverage)
    unknown_items: UnknownItems = Field(default_factory=UnknownItems)
    entities_lost: EntitiesLost = Field(default_factory=EntitiesLost)
    overlap: Overlap = Field(default_factory=Overlap)
    own: dict[Annotated[str, Field(pattern=OWN_GATE)], OwnGate] = Field(
        default_factory=dict, description="Mode and asset of the gates in the query's gates/ folder, by name."
    )

    @field_validator("reference")
    @classmethod
    def _a_release(cls, value: str | None) -> str | None:
        if value is not None and ReleaseId.parse(value) is None:
            raise ValueError(f"{value!r} is no release: there is no such day")
        return value

    @classmethod
    def registrations(cls) -> dict[str, type[Gate]]:
        """Gate -> its registration: every field that is a gate, under the field's name."""
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Gate)}

    def gates_of(self, task: Task, source: str | None = None) -> dict[str, AskedGate]:
        """Built-in gate -> {asset, mode} of those that judge a query of this task and source, as `opened.json` records
        them; without `source`, of any source.

        The import's gate is not among them: it judges every release, whatever its definition says.
        """
        return {
            name: AskedGate(asset=gate.asset, mode=gate.judged_mode)
            for name, gate in self
            if isinstance(gate, Gate) and gate.judges(task, source)
        }
