"""Train a query again, and decide whether the new model is used: what the `model` asset and `kumo-assets train` share.

No Dagster and no Snowflake here. The registered models are in `registry`, the comparison in `comparison`;
waiting and launching once are the Kumo client's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kumo_assets.config.query import Kumo
from kumo_assets.config.training import Training
from kumo_assets.documents import utc_now, utc_text
from kumo_assets.models.comparison import Comparison, compare
from kumo_assets.models.registry import Model, ModelDecision, ModelRegistry, RegisteredModels
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.model import KumoJob, PollPolicy, Progress, TrainedModel
from kumo_assets.resources.kumo.snapshots import in_words
from kumo_assets.resources.kumo.waiting import OnSilence
from kumo_assets.resources.kumo.wire import job_of


class Trained(Protocol):
    """Settings that say how a query is trained: those of one source, or of the source that a definition names."""

    @property
    def training(self) -> Training | None: ...

    @property
    def name(self) -> str:
        """The source's name, as in `source:` of the YAML."""
        ...


def policy_of(spec: Kumo) -> PollPolicy:
    """How a training of this query is waited for."""
    training = spec.training or Training()
    return PollPolicy(
        first_seconds=spec.poll.first_seconds,
        max_seconds=spec.poll.max_seconds,
        deadline_seconds=training.deadline_minutes * 60,
    )


def training_tags(environment: str, query: str, purpose: str) -> dict[str, str]:
    """What finds a training again: `purpose` is the run that wanted it, or the definition it is of."""
    return {
        "kumo_assets.environment": environment,
        "kumo_assets.query": query,
        "kumo_assets.training": purpose,
    }


def remember_model_in_use(registry: ModelRegistry, client: KumoClient, spec: Kumo) -> RegisteredModels:
    """The registered models with one in use: the one it names, else the pinned or newest one, before anything newer exists.

    A query that was never trained stays without.
    """
    registered = registry.read()
    if registered.in_use is not None:
        return registered
    if spec.training_job_id is not None:
        found: TrainedModel | None = client.model(spec.training_job_id)
    else:
        found = next(reversed(client.models(spec.predictive_query_id)), None)
    if found is None:
        return registered
    model = model_entry(found)
    first = ModelDecision(
        at=utc_now(),
        by="kumo_assets",
        training_job_id=model.training_job_id,
        in_use=True,
        instead_of=None,
        metrics=model.metrics,
        why="the model that was there before the first training of this project",
    )
    return registry.change(lambda now: now if now.in_use is not None else now.decided(model, first))


def train(
    client: KumoClient,
    registry: ModelRegistry,
    spec: Kumo,
    tags: Mapping[str, str],
    *,
    say: Callable[[str], object],
    on_launch: Callable[[str], None] = lambda job_id: None,
    on_progress: Callable[[KumoJob, Progress | None], None] = lambda job, progress: None,
    on_silence: OnSilence = lambda error: None,
    plan: Mapping[str, Any] | None = None,
) -> tuple[Model, bool]:
    """(the new model, adopted): train on a fresh snapshot, wait, and register it as the candidate.

    A live or DONE training with the same tags is adopted. Raises KumoApiError; the model in use is not touched.
    """
    policy = policy_of(spec)
    registered = remember_model_in_use(registry, client, spec)
    job_id, adopted = client.find_training(tags), True
    if job_id is None:
        graph = spec.graph_id or _graph_of(registered.in_use)
        snapshot = None
        if graph is not None and spec.refresh_graph:
            say(f"Refreshing the snapshot of graph {graph}, so that the newest raw logs are used")
            snapshot = client.refresh_snapshot(graph, policy, in_words(say))
        job_id, adopted = client.launch_training(spec.predictive_query_id, tags, snapshot, plan)
    on_launch(job_id)
    say(f"{'Adopted' if adopted else 'Launched'} Kumo training job {job_id}")
    model = model_entry(client.wait_training(job_id, policy, on_progress=on_progress, on_silence=on_silence))
    register(registry, model)
    return model, adopted


def decide(registry: ModelRegistry, spec: Trained, by: str) -> tuple[ModelDecision, Comparison | None] | None:
    """Compare the candidate with the model in use and write the outcome down; None when there is no candidate.

    The comparison is None for a query's first model, which has nothing to be compared with.
    """
    options = spec.training or Training()
    made: list[tuple[ModelDecision, Comparison | None]] = []

    def change(registered: RegisteredModels) -> RegisteredModels:
        made.clear()
        new, old = registered.candidate, registered.in_use
        if new is None:
            return registered
        comparison = None
        if old is not None:
            comparison = compare(
                old.metrics,
                new.metrics,
                metrics=options.metrics,
                lower_is_better=options.lower_is_better,
                tolerance=options.tolerance,
                setting=f"source.{spec.name}.training.metrics",
            )
        decision = ModelDecision(
            at=utc_now(),
            by=by,
            training_job_id=new.training_job_id,
            in_use=comparison is None or comparison.as_good,
            instead_of=old.training_job_id if old is not None else None,
            metrics=new.metrics,
            why=comparison.words if comparison is not None else "the query's first model",
        )
        made.append((decision, comparison))
        return registered.decided(new, decision)

    registry.change(change)
    return made[0] if made else None


def use(registry: ModelRegistry, model: TrainedModel, by: str, why: str) -> ModelDecision:
    """Take a model of Kumo's into use because a person says so, whatever its metrics."""
    return use_entry(registry, model_entry(model), by, why)


def use_entry(registry: ModelRegistry, entry: Model, by: str, why: str) -> ModelDecision:
    """The same, of a model as the registry keeps it."""
    made: list[ModelDecision] = []

    def change(registered: RegisteredModels) -> RegisteredModels:
        old = registered.in_use.training_job_id if registered.in_use is not None else None
        made[:] = [
            ModelDecision(
                at=utc_now(),
                by=by,
                training_job_id=entry.training_job_id,
                in_use=True,
                instead_of=old,
                metrics=entry.metrics,
                why=why,
            )
        ]
        return registered.decided(entry, made[0])

    registry.change(change)
    return made[0]


def model_entry(model: TrainedModel) -> Model:
    """A training job as the registry keeps it."""
    return Model(
        training_job_id=model.job_id,
        metrics=model.metrics,
        trained_at=utc_text(model.created_at) if model.created_at is not None else None,
        snapshot_id=model.snapshot_id,
        tracking_url=job_of(model.raw).tracking_url if model.raw else None,
    )


def register(registry: ModelRegistry, model: Model) -> None:
    """Make a trained model the candidate; the model in use is not touched."""
    registry.change(lambda now: _as_candidate(now, model))


def _as_candidate(registered: RegisteredModels, model: Model) -> RegisteredModels:
    """A model that was decided on already (the run was executed again) does not become a candidate once more."""
    known = {decision.training_job_id for decision in registered.history}
    return registered if model.training_job_id in known else registered.with_candidate(model)


def _graph_of(model: Model | None) -> str | None:
    graph, at, _ = ((model.snapshot_id if model is not None else None) or "").partition("@")
    return graph if at and graph else None
