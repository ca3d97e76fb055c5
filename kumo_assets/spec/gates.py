"""The `gates:` section of a query: each gate's mode and limits, with the defaults that hold when nothing is written."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class GatesSpec(BaseModel):
    """All gates of one query."""

    model_config = ConfigDict(extra="forbid", frozen=True)
