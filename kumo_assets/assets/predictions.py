"""`<query>/predictions`: the source's computation of one day, launched once, and its Snowflake table, proved.

Order matters: the release is opened before anything is launched; Snowflake compiles the query's own SQL; the raw logs must
reach the partition's end; then the query's source adopts or launches its computation and proves the table. What is one source's alone is in
`kumo_assets.sources`.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta

import dagster as dg

from kumo_assets.assets.keys import code_version, key_of, raw_key
from kumo_assets.assets.log_arrival import wait_for_logs
from kumo_assets.assets.postprocess_inputs import resolve_references
from kumo_assets.assets.postprocess_sql import has_file
from kumo_assets.assets.postprocess_trial import known_columns, try_file
from kumo_assets.assets.producing import RELEASES, resources_of, run_values
from kumo_assets.assets.step import Step, begin
from kumo_assets.assets.ui import Metadata, link, result, table_metadata
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.partitions import anchor_time
from kumo_assets.documents import Artefact, PredictionDetails
from kumo_assets.gates.raw.checks import raw_check_specs, run_raw_gates
from kumo_assets.gates.take_counts import count_asset
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.waiting import EVERY_SECONDS, Narrator
from kumo_assets.sources.opening import source_of
from kumo_assets.sources.protocol import PredictionWork, Source

ASSET = "predictions"
# More than any cut-off allows: the cut-off ends the wait, not this.
MOST_LOOKS = 10_000_000
SNOWFLAKE = "kumo_assets_snowflake"


def build_predictions(
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    partitions: dg.PartitionsDefinition,
    others: Mapping[str, QueryDefinition],
) -> dg.AssetsDefinition:
    """The asset that launches, awaits and proves one day's predictions. `sources` are the raw logs, `others` the queries
    that the query's own SQL names."""
    spec, source = definition.spec, source_of(definition)
    shown = source.predictions

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[
            *(raw_key(name) for name in spec.raw_logs),
            *([key_of(definition.name, "model")] if spec.source.training is not None else []),
        ],
        partitions_def=partitions,
        group_name=definition.name,
        owners=spec.owners,
        kinds=set(shown.kinds),
        description=f"{spec.description} {shown.description}".strip(),
        code_version=code_version(definition),
        pool=shown.pool,
        check_specs=raw_check_specs(definition, partitions),
        # By key, because which ones depends on the source.
        required_resource_keys={SNOWFLAKE, RELEASES, *shown.resources},
    )
    def predictions(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        releases: ReleasesResource = getattr(context.resources, RELEASES)
        step = begin(context, definition, releases, ASSET)
        artefact = step.existing()
        adopted = artefact is not None
        day = date.fromisoformat(step.run.partition)
        start, anchor = (anchor_time(end, spec.schedule.time_zone) for end in (day - timedelta(days=1), day))
        with (
            connect(getattr(context.resources, SNOWFLAKE), show_values=spec.show_entities) as warehouse,
            closing(releases.context(definition)) as ctx,
        ):
            if artefact is None:
                _leave_out(context, spec.schedule.late_logs_poll_seconds)
                # A look at late logs again needs no second trial of the SQL.
                if has_file(definition) and not context.retry_number:
                    known = known_columns(ctx, warehouse)
                    partition = step.run.partition
                    seen = try_file(definition, sources, others, warehouse, partition=partition, known=known)
                    context.log.info(seen)
                s3 = ctx.store.objects.client
                wait_for_logs(
                    warehouse,
                    sources,
                    anchor,
                    spec.schedule,
                    context.log.info,
                    s3=lambda: s3,
                    sleep=_outside_of_the_pool(context),
                )
            # Before anything is launched: a bad day of logs costs no prediction job.
            yield from run_raw_gates(
                ctx, warehouse, definition, sources, step.opened, (start, anchor), step.run.run_id, launched=adopted
            )
            if artefact is None:
                # Recorded before the source is paid for, because a name may be refused.
                resolve_references(step, warehouse, releases.context, others)
                artefact = _predict(context, step, source, warehouse, anchor)
            figures = count_asset(ctx, warehouse, definition, step.opened, artefact)
            yield result(step, artefact, _metadata(definition, source, warehouse, artefact) | figures, adopted)

    return predictions


def _outside_of_the_pool(context: dg.AssetExecutionContext) -> Callable[[float], None]:
    """How late logs are slept for: the step ends and is retried, and its slot in the source's pool is free meanwhile.

    Dagster frees a step's slot when it is up for retry (dagster 1.13, `ActiveExecution.handle_event`). An executor whose
    retries are disabled sleeps in the step.
    """
    if context.get_step_execution_context().retry_mode.disabled:
        return time.sleep

    def again(seconds: float) -> None:
        raise dg.RetryRequested(max_retries=MOST_LOOKS, seconds_to_wait=seconds)

    return again


def _leave_out(context: dg.AssetExecutionContext, poll_seconds: float) -> None:
    """A step that comes back each minute, so that a person who cancels its run need not wait for longer, looks at late
    logs no more often than `poll_seconds` says."""
    if context.retry_number % max(math.ceil(poll_seconds / EVERY_SECONDS), 1):
        _outside_of_the_pool(context)(EVERY_SECONDS)


def _predict(
    context: dg.AssetExecutionContext, step: Step, source: Source, warehouse: Warehouse, anchor: datetime
) -> Artefact:
    """The source's table of this release, recorded once it is proved."""
    narrator = Narrator(context.log.info)
    work = PredictionWork(
        **run_values(context, step.definition, step.store, narrator),
        resources=resources_of(context, source.predictions),
        partition=step.run.partition,
        release_id=step.release_id,
        root_run_id=step.run.root_run_id,
        anchor=anchor,
        warehouse=warehouse,
        attempts=step,
    )
    with narrator.waiting_for(f"the predictions of {step.release_id} ({step.definition.spec.source.name})"):
        made = source.predict(work)
    return step.prove(
        name=made.table,
        attempt=made.attempt,
        rows=made.rows,
        entities=made.entities,
        seconds_outside=made.seconds,
        details=made.details,
    )


def _metadata(definition: QueryDefinition, source: Source, warehouse: Warehouse, artefact: Artefact) -> Metadata:
    figures = source.figures(artefact.details_as(PredictionDetails))
    shown = table_metadata(definition, warehouse, artefact)
    return {**shown, **{label: link(figure) for label, figure in figures.items()}}
