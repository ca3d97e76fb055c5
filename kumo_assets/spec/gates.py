"""The `gates:` section of a query: each gate's mode and limits, with the defaults that hold when nothing is written.

A gate in `block` mode stops a release at its block limit, one in `warn` mode never does, one that is `off` is not
asked. The import's completeness is not here: it cannot be switched off (rule 6).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kumo_assets.spec.raw_logs import Strict

Mode = Literal["block", "warn", "off"]


class Gate(Strict):
    """What every gate has."""

    mode: Mode = "block"


class KumoWarnings(Gate):
    """Kumo's own words from launch and job. Errors always block; a warning outside the list counts as unlisted."""

    allow: list[str] = Field(default_factory=list, description="Title patterns (fnmatch) of warnings to live with.")
    max_unlisted: int = Field(default=0, ge=0)


class Volume(Gate):
    """Entities predicted for: a least number, and the change against the active release."""

    min_entities: int = Field(default=1, ge=1)
    warn_change: float = Field(default=0.1, gt=0, description="Relative change of entities or rows that warns.")
    block_change: float = Field(default=0.25, gt=0, description="Relative change of entities or rows that blocks.")

    @model_validator(mode="after")
    def _ordered(self) -> Volume:
        if self.warn_change > self.block_change:
            raise ValueError(
                f"warn_change ({self.warn_change}) must not be more than block_change ({self.block_change})"
            )
        return self


class Keys(Gate):
    """Null keys and repeated (ENTITY, CLASS) pairs in Kumo's table: none is right."""


class ListShape(Gate):
    """Lists to be served: none too long, ranks 1, 2, 3, ..., scores falling, few short."""

    warn_short: float = Field(default=0.05, ge=0, le=1, description="Share of entities with fewer than top_k.")
    block_short: float = Field(default=0.5, ge=0, le=1)


class Limits(Gate):
    """A gate with one figure and two limits on it."""

    warn: float = Field(ge=0)
    block: float = Field(ge=0)

    @model_validator(mode="after")
    def _rising(self) -> Limits:
        if self.warn > self.block:
            raise ValueError(f"warn ({self.warn}) must not be more than block ({self.block})")
        return self


class ScoreDrift(Limits):
    """PSI of the scores against the active release, over the baseline's own quantile bins.

    A shift of half a standard deviation has a PSI of 0.24; the customary 0.2 would miss one in twenty at 2,000 entities
    (docs/gates_power.md).
    """

    warn: float = Field(default=0.1, ge=0)
    block: float = Field(default=0.15, ge=0)


class ClassShare(Limits):
    """Total variation of what is recommended, over classes, against the active release."""

    warn: float = Field(default=0.2, ge=0, le=1)
    block: float = Field(default=0.4, ge=0, le=1)


class TopItem(Limits):
    """Share of first places of the item that has most, beyond its share in the active release."""

    warn: float = Field(default=0.05, ge=0, le=1)
    block: float = Field(default=0.1, ge=0, le=1)


class Coverage(Limits):
    """Share of the active release's number of distinct classes that is no longer recommended."""

    warn: float = Field(default=0.2, ge=0, le=1)
    block: float = Field(default=0.5, ge=0, le=1)


class EntitiesLost(Limits):
    """Share of the active release's entities that have no list any more."""

    warn: float = Field(default=0.01, ge=0, le=1)
    block: float = Field(default=0.03, ge=0, le=1)


class Overlap(Limits):
    """Share of the active release's list entries that are not in the new list of the same entity."""

    mode: Mode = "warn"
    warn: float = Field(default=0.8, ge=0, le=1)
    block: float = Field(default=0.95, ge=0, le=1)


class GatesSpec(Strict):
    """All gates of one query."""

    kumo_warnings: KumoWarnings = Field(default_factory=KumoWarnings)
    volume: Volume = Field(default_factory=Volume)
    keys: Keys = Field(default_factory=Keys)
    score_drift: ScoreDrift = Field(default_factory=ScoreDrift)
    list_shape: ListShape = Field(default_factory=ListShape)
    class_share: ClassShare = Field(default_factory=ClassShare)
    top_item: TopItem = Field(default_factory=TopItem)
    coverage: Coverage = Field(default_factory=Coverage)
    entities_lost: EntitiesLost = Field(default_factory=EntitiesLost)
    overlap: Overlap = Field(default_factory=Overlap)

    def gates_of(self, task: str) -> dict[str, dict[str, str]]:
        """Gate -> {asset, mode} of the gates that are asked for a query of this task, as `opened.json` records them."""
        listed = task != "regression"
        asked = {
            "predictions": ("kumo_warnings", "volume", "keys", "score_drift"),
            "postprocessed": (
                *(("list_shape",) if task in ("ranking", "multiclass_classification") else ()),
                *(("class_share",) if listed else ()),
                *(("top_item", "coverage", "overlap") if task == "ranking" else ()),
                "entities_lost",
            ),
        }
        modes: dict[str, str] = {name: getattr(self, name).mode for names in asked.values() for name in names}
        return {
            name: {"asset": asset, "mode": modes[name]}
            for asset, names in asked.items()
            for name in names
            if modes[name] != "off"
        }
