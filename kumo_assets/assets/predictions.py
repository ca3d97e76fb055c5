"""`<query>/predictions`: Kumo's batch prediction job, launched once over REST, and its Snowflake table, proved.

Order matters: the release is opened before anything is launched, the raw logs must reach the partition's end, an
earlier job of this release is adopted, and DONE is not believed until Snowflake shows the table.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.assets.keys import KUMO_POOL, code_version, key_of, raw_key
from kumo_assets.assets.log_arrival import wait_for_logs
from kumo_assets.assets.step import Step, begin, column_schema, preview, result
from kumo_assets.gates.counting import count_asset
from kumo_assets.gates.raw_checks import ask_raw_gates, raw_check_specs
from kumo_assets.releases.documents import Artefact
from kumo_assets.releases.model_book import ModelBooks
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import KumoJob, Launch, PollPolicy, Progress, TrainedModel
from kumo_assets.resources.kumo.output import OutputProof, anchor_time, prove_output
from kumo_assets.resources.kumo.resource import KumoResource
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.sql import table
from kumo_assets.spec.load import QueryDefinition, RawSource

ASSET = "predictions"
# A queue of hours is fine, and is told again this often, so that a log never looks dead.
SAY_AGAIN_SECONDS = 600.0


def build_predictions(
    definition: QueryDefinition, sources: Mapping[str, RawSource], partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The asset that launches, awaits and proves one day's Kumo job."""
    spec = definition.spec

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[
            *(raw_key(name) for name in spec.raw_logs),
            *([key_of(definition.name, "model")] if spec.kumo.training is not None else []),
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
        kumo: KumoResource,
        snowflake: SnowflakeResource,
        releases: ReleasesResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        step = begin(context, definition, releases, ASSET)
        artefact = step.existing()
        adopted = artefact is not None
        day = date.fromisoformat(step.run.partition)
        start, anchor = (anchor_time(end, spec.schedule.time_zone) for end in (day - timedelta(days=1), day))
        with connect(snowflake) as warehouse, closing(releases.outside(definition)) as world:
            if artefact is None:
                wait_for_logs(warehouse, sources, anchor, spec.schedule, context.log.info)
            # Before anything is launched: a bad day of logs costs no Kumo job.
            yield from ask_raw_gates(
                world, warehouse, definition, sources, step.opened, (start, anchor), step.run.run_id, launched=adopted
            )
            if artefact is None:
                with kumo.client() as client:
                    artefact = _run_job(context, step, client, warehouse, anchor)
            figures = count_asset(world, warehouse, definition, step.opened, artefact)
            yield result(step, artefact, _metadata(warehouse, artefact) | figures, adopted)

    return predictions


def _run_job(
    context: dg.AssetExecutionContext, step: Step, client: KumoClient, warehouse: Warehouse, anchor: datetime
) -> Artefact:
    """Adopt or launch the release's job, wait for its end, prove its table."""
    started = time.perf_counter()
    spec = step.definition.spec.kumo
    policy = PollPolicy(
        first_seconds=spec.poll.first_seconds,
        max_seconds=spec.poll.max_seconds,
        deadline_seconds=spec.poll.deadline_minutes * 60,
    )

    def identify(attempt: int) -> Launch:
        return Launch(
            query_id=spec.predictive_query_id,
            training_job_id=spec.training_job_id,
            connector=spec.connector,
            table=step.names.warehouse_table(step.release_id, ASSET, attempt),
            num_classes=step.definition.spec.classes_per_entity if spec.task != "regression" else None,
            tags=_tags(step, attempt),
            prediction_time=anchor if spec.send_prediction_time else None,
            task=spec.task,
            binary_threshold=spec.binary_threshold,
            num_workers=spec.num_workers,
        )

    def make_launch(attempt: int) -> Launch:
        # Called only when there is nothing to adopt: a refresh of the graph's snapshot is work in Kumo, too.
        launch = identify(attempt)
        if not client.needs_model:
            return launch
        model = _model(step, client)
        graph = spec.graph_id or model.graph_id
        snapshot = None
        if graph is not None and spec.refresh_graph:
            context.log.info(f"Refreshing the snapshot of graph {graph}, so that the newest raw logs are used")
            snapshot = client.refresh_snapshot(graph, policy)
        return replace(launch, training_job_id=model.job_id, graph_snapshot_id=snapshot)

    def prove(attempt: int, done: KumoJob) -> OutputProof:
        name = step.names.warehouse_table(step.release_id, ASSET, attempt)
        return prove_output(
            lambda sql: warehouse.row(sql, doing=f"prove the table {name}"),
            warehouse.columns(warehouse.database, warehouse.schema, name),
            table(warehouse.database, warehouse.schema, name),
            done,
            spec.task,
            anchor if spec.send_prediction_time and client.sends_time else None,
        )

    def believe(attempt: int, done: KumoJob) -> bool:
        # An earlier attempt that says DONE and has no such table would be adopted, and refused, for ever.
        try:
            prove(attempt, client.wait(done, policy))
        except KumoOutputUnproved as error:
            context.log.warning(f"{error} Launching the next attempt.")
            return False
        return True

    attempt, job, adopted = client.adopt_or_launch(identify, make_launch, believe)
    context.log.info(
        f"{'Adopted' if adopted else 'Launched'} Kumo job {job.job_id} ({job.raw_status}) {job.tracking_url or ''}"
    )
    try:
        job = client.wait(job, policy, on_progress=_progress_to(context))
    except BaseException:
        _cancel_if_dagster_cancels(context, client, job, policy)
        raise
    proof = prove(attempt, job)
    return step.prove(
        name=step.names.warehouse_table(step.release_id, ASSET, attempt),
        attempt=attempt,
        rows=proof.rows,
        entities=proof.entities,
        seconds_outside=time.perf_counter() - started,
        details={
            "job_id": job.job_id,
            "predictive_query_id": spec.predictive_query_id,
            "model_id": job.model_id,
            "snapshot_id": job.snapshot_id,
            "tracking_url": job.tracking_url,
            "warnings": [asdict(item) for item in job.warnings],
            "errors": [asdict(item) for item in job.errors],
            "database": warehouse.database,
            "schema": warehouse.schema,
            "adopted": adopted,
        },
    )


def _model(step: Step, client: KumoClient) -> TrainedModel:
    """The model to predict with: the one pinned in the YAML, else the one in use, else the newest that is DONE."""
    spec = step.definition.spec.kumo
    chosen = spec.training_job_id
    if chosen is None:
        in_use = ModelBooks(step.store.names, step.store.s3).read().in_use
        chosen = in_use.training_job_id if in_use is not None else None
    return client.model(chosen) if chosen is not None else client.newest_model(spec.predictive_query_id)


def _tags(step: Step, attempt: int) -> dict[str, str]:
    """How the job is found again: by release; the rest is for a person looking at Kumo's own job list."""
    return {
        "kumo_assets.environment": step.names.environment,
        "kumo_assets.query": step.definition.name,
        "kumo_assets.partition": step.run.partition,
        "kumo_assets.release": step.release_id,
        "kumo_assets.run": step.run.root_run_id,
        "kumo_assets.attempt": str(attempt),
    }


def _progress_to(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
    """Say in the run's log what Kumo is doing: each change of status or stage, and now and then that nothing changed."""
    last: list[str] = [""]
    started = said = time.monotonic()

    def say(job: KumoJob, progress: Progress | None) -> None:
        nonlocal said
        stage = job.events[-1].stage if job.events else ""
        done = f" {progress.completed}/{progress.total}" if progress and progress.total else ""
        words = f"Kumo job {job.job_id}: {job.raw_status} {stage}{done}".rstrip()
        now = time.monotonic()
        if words != last[0] or now - said >= SAY_AGAIN_SECONDS:
            last[0], said = words, now
            context.log.info(f"{words} (waited for {(now - started) / 60:.0f} minutes)")

    return say


def _cancel_if_dagster_cancels(
    context: dg.AssetExecutionContext, client: KumoClient, job: KumoJob, policy: PollPolicy
) -> None:
    """Cancel the Kumo job, and see it end, only when a person or Dagster is cancelling the run.

    A worker that merely dies leaves the job alone: the re-execution adopts it.
    """
    run = context.instance.get_run_by_id(context.run.run_id)
    if run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        context.log.info(f"The run is being cancelled; cancelling Kumo job {job.job_id}")
        context.log.info(f"Kumo job {job.job_id} {client.end(job.job_id, policy)}")


def _metadata(warehouse: Warehouse, artefact: Artefact) -> dict[str, object]:
    where = table(artefact.details["database"], artefact.details["schema"], artefact.name)
    columns = warehouse.columns(artefact.details["database"], artefact.details["schema"], artefact.name)
    rows = warehouse.rows(f"SELECT * FROM {where} LIMIT 5", doing=f"preview {where}")  # noqa: S608 - quoted
    url = artefact.details.get("tracking_url")
    return {
        "dagster/table_name": ".".join((artefact.details["database"], artefact.details["schema"], artefact.name)),
        "dagster/column_schema": column_schema(columns),
        "preview": preview(rows),
        "Kumo job": dg.MetadataValue.url(url) if url else artefact.details["job_id"],
        "Kumo model": artefact.details["model_id"] or "not told",
        "graph snapshot": artefact.details["snapshot_id"] or "none",
        "Kumo warnings": len(artefact.details["warnings"]),
    }
