"""`train` and `model`: a query's question trained from its folder, by Kumo or by the Kumo Engine; and which model
predictions use.

`train` is idempotent: the same `training.py` is saved once and trained once, unless `--again` asks for newer data.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

from kumo_assets.cli.output import By, Json, Query, Reason, definitions, note, show, table
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.errors import ConfigError, GateBlocked
from kumo_assets.models.registry import Model, ModelRegistry
from kumo_assets.releases.run import person


def train(
    query: Query,
    again: Annotated[
        bool, typer.Option("--again", help="Train although this definition was trained before: on today's data.")
    ] = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Train the query's model from its folder (Kumo: preprocess.sql, training.py; Kumo Engine: engine.py), and use it if it
    is not worse."""
    from kumo_assets.models import training

    index = definitions()
    definition = index.query(query)
    registry = _registry(definition)
    by_source = _by_engine if definition.spec.source.engine is not None else _by_kumo
    model, adopted, more = by_source(index, definition, registry, again)
    document: dict[str, Any] = {"query": query, **more}
    training.decide(registry, definition.spec.source, by or person())
    registered = registry.read()
    used = registered.in_use is not None and registered.in_use.training_job_id == model.training_job_id
    decided = next((item for item in registered.history if item.training_job_id == model.training_job_id), None)
    why = decided.why if decided is not None else "it was never decided on"
    document |= {"training_job_id": model.training_job_id, "adopted": adopted, "metrics": model.metrics, "in_use": used}
    if adopted:
        note("This was trained before; --again trains on today's data")
    if decided is None or not decided.in_use:
        raise GateBlocked(
            "use the new model of",
            to=f"{query}, {model.training_job_id}",
            found=why,
            next=f"{registered.in_use.training_job_id if registered.in_use else 'no model'} stays in use; `kumo-assets model {query} "
            f"--use {model.training_job_id} --reason TEXT` takes it all the same",
        )
    now = (
        "is in use"
        if used
        else f"was in use until {registered.in_use.training_job_id if registered.in_use else 'none'}"
    )
    show(as_json, document, lambda: print(f"{model.training_job_id} {now}: {why}"))
    pinned = definition.spec.source.kumo.training_job_id if definition.spec.source.kumo is not None else None
    if pinned not in (None, model.training_job_id):
        note(f"but the definition pins {pinned}: predictions go on with that one")


def _by_kumo(
    index: DefinitionsIndex, definition: QueryDefinition, registry: ModelRegistry, again: bool
) -> tuple[Model, bool, dict[str, Any]]:
    """(the model, adopted, what else the document says): the folder put into Kumo, and trained there."""
    from kumo_assets.assets.preprocess import has_view
    from kumo_assets.models import training
    from kumo_assets.resources.kumo.environment import client_from_environment
    from kumo_assets.resources.kumo.query_code import FILE, run_code

    spec = definition.spec.kumo
    view = _view(definition, index.raw_sources(definition), registry) if has_view(definition) else None
    document: dict[str, Any] = {"view": view}
    code = None
    if (definition.folder / FILE).is_file():
        code = run_code("save", definition.folder / FILE, spec.predictive_query_id, view=view)
        _expected(definition, code.query_id, code.task)
        note(f"{FILE} is in Kumo as {code.query_id}, graph {code.graph_id}")
        document |= {"predictive_query_id": code.query_id, "graph_id": code.graph_id, "definition": code.digest}
    purpose = f"definition-{code.digest}" if code is not None else "command"
    if again:
        purpose = f"again-{secrets.token_hex(8)}"
    with client_from_environment() as client:
        model, adopted = training.train(
            client,
            registry,
            spec if code is None or spec.graph_id is not None else spec.model_copy(update={"graph_id": code.graph_id}),
            training.training_tags(registry.names.environment, definition.name, purpose),
            say=note,
            on_progress=lambda job, progress: note(f"{job.job_id}: {job.raw_status}"),
            plan=code.plan if code is not None else None,
        )
    return model, adopted, document


def _by_engine(
    index: DefinitionsIndex, definition: QueryDefinition, registry: ModelRegistry, again: bool
) -> tuple[Model, bool, dict[str, Any]]:
    """The same, trained by the Kumo Engine on this machine. One question, with one set of settings, is trained once, unless
    `again`."""
    from kumo_assets.resources.snowflake import connect_outside_dagster
    from kumo_assets.sources.engine.training import purpose_of
    from kumo_assets.sources.engine.training import train as by_engine
    from kumo_assets.sources.protocol import TrainingWork

    purpose = purpose_of(definition)
    work = TrainingWork(
        definition=replace(definition, sources=index.raw_sources(definition)),
        names=registry.names,
        registry=registry,
        resources={},
        say=note,
        warn=note,
        progress=note,
        cancelling=lambda: False,
        root_run_id=secrets.token_hex(8) if again else purpose,
    )
    with connect_outside_dagster() as warehouse:
        model, adopted = by_engine(work, warehouse)
    return model, adopted, {"definition": purpose}


