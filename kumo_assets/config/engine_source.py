"""The settings of `source.engine`: the open-source Kumo Engine, run by us. How large its model is, and how it is trained.

The question itself is code in the query's folder; reading it, and what is done with the settings, is in
`kumo_assets.sources.engine`.
"""

from __future__ import annotations

from pydantic import Field

from kumo_assets.config.raw_logs import Strict
from kumo_assets.config.training import WEEK_MINUTES, Training

# What the Engine samples and returns at most (kumoapi 3.0: HopConfig, and the limit of link prediction).
MOST_NEIGHBOURS = 512
MOST_CLASSES = 500


class EngineSettings(Strict):
    """Predictions by the Kumo Engine in a process of ours. Where a field is unset, the Engine's own suggestion holds."""

    epochs: int = Field(default=8, ge=1, le=1000, description="Passes over the training examples, at most.")
    experiments: int = Field(default=1, ge=1, le=100, description="Models tried; the best on validation data is kept.")
    small: bool = Field(default=False, description="The smallest architecture of those suggested: quick on a CPU.")
    channels: int | None = Field(default=None, ge=1, le=2048, description="Width of the network.")
    batch_size: int | None = Field(default=None, ge=1, le=65_536, description="Entities in a training step.")
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    fan_out: int | None = Field(
        default=None, ge=1, le=MOST_NEIGHBOURS, description="Events looked at for each entity; memory grows with it."
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Of the random numbers of a training.")
    threads: int | None = Field(default=None, ge=1, le=1024, description="CPU threads; default: the Engine's choice.")
    classes_per_entity: int | None = Field(
        default=None, ge=1, le=MOST_CLASSES, description="Candidates for each entity; default 2 x top_k + 2."
    )
    binary_threshold: float | None = Field(default=None, ge=0, le=1, description="Default 0.5.")
    deadline_minutes: float = Field(
        default=240, gt=0, le=WEEK_MINUTES, description="After this a day's scoring is ended and the run fails."
    )
    training: Training = Field(default_factory=Training, description="When the model is trained again, and compared.")
