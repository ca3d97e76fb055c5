"""The Kumo job of one release: adopted or launched once, waited for, and proved by its table.

Called once the raw logs have arrived and their gates have passed. What the UI shows of the job is in `kumo`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from kumo_assets.config.query import Poll
from kumo_assets.documents import KumoNotice, PredictionDetails
from kumo_assets.errors import Refused
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Launch, Notice, PollPolicy, Progress, TrainedModel
from kumo_assets.resources.kumo.output import OutputProof, prove_output, prove_when_written
from kumo_assets.resources.kumo.snapshots import in_words
from kumo_assets.resources.kumo.waiting import OnSilence
from kumo_assets.resources.sql import table
from kumo_assets.sources.protocol import Predicted, PredictionWork


def run_job(work: PredictionWork, client: KumoClient) -> Predicted:
    """Adopt or launch the release's job, wait for its end, prove its table."""
    started = time.perf_counter()
    query, warehouse = work.definition.spec, work.warehouse
    spec = query.kumo
    policy = poll_policy(spec.poll)

    def identify(attempt: int) -> Launch:
        return Launch(
            query_id=spec.predictive_query_id,
            training_job_id=spec.training_job_id,
            connector=spec.connector,
            table=work.table(attempt),
            num_classes=query.classes_per_entity if query.task != "regression" else None,
            tags=_tags(work, attempt),
            prediction_time=work.anchor if spec.send_prediction_time else None,
            task=query.task,
            binary_threshold=spec.binary_threshold,
            num_workers=spec.num_workers,
        )

    def begin(attempt: int) -> None:
        begun = work.attempts.begin_attempt(attempt)
        other = work.attempts.differs(begun)
        if other:
            raise _of_other_parameters(work, f"attempt {attempt}, which run {begun.run_id} has begun,", other)

    def passed_over(attempt: int, found: KumoJob | None) -> bool:
        begun = work.attempts.attempt(attempt)
        other = work.attempts.differs(begun)
        if other and found is not None and (found.status.live or found.status is JobStatus.DONE):
            raise _of_other_parameters(work, f"Kumo job {found.job_id} ({found.raw_status})", other)
        if found is not None and begun is None:
            work.warn(f"Kumo job {found.job_id} was launched by an earlier version, which did not record with what")
        return bool(other)

    def make_launch(attempt: int) -> Launch:
        # Called only when there is nothing to adopt: refreshing the graph's snapshot is work for Kumo, too.
        launch = identify(attempt)
        model = _model(work, client)
        graph = spec.graph_id or model.graph_id
        snapshot = None
        if graph is not None and spec.refresh_graph:
            work.say(f"Refreshing the snapshot of graph {graph}, so that the newest raw logs are used")
            snapshot = client.refresh_snapshot(graph, policy, in_words(work.say))
        launch = replace(launch, training_job_id=model.job_id, graph_snapshot_id=snapshot)
        begin(attempt)
        return launch

    def prove(attempt: int, done: KumoJob) -> OutputProof:
        name = work.table(attempt)
        try:
            return prove_output(
                lambda sql: warehouse.row(sql, doing=f"prove the table {name}"),
                warehouse.columns(warehouse.database, warehouse.schema, name),
                table(warehouse.database, warehouse.schema, name),
                done,
                query.task,
                work.anchor if spec.send_prediction_time else None,
                spec.entities_agree,
            )
        except KumoOutputUnproved:
            warehouse.rest()  # what follows is a pause, or another job
            raise

    def believe(attempt: int, done: KumoJob) -> bool:
        # An earlier attempt that is DONE and whose table is wrong would otherwise be adopted, and refused, for ever.
        ended = client.wait(done, policy)
        try:
            prove_when_written(lambda: prove(attempt, ended), policy)
        except KumoOutputUnproved as error:
            work.warn(f"{error} Launching the next attempt.")
            return False
        return True

    # No session of Snowflake's is held while Kumo works: a policy may end it, and the proof would fail on a paid job.
    warehouse.rest()
    attempt, job, adopted = client.adopt_or_launch(identify, make_launch, believe, passed_over)
    work.say(
        f"{'Adopted' if adopted else 'Launched'} Kumo job {job.job_id} ({job.raw_status}) {job.tracking_url or ''}"
    )
    warehouse.rest()
    try:
        job = client.wait(
            job,
            policy,
            on_progress=in_progress(work.progress, "Kumo job"),
            on_silence=in_silence(work.progress, f"Kumo job {job.job_id}"),
        )
    except BaseException:
        # A worker that merely dies leaves the job alone: the re-execution adopts it.
        if work.cancelling():
            work.say(f"The run is being cancelled; cancelling Kumo job {job.job_id}")
            work.say(f"Kumo job {job.job_id} {client.end(job.job_id, policy)}")
        raise
    proof = prove_when_written(lambda: prove(attempt, job), policy)
    return Predicted(
        table=work.table(attempt),
        attempt=attempt,
        rows=proof.rows,
        entities=proof.entities,
        seconds=time.perf_counter() - started,
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


def _of_other_parameters(work: PredictionWork, what: str, differs: str) -> Refused:
    command = f"kumo-assets materialize {work.definition.name} --partition {work.partition} --fresh"
    return Refused(
        "adopt",
        to=what,
        found=f"the definition was edited after its launch: {differs}",
        next=f"put the definition back, or launch another job: {command}",
    )


def in_progress(
    progress: Callable[[str], object], what: str, unit: str = ""
) -> Callable[[KumoJob, Progress | None], None]:
    """Passes on status, stage and how much is done of a Kumo job at each poll, and where to look at it."""

    def on_progress(job: KumoJob, reading: Progress | None) -> None:
        stage = job.events[-1].stage if job.events else ""
        done = f" {reading.completed}/{reading.total}{unit}" if reading and reading.total else ""
        parts = (f"{what} {job.job_id}: {job.raw_status}", f"{stage}{done}".strip(), job.tracking_url)
        progress(" ".join(part for part in parts if part))

    return on_progress


def in_silence(progress: Callable[[str], object], what: str) -> OnSilence:
    """Passes on that Kumo does not answer, and that it is waited for."""
    return lambda error: progress(f"{what}: Kumo does not answer; the request is retried: {error.found}")


def poll_policy(poll: Poll) -> PollPolicy:
    """How a prediction job is waited for."""
    return PollPolicy(
        first_seconds=poll.first_seconds,
        max_seconds=poll.max_seconds,
        deadline_seconds=poll.deadline_minutes * 60,
        jitter=poll.jitter,
        table_seconds=poll.table_seconds,
    )


def _recorded(notices: Iterable[Notice]) -> tuple[KumoNotice, ...]:
    return tuple(KumoNotice(title=item.title, message=item.message) for item in notices)


def _model(work: PredictionWork, client: KumoClient) -> TrainedModel:
    """The model to predict with: the one pinned in the YAML, else the one in use, else the newest that is DONE."""
    spec = work.definition.spec.kumo
    chosen = spec.training_job_id
    if chosen is None:
        in_use = work.registry.read().in_use
        chosen = in_use.training_job_id if in_use is not None else None
    return client.model(chosen) if chosen is not None else client.newest_model(spec.predictive_query_id)


def _tags(work: PredictionWork, attempt: int) -> dict[str, str]:
    """The job is found again by its release and attempt; the rest is for a person who looks at Kumo's own job list."""
    return {
        "kumo_assets.environment": work.names.environment,
        "kumo_assets.query": work.definition.name,
        "kumo_assets.partition": work.partition,
        "kumo_assets.release": work.release_id,
        "kumo_assets.run": work.root_run_id,
        "kumo_assets.attempt": str(attempt),
    }
