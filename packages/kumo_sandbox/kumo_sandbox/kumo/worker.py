"""The background thread that moves jobs along: one tick at a time by the wall clock, the warehouse work beside it.

All state is in the store, so that after a stop or a SIGKILL the next process carries on: a job found RUNNING without
its work simply does it again, into tables that are written in one statement. What the work is, is in `work.py`.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from kumo_sandbox.kumo.jobs import Conditions, Step, enter, fault, log, next_step
from kumo_sandbox.kumo.snapshots import Snapshots
from kumo_sandbox.kumo.store import Document, Store
from kumo_sandbox.kumo.wire import TERMINAL
from kumo_sandbox.kumo.work import Work

KINDS = ("prediction", "training", "artifact")
logger = logging.getLogger("kumo_sandbox.kumo")


class Worker:
    """Owns the thread and the pool; `wake` makes it look at once."""

    def __init__(self, store: Store, work: Work, snapshots: Snapshots) -> None:
        self.store = store
        self.work = work
        self.snapshots = snapshots
        self._running: dict[str, Future[Document]] = {}
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="kumo-work")
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="kumo-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()
        # Ready for the first job by the time there is one.
        self._pool.submit(importlib.import_module, "snowflake.connector")

    def stop(self) -> None:
        """End the thread. Work under way is abandoned, not awaited: the next start resumes it."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        self._wake.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                live = self.tick()
            except Exception:  # the thread must outlive any one bad document; the log says which
                logger.exception("a tick of the Kumo emulator failed")
                live = True
            # An idle emulator sleeps until it is asked for something.
            self._wake.wait(0.03 if live else None)
            self._wake.clear()

    def tick(self) -> bool:
        """Move every live job one step if it is due; whether any job or snapshot is live."""
        pace, concurrency = self.work.live.pace, self.work.live.concurrency
        live = self.snapshots.tick(self._pool)
        for kind in KINDS:
            jobs = [job for job in self.store.all(kind) if job["status"] not in TERMINAL]
            busy = sum(1 for job in jobs if job["status"] == "RUNNING" and job["shown_status"] is None)
            for job in jobs:
                live = True
                future = self._running.get(job["job_id"])
                world = Conditions(
                    now=time.time(),
                    pace=pace,
                    slots_free=busy < concurrency,
                    data=self.snapshots.readiness((job["config"] or {}).get("graph_snapshot_id")),
                    work="none" if future is None else "finished" if future.done() else "running",
                )
                step = next_step(job, world)
                busy += int(step == "start")
                if step != "wait":
                    self._apply(job, step, world.now)
        return live

    def _apply(self, job: Document, step: Step, now: float) -> None:
        key, kind = job["job_id"], job["kind"]
        if step == "finish":
            outcome = self._running.pop(key).result()
            self.store.update(kind, key, lambda j: _settle(j, outcome, now))
        elif step == "start":
            self.store.update(kind, key, lambda j: _begin(j, now))
        elif step == "work":
            self._running[key] = self._pool.submit(self.work.run, job)
        elif step == "queue":
            self.store.update(kind, key, lambda j: enter(j, "QUEUED", now))
        elif step == "cancel":
            self.store.update(kind, key, lambda j: enter(j, "CANCELLED", now))
        elif step == "fail":
            reason = self.snapshots.error((job["config"] or {}).get("graph_snapshot_id"))
            failed = {"status": "FAILED", "errors": [{"title": "Graph snapshot failed", "message": reason}]}
            self.store.update(kind, key, lambda j: _settle(j, failed, now))


def _begin(job: Document, now: float) -> None:
    enter(job, "RUNNING", now)
    # A job that fails without detail leaves no trace of what it did.
    if fault(job, "failed_without_detail") is None:
        log(job, "Training" if job["kind"] == "training" else "Predicting", now)


def _settle(job: Document, outcome: Document, now: float) -> None:
    """Write the outcome of the work into the job."""
    job["errors"] = [*job["errors"], *outcome.get("errors", [])]
    job["warnings"] = [*job["warnings"], *outcome.get("warnings", [])]
    for key in ("entities", "metrics", "cut_off"):
        if key in outcome:
            job[key] = outcome[key]
    enter(job, outcome["status"], now)
