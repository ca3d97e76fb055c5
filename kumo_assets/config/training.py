"""How a query's model is trained again, whoever trains it: the settings that every source with models shares."""

from __future__ import annotations

from pydantic import Field, field_validator

from kumo_assets.config.cron import cron_fault
from kumo_assets.config.raw_logs import Strict

WEEK_MINUTES = 7 * 24 * 60.0


class Training(Strict):
    """How the query is trained again, and when a new model is taken into use."""

    schedule: str = Field(
        default="0 4 * * 0", description="Cron, in the query's time zone; the default is Sundays at 04:00."
    )
    metrics: list[str] = Field(
        default_factory=list,
        description="Metrics that must not get worse; default: every one both models have whose better end is known.",
    )
    lower_is_better: list[str] = Field(
        default_factory=list, description="Metrics of your own whose small values are the good ones."
    )
    tolerance: float = Field(
        default=0.05, ge=0, le=1, description="How much worse, as a fraction of the old value, is still as good."
    )
    deadline_minutes: float = Field(
        default=1440, gt=0, le=4 * WEEK_MINUTES, description="After this the training job is cancelled."
    )

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        if fault := cron_fault(value):
            raise ValueError(f"{value!r} is not a cron schedule of five fields, such as '0 4 * * 0': {fault}")
        return value
