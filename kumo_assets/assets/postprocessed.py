"""`<query>/postprocessed`: the user's `postprocess.sql`, or rank-and-keep-top-k, as one CREATE TABLE AS in Snowflake.

The asset always exists, so that gates and export have one shape to look at: ENTITY, CLASS, SCORE, RANK, or ENTITY,
TARGET_PRED for a regression. What the table must prove is in `postprocess_proof`.
"""

from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.assets.keys import code_version, key_of
from kumo_assets.assets.made_from import TASK_SQL
from kumo_assets.assets.postprocess_inputs import release_values, resolve_references
from kumo_assets.assets.postprocess_proof import prove_table
from kumo_assets.assets.postprocess_sql import FILE, has_file, user_sql
from kumo_assets.assets.step import Step, begin, predictions_of
from kumo_assets.assets.templates import shipped
from kumo_assets.assets.ui import Metadata, result, table_metadata
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.documents import Artefact, PostprocessedDetails
from kumo_assets.errors import ReleaseError, WarehouseError
from kumo_assets.gates.take_counts import count_asset
from kumo_assets.outcomes.served import keep_sample
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.creating import create_once, is_there
from kumo_assets.resources.snowflake import Warehouse, connect

ASSET = "postprocessed"
MOST_ATTEMPTS = 20


def build_postprocessed(
    definition: QueryDefinition,
    partitions: dg.PartitionsDefinition,
    sources: Mapping[str, RawSource],
    others: Mapping[str, QueryDefinition],
) -> dg.AssetsDefinition:
    """The asset that turns Kumo's table into the table to serve. `sources` are the raw logs, and `others` the queries, that
    the query's own SQL may name."""
    spec = definition.spec
    by = f"`{FILE}` of this query" if has_file(definition) else f"the top {spec.top_k} by score"

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[key_of(definition.name, "predictions")],
        partitions_def=partitions,
        group_name=definition.name,
        owners=spec.owners,
        kinds={"snowflake", "sql"},
        description=f"What each {spec.entity} is to be served: {by}, in Snowflake.",
        code_version=code_version(definition),
    )
    def postprocessed(
        context: dg.AssetExecutionContext,
        kumo_assets_snowflake: SnowflakeResource,
        kumo_assets_releases: ReleasesResource,
    ) -> dg.MaterializeResult[None]:
        step = begin(context, definition, kumo_assets_releases, ASSET)
        artefact = step.existing()
        adopted = artefact is not None
        with (
            connect(kumo_assets_snowflake, show_values=spec.show_entities) as warehouse,
            closing(kumo_assets_releases.context(definition)) as ctx,
        ):
            if artefact is None:
                artefact = _create(step, warehouse, kumo_assets_releases.context, sources, others)
            _keep_sample(step, warehouse, artefact)
            figures = count_asset(ctx, warehouse, definition, step.opened, artefact)
            return result(step, artefact, _metadata(definition, warehouse, artefact) | figures, adopted)

    return postprocessed


def _create(
    step: Step,
    warehouse: Warehouse,
    contexts: Callable[[QueryDefinition], ReleaseContext],
    sources: Mapping[str, RawSource],
    others: Mapping[str, QueryDefinition],
) -> Artefact:
    """The first attempt whose table is whole: adopted when it exists, else created.

    CREATE TABLE AS is one atomic statement under a name that no other release can have. A table that exists and is not
    whole, or was begun with another definition, is left for a person to look at; the next attempt has a new name.
    """
    source = step.upstream("predictions")
    references = resolve_references(step, warehouse, contexts, others)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        name = step.names.warehouse_table(step.release_id, ASSET, attempt)
        begun = step.attempt(attempt)
        if step.differs(begun):
            continue
        exists = is_there(warehouse, name)
        if exists and begun is None:
            step.warn(f"{name} was made by an earlier version, which did not say from what; it counts as of this SQL")
        if not exists:
            own = has_file(step.definition)
            with (
                release_values(step, warehouse, sources, others, references, source) if own else nullcontext() as values
            ):
                select = select_for(step.definition, warehouse, source, values)
                begun = step.begin_attempt(attempt)
                if step.differs(begun):
                    continue
                exists = create_once(
                    warehouse,
                    name,
                    select,
                    doing=f"post-process {source.name} into {name}",
                    other=step.other_run(begun),
                )
        try:
            proof = prove_table(warehouse, name, step.definition)
        except WarehouseError:
            if exists:
                continue
            raise
        return step.prove(
            name=name,
            attempt=attempt,
            rows=proof.rows,
            entities=proof.entities,
            seconds_outside=warehouse.seconds,
            details=PostprocessedDetails(
                database=warehouse.database, schema=warehouse.schema, source=source.name, longest=proof.longest
            ),
        )
    raise ReleaseError(
        "post-process release",
        to=step.release_id,
        found=f"{MOST_ATTEMPTS} tables of earlier attempts exist in Snowflake and none is whole",
        next="fix postprocess.sql and build a new release",
    )


def _keep_sample(step: Step, warehouse: Warehouse, artefact: Artefact) -> None:
    """Keep what the release's outcomes are counted from. They are not worth a release: without a sample it goes on."""
    try:
        keep_sample(step.store, step.opened, step.definition, warehouse, artefact)
    except WarehouseError as error:
        step.warn(f"{error} (the release goes on, and its outcomes will not be judged)")


def select_for(
    definition: QueryDefinition, warehouse: Warehouse, source: Artefact, own: Mapping[str, str] | None
) -> str:
    """The SELECT to run: the user's with the values `own`, else the one shipped for the query's task."""
    if own is not None:
        return user_sql(definition, own)
    values = {"predictions": predictions_of(warehouse, source)[0], "top_k": str(definition.spec.top_k)}
    if definition.spec.task == "binary_classification":
        return shipped(
            "binary.sql", predictions=values["predictions"], **_binary_columns(definition, warehouse, source)
        )
    chosen = TASK_SQL[definition.spec.task]
    if chosen == "regression.sql":
        values.pop("top_k")
    return shipped(chosen, **values)


def _binary_columns(definition: QueryDefinition, warehouse: Warehouse, source: Artefact) -> dict[str, str]:
    """Kumo writes ENTITY, TARGET_PRED, TRUE_PROB, FALSE_PROB; older tenants ENTITY, SCORE."""
    if "TRUE_PROB" in predictions_of(warehouse, source)[1]:
        return {"true_prob": "TRUE_PROB", "predicted": "TARGET_PRED"}
    threshold = definition.spec.source.binary_threshold
    return {"true_prob": "SCORE", "predicted": f"SCORE >= {0.5 if threshold is None else threshold}"}


def _metadata(definition: QueryDefinition, warehouse: Warehouse, artefact: Artefact) -> Metadata:
    source = artefact.details_as(PostprocessedDetails).source
    return {**table_metadata(definition, warehouse, artefact), "made from": source}
