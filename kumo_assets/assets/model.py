"""`<query>/model`: the source's training, on its own schedule, and the check that decides whether its model is used.

The asset trains and shows the metrics; the check compares them with those of the model in use and writes the decision
into the model registry, which is what predictions read. A skipped check changes nothing: the old model stays in use.
"""

import dagster as dg

from kumo_assets.assets.keys import code_version, key_of, raw_key
from kumo_assets.assets.producing import RELEASES, registry_of, resources_of, run_values
from kumo_assets.assets.ui import Metadata
from kumo_assets.config.load import QueryDefinition
from kumo_assets.gates.plots import curves_plot
from kumo_assets.models.comparison import Comparison
from kumo_assets.models.registry import Model, ModelDecision, RegisteredModels
from kumo_assets.models.training import decide
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import author_of, root_run_of
from kumo_assets.resources.waiting import Narrator
from kumo_assets.sources.opening import source_of
from kumo_assets.sources.protocol import TrainingWork

ASSET = "model"
CHECK = "not_worse"


def build_model(definition: QueryDefinition) -> dg.AssetsDefinition:
    """The asset that trains the query again. Unpartitioned: a model belongs to no single day."""
    spec, source = definition.spec, source_of(definition)
    shown = source.model

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[raw_key(name) for name in spec.raw_logs],
        group_name=definition.name,
        owners=spec.owners,
        kinds=set(shown.kinds),
        description=shown.description,
        code_version=code_version(definition),
        pool=shown.pool,
        required_resource_keys={RELEASES, *shown.resources},
    )
    def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        releases: ReleasesResource = getattr(context.resources, RELEASES)
        narrator = Narrator(context.log.info)
        values = run_values(context, definition, releases.store(definition.name), narrator)
        before = values["registry"].read().in_use
        work = TrainingWork(**values, resources=resources_of(context, shown), root_run_id=root_run_of(context.run))
        with narrator.waiting_for(f"a new model of {definition.name} ({definition.spec.source.name})"):
            trained, adopted = source.train(work)
        return dg.MaterializeResult(
            metadata=_metadata(trained, before, adopted), data_version=dg.DataVersion(trained.training_job_id)
        )

    return model


def build_model_check(definition: QueryDefinition) -> dg.AssetChecksDefinition:
    """The check that takes the new model into use, or keeps the old one. It is blocking, so that a worse model fails the
    run and raises an alert."""

    @dg.asset_check(
        asset=key_of(definition.name, ASSET),
        name=CHECK,
        blocking=True,
        description="The new model's evaluation metrics against those of the model in use; when worse, that one stays.",
    )
    def not_worse(
        context: dg.AssetCheckExecutionContext, kumo_assets_releases: ReleasesResource
    ) -> dg.AssetCheckResult:
        registry = registry_of(kumo_assets_releases.store(definition.name))
        made = decide(registry, definition.spec.source, by=author_of(context))
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
    losses = {name: values for name, values in model.curves.items() if name.endswith("loss")}
    plot = {"loss by epoch": dg.MetadataValue.md(curves_plot(losses, "loss by epoch"))} if losses else {}
    return {
        **plot,
        **{name: dg.MetadataValue.float(value) for name, value in sorted(model.metrics.items())},
        "training job": dg.MetadataValue.url(url) if url else model.training_job_id,
        "training job id": model.training_job_id,
        "graph snapshot": model.snapshot_id or "not reported",
        "trained at": model.trained_at or "not reported",
        "in use before": before.training_job_id if before is not None else "none recorded",
        "adopted from an earlier attempt": adopted,
    }
