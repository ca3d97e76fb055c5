"""One run of the Engine, from raw logs to a result: the process is started, its question checked, the logs unloaded for it,
and what it reports told to the run's log. What a training or a scoring does with the result is in `training` and `scoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from kumo_assets.config.engine_source import EngineSettings
from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import ConfigError, EngineError
from kumo_assets.resources.aws import encryption
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.stages import target
from kumo_assets.sources.engine.environment import VERSION
from kumo_assets.sources.engine.process import EngineProcess, Job, Message
from kumo_assets.sources.engine.question import FILE, Question
from kumo_assets.sources.engine.unload import types_of, unload
from kumo_assets.sources.protocol import Work

# The child's error for a question that the Engine refuses (engine_calls.QuestionError).
REFUSED = "QuestionError"


@dataclass(frozen=True)
class EngineRun:
    """What a run is given beside its action. `folder` is its local scratch, `inputs` the key prefix of what is unloaded for it;
    `watch` is called several times a second, and raises when the run must end."""

    work: Work
    warehouse: Warehouse
    python: str
    question: Question
    folder: Path
    inputs: str
    run_id: str
    anchor: datetime
    deadline_seconds: float
    watch: Callable[[], object]

    @property
    def objects(self) -> ObjectStore:
        return self.work.registry.objects

    def result(self, action: str, **asked: JsonValue) -> Message:
        """The child's result. What it unloads to S3 is deleted at the end, however it ends.

        Raises ConfigError for a question that Snowflake or the Engine refuses, EngineError for a process that failed.
        """
        work, definition = self.work, self.work.definition
        settings = settings_of(definition)
        types = types_of(self.warehouse, definition, self.question)
        job = Job(
            python=self.python,
            job=job_of(action, definition, self.question, types, str(self.folder), **asked),
            folder=self.folder,
            threads=settings.threads,
            deadline_seconds=self.deadline_seconds,
            run_id=self.run_id,
        )
        try:
            with EngineProcess(job) as process:
                work.say(f"Started the Kumo Engine's process {process.pid}")
                return follow(
                    process, definition, work, self.watch, lambda: process.order({"inputs": self._inputs(types)})
                )
        finally:
            self.objects.delete_many([item.key for item in self.objects.list(self.inputs)])

    def _inputs(self, types: Mapping[str, Mapping[str, str]]) -> dict[str, JsonValue]:
        bucket = self.work.names.bucket
        to, storage = target(Environment.from_variables(), self.inputs)
        files = unload(
            self.warehouse,
            self.work.definition,
            self.question,
            types,
            self.anchor,
            to,
            storage,
            self.work.say,
        )
        # The Engine takes minutes, and a session that idles may be ended.
        self.warehouse.rest()
        return {
            name: [{"bucket": bucket, "key": f"{self.inputs}{name}/{file}"} for file in names]
            for name, names in files.items()
        }


def follow(
    process: EngineProcess,
    definition: QueryDefinition,
    work: Work,
    watch: Callable[[], object] = lambda: None,
    checked: Callable[[], object] = lambda: None,
) -> Message:
    """The result of a process, its messages told to the log; `checked` is called once the question is found good."""
    result: Message | None = None
    for message in process.messages(watch):
        method, params = message.get("method"), message.get("params") or {}
        if method == "log":
            work.say(str(params.get("message")))
        if method != "report_custom_message":
            continue
        payload = params["payload"]
        if "checked" in payload:
            for warning in payload["checked"]:
                work.warn(f"The Kumo Engine on {FILE}: {warning}")
            checked()
        elif "progress" in payload:
            work.progress(progress_text(payload["progress"], settings_of(definition).epochs))
        elif "error" in payload:
            raise _reported(definition, payload)
        elif "result" in payload:
            result = payload["result"]
    if result is None:
        raise EngineError("run the Kumo Engine's process", found="it ended without a result", next="run this again")
    return result


def progress_text(progress: Mapping[str, Any], epochs: int) -> str:
    """One line of a training's progress."""
    curves = progress["curves"]
    losses = ", ".join(
        f"{name} {values[-1]:.4g}" for name, values in curves.items() if name.endswith("loss") and values
    )
    return f"Training: epoch {progress['epochs']} of at most {epochs}{f', {losses}' if losses else ''}"


def _reported(definition: QueryDefinition, payload: Mapping[str, Any]) -> Exception:
    if payload["kind"] == REFUSED:
        return ConfigError(
            "use the question in",
            to=str(definition.folder / FILE),
            found=f"the Kumo Engine refuses it: {payload['error'].removeprefix(f'{REFUSED}: ')}",
            next="correct the PQL, TABLES or EDGES",
        )
    return EngineError(
        "run the Kumo Engine's process", found=str(payload["error"]), next="see the log above; run this again"
    )


def job_of(
    action: str,
    definition: QueryDefinition,
    question: Question,
    types: Mapping[str, Mapping[str, str]],
    scratch: str,
    **asked: JsonValue,
) -> dict[str, JsonValue]:
    """What the child reads as its job."""
    return {
        "action": action,
        "version": VERSION,
        "scratch": scratch,
        "question": question.model_dump(mode="json"),
        "types": {name: dict(columns) for name, columns in types.items()},
        "task": definition.spec.task,
        "write": dict(encryption()),
        **asked,
    }


def settings_of(definition: QueryDefinition) -> EngineSettings:
    """The settings of a query whose source is the Engine."""
    settings = definition.spec.source.engine
    assert settings is not None  # `opening` chose this source by it
    return settings
