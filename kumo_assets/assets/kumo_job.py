"""The Kumo job of one release: adopted or launched once, waited for, and proved by its table. No asset here.

Called by `predictions` once the raw logs have arrived and their gates have passed.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import dagster as dg

from kumo_assets.assets.progress import of_job
from kumo_assets.assets.step import Step
from kumo_assets.documents import Artefact, KumoNotice, PredictionDetails
from kumo_assets.models.registry import ModelRegistry
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import KumoJob, Launch, Notice, PollPolicy, TrainedModel
from kumo_assets.resources.kumo.output import OutputProof, prove_output, prove_when_written
from kumo_assets.resources.kumo.snapshots import in_words
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table


def run_job(
    context: dg.AssetExecutionContext, step: Step, client: KumoClient, warehouse: Warehouse, anchor: datetime
) -> Artefact:
    """Adopt or launch the release's job, wait for its end, prove its table."""
    started = time.perf_counter()
    spec = step.definition.spec.source.kumo
    policy = PollPolicy(
        first_seconds=spec.poll.first_seconds,
        max_seconds=spec.poll.max_seconds,
        deadline_seconds=spec.poll.deadline_minutes * 60,
        jitter=spec.poll.jitter,
        table_seconds=spec.poll.table_seconds,
    )

    def identify(attempt: int) -> Launch:
        return Launch(
            query_id=spec.predictive_query_id,
            training_job_id=spec.training_job_id,
            connector=spec.connector,
            table=step.names.warehouse_table(step.release_id, step.asset, attempt),
            num_classes=step.definition.spec.classes_per_entity if step.definition.spec.task != "regression" else None,
            tags=_tags(step, attempt),
            prediction_time=anchor if spec.send_prediction_time else None,
            task=step.definition.spec.task,
            binary_threshold=spec.binary_threshold,
            num_workers=spec.num_workers,
        )

    def make_launch(attempt: int) -> Launch:
        # Called only when there is nothing to adopt: refreshing the graph's snapshot is work for Kumo, too.
        launch = identify(attempt)
        if not client.needs_model:
            return launch
        model = _model(step, client)
        graph = spec.graph_id or model.graph_id
        snapshot = None
        if graph is not None and spec.refresh_graph:
            context.log.info(f"Refreshing the snapshot of graph {graph}, so that the newest raw logs are used")
            snapshot = client.refresh_snapshot(graph, policy, in_words(context.log.info))
        return replace(launch, training_job_id=model.job_id, graph_snapshot_id=snapshot)

    def prove(attempt: int, done: KumoJob) -> OutputProof:
        name = step.names.warehouse_table(step.release_id, step.asset, attempt)
        return prove_output(
            lambda sql: warehouse.row(sql, doing=f"prove the table {name}"),
            warehouse.columns(warehouse.database, warehouse.schema, name),
            table(warehouse.database, warehouse.schema, name),
            done,
            step.definition.spec.task,
            anchor if spec.send_prediction_time and client.sends_time else None,
        )

    def believe(attempt: int, done: KumoJob) -> bool:
        # An earlier attempt that is DONE and whose table is wrong would otherwise be adopted, and refused, for ever.
        ended = client.wait(done, policy)
        try:
            prove_when_written(lambda: prove(attempt, ended), policy)
        except KumoOutputUnproved as error:
            context.log.warning(f"{error} Launching the next attempt.")
            return False
        return True

    attempt, job, adopted = client.adopt_or_launch(identify, make_launch, believe)
    context.log.info(
        f"{'Adopted' if adopted else 'Launched'} Kumo job {job.job_id} ({job.raw_status}) {job.tracking_url or ''}"
    )
    try:
        job = client.wait(job, policy, on_progress=of_job(context.log.info, "Kumo job"))
    except BaseException:
        _cancel_if_dagster_cancels(context, client, job, policy)
        raise
    proof = prove_when_written(lambda: prove(attempt, job), policy)
    return step.prove(
        name=step.names.warehouse_table(step.release_id, step.asset, attempt),
        attempt=attempt,
        rows=proof.rows,
        entities=proof.entities,
        seconds_outside=time.perf_counter() - started,
        details=PredictionDetails(
            job_id=job.job_id,
            predictive_query_id=spec.predictive_query_id,
            model_id=job.model_id,
            snapshot_id=job.snapshot_id,
            tracking_url=job.tracking_url,
            warnings=_recorded(job.warnings),
            errors=_recorded(job.errors),
            database=warehouse.database,
            schema=warehouse.schema,
            adopted=adopted,
        ),
    )


def _recorded(notices: Iterable[Notice]) -> tuple[KumoNotice, ...]:
    return tuple(KumoNotice(title=item.title, message=item.message) for item in notices)


def _model(step: Step, client: KumoClient) -> TrainedModel:
    """The model to predict with: the one pinned in the YAML, else the one in use, else the newest that is DONE."""
    spec = step.definition.spec.source.kumo
    chosen = spec.training_job_id
    if chosen is None:
        in_use = ModelRegistry(step.store.names, step.store.objects).read().in_use
        chosen = in_use.training_job_id if in_use is not None else None
    return client.model(chosen) if chosen is not None else client.newest_model(spec.predictive_query_id)


def _tags(step: Step, attempt: int) -> dict[str, str]:
    """The job is found again by its release and attempt; the rest is for a person who looks at Kumo's own job list."""
    return {
        "kumo_assets.environment": step.names.environment,
        "kumo_assets.query": step.definition.name,
        "kumo_assets.partition": step.run.partition,
        "kumo_assets.release": step.release_id,
        "kumo_assets.run": step.run.root_run_id,
        "kumo_assets.attempt": str(attempt),
    }


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
