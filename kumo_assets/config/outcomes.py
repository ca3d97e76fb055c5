"""The `outcomes:` section of a query: when its releases are looked at again, and what counts as having happened.

Values only. What is counted, and the formulas, are in `kumo_assets.outcomes`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from kumo_assets.config.raw_logs import IDENTIFIER, Strict
from kumo_assets.config.registration import off_as_text

MOST_DAYS = 366
# Ages that are looked at when the definition names none, as far as the horizon reaches.
USUAL_AGES = (1, 7, 28)
# The query's own statement of what happened, beside defs.yaml.
FILE = "outcomes.sql"

Age = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class Events(Strict):
    """Which rows of a raw log are a hit of a ranking: the entity took the class in the window."""

    model_config = ConfigDict(populate_by_name=True)

    log: str = Field(description="A raw log of this query with an event_time.")
    entity: str = Field(pattern=IDENTIFIER, description="Column with the entity.")
    class_: str = Field(alias="class", pattern=IDENTIFIER, description="Column with the class (the item).")


class RealisedQuality(Strict):
    """The check `realised_quality`: this release at its first age against its rivals of the same day."""

    mode: Annotated[Literal["warn", "hold", "off"], BeforeValidator(off_as_text)] = Field(
        default="warn", description="hold: a failed check also stops automatic promotion, until a person lifts it."
    )
    least_loss: float = Field(
        default=0.1,
        ge=0.01,
        le=1,
        description="A smaller loss, as a share of what was expected, never fails the check.",
    )


class Outcomes(Strict):
    """Realised quality: each release that was live is compared with what happened afterwards."""

    horizon_days: int = Field(default=28, ge=1, le=MOST_DAYS, description="Days that the predictions speak of.")
    ages: list[Age] = Field(
        default_factory=list,
        max_length=12,
        description="Days after the partition's end at which a release is looked at; default 1, 7, 28 and the horizon, "
        "as far as it reaches.",
    )
    events: Events | None = Field(
        default=None, description=f"What counts as a hit, for a ranking. Otherwise `{FILE}` beside defs.yaml says it."
    )
    sample: int = Field(
        default=100_000,
        ge=100,
        le=100_000_000,
        description="Entities whose predictions are kept; all if there are fewer.",
    )
    patience_days: int = Field(
        default=14, ge=0, le=MOST_DAYS, description="How long late logs are waited for, after the end of an age."
    )
    realised_quality: RealisedQuality = Field(default_factory=RealisedQuality)

    @model_validator(mode="after")
    def _within_the_horizon(self) -> Outcomes:
        beyond = [age for age in self.ages if age > self.horizon_days]
        if beyond:
            raise ValueError(f"ages: {beyond[0]} is beyond horizon_days ({self.horizon_days})")
        if len(set(self.ages)) < len(self.ages):
            raise ValueError("ages: an age is named twice")
        return self

    @property
    def looked_at(self) -> tuple[int, ...]:
        """The ages in days, ascending; never empty."""
        usual = {*(age for age in USUAL_AGES if age <= self.horizon_days), self.horizon_days}
        return tuple(sorted(self.ages or usual))
