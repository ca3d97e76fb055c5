"""`<query>/predictions`: Kumo's batch prediction job, launched once over REST, and its Snowflake table, proved.

Order matters: the release is opened before anything is launched; the raw logs must reach the partition's end; an
earlier job of this release is adopted; and a job that is DONE counts only once Snowflake shows its table.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date, timedelta

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.assets.keys import KUMO_POOL, code_version, key_of, raw_key
from kumo_assets.assets.kumo_job import run_job
from kumo_assets.assets.log_arrival import wait_for_logs
from kumo_assets.assets.step import begin
from kumo_assets.assets.ui import Metadata, result, table_metadata
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.documents import Artefact, PredictionDetails
from kumo_assets.gates.raw.checks import raw_check_specs, run_raw_gates
from kumo_assets.gates.take_counts import count_asset
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.kumo.output import anchor_time
from kumo_assets.resources.kumo.resource import KumoResource
from kumo_assets.resources.snowflake import Warehouse, connect

ASSET = "predictions"


def build_predictions(
    definition: QueryDefinition, sources: Mapping[str, RawSource], partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The asset that launches, awaits and proves one day's Kumo job."""
    spec = definition.spec

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[
            *(raw_key(name) for name in spec.raw_logs),
            *([key_of(definition.name, "model")] if spec.source.kumo.training is not None else []),
        ],
        partitions_def=partitions,
        group_name=definition.name,
        owners=spec.owners,
        kinds={"kumo", "snowflake"},
        description=f"{spec.description} Kumo's batch predictions, one Snowflake table per release.".strip(),
        code_version=code_version(definition),
        pool=KUMO_POOL,
        check_specs=raw_check_specs(definition, partitions),
    )
    def predictions(
        context: dg.AssetExecutionContext,
        kumo_assets_kumo: KumoResource,
        kumo_assets_snowflake: SnowflakeResource,
        kumo_assets_releases: ReleasesResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        step = begin(context, definition, kumo_assets_releases, ASSET)
        artefact = step.existing()
        adopted = artefact is not None
        day = date.fromisoformat(step.run.partition)
        start, anchor = (anchor_time(end, spec.schedule.time_zone) for end in (day - timedelta(days=1), day))
        with connect(kumo_assets_snowflake) as warehouse, closing(kumo_assets_releases.context(definition)) as ctx:
            if artefact is None:
                wait_for_logs(warehouse, sources, anchor, spec.schedule, context.log.info)
            # Before anything is launched: a bad day of logs costs no Kumo job.
            yield from run_raw_gates(
                ctx, warehouse, definition, sources, step.opened, (start, anchor), step.run.run_id, launched=adopted
            )
            if artefact is None:
                with kumo_assets_kumo.client() as client:
                    artefact = run_job(context, step, client, warehouse, anchor)
            figures = count_asset(ctx, warehouse, definition, step.opened, artefact)
            yield result(step, artefact, _metadata(warehouse, artefact) | figures, adopted)

    return predictions


def _metadata(warehouse: Warehouse, artefact: Artefact) -> Metadata:
    details = artefact.details_as(PredictionDetails)
    url = details.tracking_url
    return {
        **table_metadata(warehouse, artefact),
        "Kumo job": dg.MetadataValue.url(url) if url else details.job_id or "not reported",
        "Kumo model": details.model_id or "not reported",
        "graph snapshot": details.snapshot_id or "none",
        "Kumo warnings": len(details.warnings),
    }
