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
    warn_change: float = Field(default=0.1, gt=0, description="Relative change of entities that warns.")
    block_change: float = Field(default=0.3, gt=0, description="Relative change of entities that blocks.")

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


class GatesSpec(Strict):
    """All gates of one query."""

    kumo_warnings: KumoWarnings = Field(default_factory=KumoWarnings)
    volume: Volume = Field(default_factory=Volume)
    keys: Keys = Field(default_factory=Keys)
    list_shape: ListShape = Field(default_factory=ListShape)

    def gates_of(self, task: str) -> dict[str, dict[str, str]]:
        """Gate -> {asset, mode} of the gates that are asked for a query of this task, as `opened.json` records them."""
        found = {
            "kumo_warnings": {"asset": "predictions", "mode": self.kumo_warnings.mode},
            "volume": {"asset": "predictions", "mode": self.volume.mode},
            "keys": {"asset": "predictions", "mode": self.keys.mode},
        }
        if task in ("ranking", "multiclass_classification"):
            found["list_shape"] = {"asset": "postprocessed", "mode": self.list_shape.mode}
        return {gate: record for gate, record in found.items() if record["mode"] != "off"}
