"""The `gates:` section of a query: each gate's mode and limits, with the defaults that hold when nothing is written.

A gate in `block` mode stops a release at its block limit, one in `warn` mode never does, one that is `off` is not
asked. The import's completeness is not here: it cannot be switched off (rule 6). What each figure means is in
`docs/gates.md`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kumo_assets.config.names import RELEASE_PATTERN
from kumo_assets.config.raw_logs import IDENTIFIER, Strict


def _off(value: Any) -> Any:
    """YAML 1.1 reads a bare `off` as false; a person who writes `mode: off` means the word."""
    return "off" if value is False else value


Mode = Annotated[Literal["block", "warn", "off"], BeforeValidator(_off)]
# The asset a gate looks at. The chain's names are in `config.names`; only these two have gates that a user may set.
GatedAsset = Literal["predictions", "postprocessed"]
OWN_GATE = r"^[a-z][a-z0-9_]{1,62}$"


class Gate(Strict):
    """What every gate has."""

    mode: Mode = "block"


class Limits(Gate):
    """A gate with one figure and two limits on it. The limit that counts is never under what chance alone shows."""

    warn: float = Field(ge=0)
    block: float = Field(ge=0)

    @model_validator(mode="after")
    def _rising(self) -> Limits:
        if self.warn > self.block:
            raise ValueError(f"warn ({self.warn}) must not be more than block ({self.block})")
        return self


class RawFreshness(Gate):
    """Minutes between a stream's newest event of the partition's day and the day's end."""

    warn_minutes: float | None = Field(
        default=None, ge=0, description="Default: schedule.late_logs_tolerance_minutes, the time late logs may lack."
    )
    block_minutes: float | None = Field(default=None, ge=0, description="Default: three times the same.")


class RawVolume(Limits):
    """Relative change of the rows each raw log has for the partition's day. A rise only ever warns."""

    min_rows: int = Field(default=1, ge=0, description="Fewer rows in the day than this block.")
    warn: float = Field(default=0.5, ge=0)
    block: float = Field(default=0.9, ge=0)


class RawDrift(Limits):
    """PSI of named raw columns over the partition's day. Asked only for the columns named."""

    columns: dict[str, list[str]] = Field(default_factory=dict, description="Raw log -> columns to watch.")
    per: dict[str, str] = Field(
        default_factory=dict,
        description="Raw log -> column whose rows move together (a basket, a user): counts for the noise floor.",
    )
    warn: float = Field(default=0.1, ge=0)
    block: float = Field(default=0.25, ge=0)


class KumoWarnings(Gate):
    """Kumo's own words from launch and job. Errors block in every mode; a warning outside the list is unlisted."""

    allow: list[str] = Field(default_factory=list, description="Title patterns (fnmatch) of warnings to live with.")
    max_unlisted: int = Field(default=0, ge=0)


class Volume(Limits):
    """Relative change of entities and rows predicted, and a least number of entities."""

    min_entities: int = Field(default=1, ge=1)
    warn: float = Field(default=0.1, ge=0)
    block: float = Field(default=0.25, ge=0)


class Keys(Gate):
    """Null keys and repeated (ENTITY, CLASS) pairs in Kumo's table: none is right."""


class ScoreRange(Gate):
    """Scores are finite, not all the same, and within bounds (0 to 1 for classifications unless written)."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _rising(self) -> ScoreRange:
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"min ({self.min}) must be less than max ({self.max})")
        return self


class ScoreDrift(Limits):
    """PSI of the predicted scores or numbers, over the baseline's own quantile bins."""

    warn: float = Field(default=0.1, ge=0)
    block: float = Field(default=0.15, ge=0)


class ListShape(Limits):
    """Lists to be served: none too long, ranks 1, 2, 3, ..., scores falling; the limits are on the share of short ones."""

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.5, ge=0, le=1)


class ClassShare(Limits):
    """Total variation of what is recommended, over classes."""

    warn: float = Field(default=0.2, ge=0, le=1)
    block: float = Field(default=0.4, ge=0, le=1)


class ClassBalance(Limits):
    """Total variation of the predicted class, for classifications."""

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.15, ge=0, le=1)


class TopItem(Limits):
    """Share of first places that any one item gained."""

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.1, ge=0, le=1)


class Coverage(Limits):
    """Share of the baseline's number of distinct classes that is no longer recommended."""

    warn: float = Field(default=0.2, ge=0, le=1)
    block: float = Field(default=0.5, ge=0, le=1)


class Catalogue(Strict):
    """A Snowflake table with every item that may be recommended."""

    database: str | None = Field(default=None, pattern=IDENTIFIER, description="Default: SNOWFLAKE_DATABASE.")
    schema_name: str = Field(alias="schema", pattern=IDENTIFIER)
    table: str = Field(pattern=IDENTIFIER)
    column: str = Field(pattern=IDENTIFIER, description="Column with the item's key, as Kumo writes it in CLASS.")


class UnknownItems(Limits):
    """Share of list entries whose item is not in the catalogue. Asked only when a catalogue is given."""

    catalogue: Catalogue | None = None
    warn: float = Field(default=0.0, ge=0, le=1)
    block: float = Field(default=0.01, ge=0, le=1)


class EntitiesLost(Limits):
    """Share of the active release's entities that have no prediction any more."""

    warn: float = Field(default=0.01, ge=0, le=1)
    block: float = Field(default=0.03, ge=0, le=1)


class Overlap(Limits):
    """Share of the active release's list entries that are not in the new list of the same entity."""

    mode: Mode = "warn"
    warn: float = Field(default=0.8, ge=0, le=1)
    block: float = Field(default=0.95, ge=0, le=1)


class OwnGate(Gate):
    """A gate of the query's own: `gates/<name>.sql` or `gates/<name>.py` in its folder."""

    asset: GatedAsset = "postprocessed"


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

    def gates_of(self, task: str) -> dict[str, dict[str, str]]:
        """Built-in gate -> {asset, mode} of those asked for a query of this task, as `opened.json` records them.

        `kumo_warnings` is asked even when it is off: Kumo's errors block in every mode.
        """
        asked: dict[str, tuple[str, ...]] = {
            "predictions": (
                *RAW_GATES[:2],
                *(RAW_GATES[2:] if self.raw_drift.columns else ()),
                "kumo_warnings",
                "volume",
                "keys",
                "score_range",
                "score_drift",
            ),
            "postprocessed": (*_POSTPROCESSED[task], *(("unknown_items",) if self._asks_catalogue(task) else ())),
        }
        modes: dict[str, str] = {name: getattr(self, name).mode for names in asked.values() for name in names}
        if modes["kumo_warnings"] == "off":
            modes["kumo_warnings"] = "warn"
        return {
            name: {"asset": asset, "mode": modes[name]}
            for asset, names in asked.items()
            for name in names
            if modes[name] != "off"
        }

    def _asks_catalogue(self, task: str) -> bool:
        return task == "ranking" and self.unknown_items.catalogue is not None


# Judged before Kumo's job is launched, for exactly the partition's day.
RAW_GATES = ("raw_freshness", "raw_volume", "raw_drift")
_POSTPROCESSED: dict[str, tuple[str, ...]] = {
    "ranking": ("list_shape", "class_share", "top_item", "coverage", "overlap", "entities_lost"),
    "multiclass_classification": ("list_shape", "class_balance", "entities_lost"),
    "binary_classification": ("class_balance", "entities_lost"),
    "regression": ("entities_lost",),
}
