"""The completion record: what a job that writes predictions to a table of its own leaves behind once they are all there.

Anybody may write one; docs/sources.md shows how, and docs/contract/completion.schema.json is its schema. This project only
reads it.
"""

from __future__ import annotations

from pydantic import AwareDatetime, Field, NonNegativeInt, model_validator

from kumo_assets.documents.base import Document


class Completion(Document):
    """A day's predictions of `query` are complete: `rows` and distinct `entities` that the run `run_id` wrote.

    Of several records of one partition the one that `ended_at` last counts. `model` and `url` are for people.
    """

    partition: str
    run_id: str = Field(min_length=1, max_length=200)
    rows: NonNegativeInt | None = None
    entities: NonNegativeInt
    started_at: AwareDatetime
    ended_at: AwareDatetime
    model: str | None = Field(default=None, max_length=200)
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Completion:
        if self.ended_at < self.started_at:
            raise ValueError("ended_at is before started_at")
        return self
