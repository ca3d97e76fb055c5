"""Runs whose process is gone: a `materialize` that was killed leaves its run STARTED, and Dagster counts it for ever.

Dagster watches the workers that it launched, and no others; ten such runs fill its queue. The next resume, the promotion
sensor and `doctor` mark them. Which process counts as dead is decided in `kumo_assets.resources.processes`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg

from kumo_assets.resources import processes
from kumo_assets.resources.processes import HEARD_TAG, PROCESS_TAG, STARTED_TAG

_log = logging.getLogger(__name__)

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def mark_dead_runs(instance: dg.DagsterInstance, now: datetime | None = None) -> list[dg.DagsterRun]:
    """End every unfinished run whose process is gone, and return them: failed, or cancelled when that was asked for.

    The run's slots in pools are freed. Several callers at once do no harm.
    """
    marked = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        if not _of_a_terminal(record.dagster_run):
            continue
        created = record.create_timestamp.replace(tzinfo=record.create_timestamp.tzinfo or UTC)
        if processes.state_of(record.dagster_run.tags, created, now) == "dead":
            run = instance.get_run_by_id(record.dagster_run.run_id)
            if run is not None and not run.is_finished:
                _end(instance, run)
                marked.append(run)
    return marked


@contextmanager
def heard(instance: dg.DagsterInstance, every_seconds: float = processes.BEAT_SECONDS) -> Iterator[None]:
    """While the block runs, say in the tags of this process's runs that it lives, for those who look from elsewhere."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_seconds):
            try:
                _beat(instance)
            except Exception as error:  # noqa: BLE001 - a database that is away for a moment must not end the run
                _log.warning("Could not say in Dagster that this process lives: %s", error)

    thread = threading.Thread(target=beat, name="kumo_assets-heard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def _beat(instance: dg.DagsterInstance) -> None:
    mine = processes.process_tags()
    identity = {tag: mine[tag] for tag in (PROCESS_TAG, STARTED_TAG) if tag in mine}
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=identity)):
        instance.add_run_tags(run.run_id, {HEARD_TAG: mine[HEARD_TAG]})


def _of_a_terminal(run: dg.DagsterRun) -> bool:
    """True for a run that a process executes itself. A re-execution that Dagster launched has the tags of its parent."""
    return run.remote_job_origin is None and run.parent_run_id is None


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    process = run.tags.get(PROCESS_TAG, "")
    message = (
        f"The process of this run, {process}, is gone: it was killed, or its machine was. What it began is kept; "
        "`kumo-assets materialize` with the same query and partition continues the release."
    )
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        storage.free_concurrency_slots_for_run(run.run_id)
    _log.warning("Run %s (%s) was marked as ended: its process %s is gone", run.run_id, run.job_name, process)
