"""`<query>/model`: Kumo's training job, on its own schedule, and the check that decides whether its model is used.

The asset trains and shows the metrics; the check compares them with those of the model in use and writes the decision
into the model registry, which is what predictions read. A skipped check changes nothing: the old model stays in use.
"""

import dagster as dg

from kumo_assets.assets.keys import code_version, key_of, raw_key
from kumo_assets.assets.progress import of_job
from kumo_assets.assets.ui import Metadata
from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import KumoApiError
from kumo_assets.models.comparison import Comparison
from kumo_assets.models.registry import Model, ModelDecision, ModelRegistry, RegisteredModels
from kumo_assets.models.training import decide, policy_of, train, training_tags
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import ROOT_RUN_TAG, author_of
from kumo_assets.resources.kumo.resource import KumoResource

ASSET = "model"
CHECK = "not_worse"
# A pool of its own, so that a training of hours never makes predictions wait.
TRAINING_POOL = "kumo_trainings"


def build_model(definition: QueryDefinition) -> dg.AssetsDefinition:
    """The asset that trains the query again. Unpartitioned: a model belongs to no single day."""
    spec = definition.spec

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[raw_key(name) for name in spec.raw_logs],
        group_name=definition.name,
        owners=spec.owners,
        kinds={"kumo"},
        description="The query's model, trained again by Kumo; used for predictions only once it proved not to be worse.",
        code_version=code_version(definition),
        pool=TRAINING_POOL,
    )
    def model(
        context: dg.AssetExecutionContext, kumo_assets_kumo: KumoResource, kumo_assets_releases: ReleasesResource
    ) -> dg.MaterializeResult:
        registry = registry_of(definition, kumo_assets_releases)
        before = registry.read().in_use
        run = context.run
        root = run.tags.get(ROOT_RUN_TAG) or run.root_run_id or run.run_id
        launched: list[str] = []
        with kumo_assets_kumo.client() as client:
            try:
                trained, adopted = train(
                    client,
                    registry,
                    spec.source.kumo,
                    training_tags(registry.names.environment, definition.name, root),
                    say=context.log.info,
                    on_launch=launched.append,
                    on_progress=of_job(context.log.info, "Kumo training job", " trials"),
                )
            except BaseException as error:
                # A job that ended needs no cancelling. A worker that dies leaves the job alone: its re-execution adopts it.
                if launched and not isinstance(error, KumoApiError) and _cancelling(context):
                    context.log.info(
                        f"Kumo training job {launched[0]} {client.end_training(launched[0], policy_of(spec.source.kumo))}"
                    )
                raise
        return dg.MaterializeResult(
            metadata=_metadata(trained, before, adopted), data_version=dg.DataVersion(trained.training_job_id)
        )

    return model


def build_model_check(definition: QueryDefinition) -> dg.AssetChecksDefinition:
    """The check that takes the new model into use, or keeps the old one. It is blocking, so that a worse model fails the
    run and raises an alert."""
    spec = definition.spec.source.kumo

    @dg.asset_check(
        asset=key_of(definition.name, ASSET),
        name=CHECK,
        blocking=True,
        description="The new model's evaluation metrics against those of the model in use; when worse, that one stays.",
    )
    def not_worse(
        context: dg.AssetCheckExecutionContext, kumo_assets_releases: ReleasesResource
    ) -> dg.AssetCheckResult:
        registry = registry_of(definition, kumo_assets_releases)
        made = decide(registry, spec, by=author_of(context))
        if made is not None:
            return _result(*made, registry.read())
        registered = registry.read()
        last = registered.history[0] if registered.history else None
        if last is None:
            return dg.AssetCheckResult(
                passed=False, description="there is no model to judge: materialise the asset first"
            )
        return _result(last, None, registered)

    return not_worse


def registry_of(definition: QueryDefinition, releases: ReleasesResource) -> ModelRegistry:
    store = releases.store(definition.name)
    return ModelRegistry(store.names, store.objects)


def _result(
    decision: ModelDecision, comparison: Comparison | None, registered: RegisteredModels
) -> dg.AssetCheckResult:
    kept = registered.in_use.training_job_id if registered.in_use is not None else "none"
    message = (
        f"{decision.training_job_id} is in use: {decision.why}"
        if decision.in_use
        else f"{decision.training_job_id} is not used, {kept} stays in use: {decision.why}"
    )
    metadata: Metadata = {"decision": decision.why, "in use": kept, "decided at": decision.at}
    if comparison is not None and comparison.metrics:
        rows = "\n".join(
            f"| {m.name} | {m.old:.4g} | {m.new:.4g} | {m.change:+.1%} | {'worse' if m.worse else 'ok'} |"
            for m in comparison.metrics
        )
        metadata["metrics"] = dg.MetadataValue.md(
            f"| metric | in use | new | change | |\n|---|---|---|---|---|\n{rows}"
        )
    return dg.AssetCheckResult(passed=decision.in_use, description=message, metadata=metadata)


def _metadata(model: Model, before: Model | None, adopted: bool) -> Metadata:
    """The metrics under their own names: Dagster plots numeric metadata over time, one line per name."""
    url = model.tracking_url
    return {
        **{name: dg.MetadataValue.float(value) for name, value in sorted(model.metrics.items())},
        "training job": dg.MetadataValue.url(url) if url else model.training_job_id,
        "training job id": model.training_job_id,
        "graph snapshot": model.snapshot_id or "not reported",
        "trained at": model.trained_at or "not reported",
        "in use before": before.training_job_id if before is not None else "none recorded",
        "adopted from an earlier attempt": adopted,
    }


def _cancelling(context: dg.AssetExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