def model(
    query: Query,
    use: Annotated[str, typer.Option("--use", help="Take this training job into use.", metavar="TRAINING_JOB")] = "",
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Which model predictions use, and what became of the others; --use takes another, for a stated reason."""
    from kumo_assets.models.training import use_entry as take

    definition = definitions().query(query)
    registry = _registry(definition)
    if use:
        if not reason.strip():
            raise ConfigError("use the model", to=use, found="no reason", next="add --reason TEXT")
        take(registry, _trained(definition, registry, use), by or person(), reason.strip())
    registered = registry.read()
    kumo = definition.spec.source.kumo
    pinned = kumo.training_job_id if kumo is not None else None

    def words() -> None:
        if pinned is not None:
            print(f"pinned in the definition: {pinned}")
        none = "in use: the newest DONE training job (none is recorded)" if kumo is not None else "in use: none"
        print(_line("in use", registered.in_use) or none)
        if registered.candidate is not None:
            print(_line("waits for its check", registered.candidate))
        table(
            ["at", "model", "used", "instead of", "by", "why"],
            [
                [d.at, d.training_job_id, "yes" if d.in_use else "no", d.instead_of or "", d.by, d.why]
                for d in registered.history[:20]
            ],
        )

    show(as_json, registered.model_dump(mode="json") | {"pinned": pinned}, words)


def _trained(definition: QueryDefinition, registry: ModelRegistry, model: str) -> Model:
    """A trained model of the query's source, which a person wants in use. ConfigError when there is none of this name."""
    from kumo_assets.models.training import model_entry
    from kumo_assets.resources.kumo.environment import client_from_environment
    from kumo_assets.sources.engine.records import read_bundle

    if definition.spec.source.engine is None:
        definition.spec.kumo  # noqa: B018 - refuses a source that has no models
        with client_from_environment() as client:
            return model_entry(client.model(model))
    bundle = read_bundle(registry.objects, registry.names, model)
    if bundle is None:
        raise ConfigError(
            "use the model", to=model, found="the bucket has no bundle of it", next="name one of its models"
        )
    return Model(training_job_id=model, metrics=bundle.metrics, trained_at=bundle.trained_at, curves=bundle.curves)


def _registry(definition: QueryDefinition) -> ModelRegistry:
    from kumo_assets.config.environment import Environment
    from kumo_assets.resources.aws import s3_client
    from kumo_assets.resources.s3_objects import ObjectStore

    names = Environment.from_variables().names(definition.name)
    return ModelRegistry(names, ObjectStore(names.bucket, s3_client()))


def _view(definition: QueryDefinition, sources: Mapping[str, RawSource], registry: ModelRegistry) -> str:
    from kumo_assets.assets.preprocess import create_view
    from kumo_assets.resources.snowflake import connect_outside_dagster

    with connect_outside_dagster() as warehouse:
        name, columns = create_view(definition, sources, warehouse, registry.names)
    note(f"View {name} has columns {', '.join(columns)}")
    return name


# Kumo's task types (kumoapi/task.py) that a definition's task stands for.
TASKS = {
    "ranking": ("temporal_link_prediction", "static_link_prediction", "link_prediction", "multilabel_ranking"),
    "regression": ("regression", "forecasting"),
    "binary_classification": ("binary_classification",),
    "multiclass_classification": ("multiclass_classification",),
}


def _expected(definition: QueryDefinition, query_id: str, task: str) -> None:
    """ConfigError when what was saved is not what the definition predicts with."""
    spec = definition.spec.kumo
    file = definition.folder / "defs.yaml"
    if query_id != spec.predictive_query_id and spec.predictive_query_id.startswith("pquery-"):
        raise ConfigError(
            "train",
            to=definition.name,
            found=f"training.py is query {query_id}, and {file} names {spec.predictive_query_id}",
            next=f"write `predictive_query_id: {query_id}`, or a name instead of an id",
        )
    if task not in TASKS[definition.spec.task]:
        raise ConfigError(
            "train",
            to=definition.name,
            found=f"Kumo takes training.py for {task}, and {file} says task: {definition.spec.task}",
            next="correct the task, or the query's text",
        )


def _line(what: str, entry: Model | None) -> str:
    if entry is None:
        return ""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(entry.metrics.items()))
    return f"{what}: {entry.training_job_id} ({metrics or 'no metrics told'})"
