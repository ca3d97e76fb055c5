"""The Kumo Engine as a source of predictions: how its assets are shown, and what `doctor` tries. Training is in
`training`, a day's scoring in `scoring`, one process in `process`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import JsonValue

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import PredictionDetails
from kumo_assets.models.registry import Model
from kumo_assets.resources.snowflake import connect
from kumo_assets.sources.engine.environment import VARIABLE, VERSION, engine_python
from kumo_assets.sources.engine.question import FILE, read_question
from kumo_assets.sources.engine.runs import settings_of
from kumo_assets.sources.engine.scoring import score
from kumo_assets.sources.engine.training import train
from kumo_assets.sources.protocol import Figures, Predicted, PredictionWork, Shown, TrainingWork

SNOWFLAKE = "kumo_assets_snowflake"


class EngineSource:
    """See `protocol.Source`."""

    # One pool for both, whose limit is then of the machine's memory.
    predictions = Shown(
        kinds=frozenset({"kumo", "python", "snowflake"}),
        description="Predictions of the Kumo Engine, run by this project in a process of its own.",
        pool="engine_processes",
        resources=frozenset({SNOWFLAKE}),
    )
    model = Shown(
        kinds=frozenset({"kumo", "python"}),
        description="The query's model, trained again by the Kumo Engine; used only once it proved not to be worse.",
        pool="engine_processes",
        resources=frozenset({SNOWFLAKE}),
    )
    tried = "Kumo Engine: its Python and version, the questions"

    def parameters(self, definition: QueryDefinition) -> Mapping[str, JsonValue]:
        """The question, and how many candidates. A training that ends meanwhile makes no scoring another one."""
        spec, settings = definition.spec, settings_of(definition)
        path = definition.folder / FILE
        text = path.read_bytes() if path.is_file() else b""
        lists = spec.task in ("ranking", "multiclass_classification")
        return {
            "question": {"file": FILE, "sha256": hashlib.sha256(text).hexdigest()[:32]},
            "binary_threshold": settings.binary_threshold,
            "candidates": spec.classes_per_entity if lists else 0,
        }

    def predict(self, work: PredictionWork) -> Predicted:
        """One process an attempt. A cancelled run ends it. Raises ConfigError, EngineError and WarehouseError."""
        return score(work)

    def figures(self, details: PredictionDetails) -> Figures:
        """The model, and the Engine's version."""
        return {"model": details.model_id or "not reported", "Kumo Engine": VERSION}

    def train(self, work: TrainingWork) -> tuple[Model, bool]:
        """One process a run, its bundle kept on S3. Raises ConfigError, EngineError and WarehouseError."""
        shown = work.definition.spec.show_entities
        with connect(cast(Any, work.resources[SNOWFLAKE]), show_values=shown) as warehouse:
            return train(work, warehouse)

    def check(self, queries: Sequence[QueryDefinition]) -> str:
        """The Engine's Python, and each question as far as it can be read without data. Raises ConfigError.

        While no query uses the Engine, its environment need not be there.
        """
        if not queries and not os.environ.get(VARIABLE):
            return f"no query uses it, and {VARIABLE} is not set"
        python = engine_python()
        questions = [f"{definition.name} asks {read_question(definition).pql}" for definition in queries]
        return "; ".join([f"Kumo Engine {VERSION} in {python}", *questions])
