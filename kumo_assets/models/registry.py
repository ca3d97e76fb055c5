"""Which model a query predicts with: one small S3 object per query, changed by compare-and-set, with its own history.

A newly trained model is the `candidate` until it has been compared; until then, and for ever if it is worse, predictions
go on with the model in use. What "worse" means is in `comparison`; training is in `training`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import Document
from kumo_assets.errors import ReleaseError
from kumo_assets.resources.s3_objects import ObjectStore, describing

MOST_HISTORY = 50
TRIES = 8
DOCTOR = "`kumo-assets doctor` tries the bucket's permissions"


class Model(BaseModel):
    """A DONE training job: its metrics on its own test split, by Kumo's names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    training_job_id: str
    metrics: dict[str, float] = Field(default_factory=dict)
    trained_at: str | None = None
    snapshot_id: str | None = None
    tracking_url: str | None = None
    # Losses and metrics by epoch, where the trainer reports them; left out of the document where it does not.
    curves: dict[str, list[float]] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_no_curves(self, fields: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in fields(self).items() if value or name != "curves"}


class ModelDecision(BaseModel):
    """What became of a model: taken into use, or not, by whom and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: str
    by: str
    training_job_id: str
    in_use: bool
    instead_of: str | None
    metrics: dict[str, float] = Field(default_factory=dict)
    why: str


class RegisteredModels(Document):
    """The model in use, the one that waits to be compared, and past decisions, newest first."""

    in_use: Model | None = None
    candidate: Model | None = None
    history: list[ModelDecision] = Field(default_factory=list)

    def with_candidate(self, model: Model) -> RegisteredModels:
        return self.model_copy(update={"candidate": model})

    def decided(self, model: Model, decision: ModelDecision) -> RegisteredModels:
        """The document after a decision on `model`: in use if the decision says so, and no longer the candidate."""
        changes: dict[str, Any] = {"history": [decision, *self.history][:MOST_HISTORY]}
        if decision.in_use:
            changes["in_use"] = model
        if self.candidate is not None and self.candidate.training_job_id == model.training_job_id:
            changes["candidate"] = None
        return self.model_copy(update=changes)


class ModelRegistry:
    """The registered models of one query on S3. Every failure is a ReleaseError."""

    def __init__(self, names: QueryNames, objects: ObjectStore) -> None:
        self.names = names
        self.objects = objects
        self.key = f"{names.root}model.json"
        self.uri = objects.uri(self.key)

    def read(self) -> RegisteredModels:
        """The registered models; none yet for a query that was never trained."""
        return self._read()[0]

    def change(self, change: Callable[[RegisteredModels], RegisteredModels]) -> RegisteredModels:
        """Apply a pure change to the newest document, however many writers there are at once. Returns what was written."""
        changed: RegisteredModels | None = None
        for attempt in range(TRIES):
            registered, etag = self._read()
            if registered == changed:
                return changed  # written by us before: the answer was lost, and the client's retry was refused
            changed = change(registered)
            if changed == registered or self._write(changed, etag):
                return changed
            time.sleep(0.05 * 2**attempt)
        raise ReleaseError(
            "write the model registry", to=self.uri, found=f"{TRIES} conflicts with other writers", next="try again"
        )

    def _read(self) -> tuple[RegisteredModels, str | None]:
        with describing("read the model registry", DOCTOR):
            stored = self.objects.get(self.key)
        if stored is None:
            return RegisteredModels(query=self.names.query), None
        return RegisteredModels.from_json(stored.data, self.uri), stored.etag

    def _write(self, registered: RegisteredModels, etag: str | None) -> bool:
        """True when written over exactly what was read."""
        data = registered.to_json()
        with describing("write the model registry", DOCTOR):
            if etag is None:
                return self.objects.create(self.key, data)
            return self.objects.replace(self.key, data, etag=etag)
