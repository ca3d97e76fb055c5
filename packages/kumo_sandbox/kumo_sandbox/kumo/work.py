"""What a running job does in the warehouse: predict and write, train (an honest hold-out evaluation), or export again.

Each piece returns an outcome document (`status`, `entities`, `errors`, `warnings`, `metrics`) and never raises for what
the warehouse answers: that is a FAILED job, as at the vendor's.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from kumo_sandbox.kumo.evaluate import evaluate
from kumo_sandbox.kumo.jobs import fault
from kumo_sandbox.kumo.live import Live
from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.ranking import CutOff
from kumo_sandbox.kumo.settings import WarehouseSettings
from kumo_sandbox.kumo.snapshots import Snapshots
from kumo_sandbox.kumo.store import Document, Store
from kumo_sandbox.kumo.warehouse import Output, WarehouseProblem, compute, connect, measure, write
from kumo_sandbox.kumo.wire import stamp


class Work:
    """Runs one job's work; called in a pool thread."""

    def __init__(self, store: Store, settings: WarehouseSettings, snapshots: Snapshots, live: Live) -> None:
        self.store = store
        self.settings = settings
        self.snapshots = snapshots
        self.live = live

    def run(self, job: Document) -> Document:
        """The outcome of a job of any kind."""
        failed = fault(job, "failed", "failed_without_detail")
        if failed is not None:
            errors = (failed.get("with") or {}).get("errors") or [
                {"title": "Prediction failed", "message": "The prediction workflow ended with an internal error."}
            ]
            return {"status": "FAILED", "errors": [] if failed["kind"] == "failed_without_detail" else errors}
        document = self.store.get("query", job["query"])
        if document is None:
            return _failure(f"Predictive query {job['query']} was removed while the job ran")
        spec = QuerySpec.model_validate(document)
        try:
            if job["kind"] == "training":
                return self._train(job, spec)
            if job["kind"] == "artifact":
                return self._export(job, spec)
            return self._predict(job, spec)
        except WarehouseProblem as problem:
            return _failure(str(problem))

    def _predict(self, job: Document, spec: QuerySpec, cut_off: CutOff | None = None) -> Document:
        config = job["config"]
        with connect(self.settings) as cursor:
            cut_off = cut_off or self._cut_off(cursor, spec, config)
            options = config["predict_options"]
            work = compute(
                cursor, spec, cut_off, options["num_classes_to_return"], options["binary_classification_threshold"]
            )
            slow = fault(job, "slow_write")
            if slow is not None:
                time.sleep(float((slow.get("with") or {}).get("seconds", 1)))
            current = self.store.get(job["kind"], job["job_id"]) or job
            if current["cancel_requested"] and fault(job, "late_cancel") is None:
                return {"status": "CANCELLED"}
            late = fault(job, "late_table")
            outputs = [] if late or fault(job, "done_without_table") else _outputs(config["outputs"])
            _, entities = write(
                cursor,
                work,
                outputs,
                settings=self.settings,
                anchor=cut_off.at,
                job_time=stamp(job["created_at"]),
                faults=job["faults"],
            )
        if late is not None:
            whole = {**job, "faults": [item for item in job["faults"] if item["kind"] != "late_table"]}
            seconds = float((late.get("with") or {}).get("seconds", 1))
            threading.Timer(seconds, self._predict, (whole, spec, cut_off)).start()
        outcome: Document = {"status": "DONE", "entities": entities, "cut_off": asdict(cut_off)}
        if fault(job, "null_result"):
            outcome["entities"] = None
        elif fault(job, "zero_entities"):
            outcome["entities"] = 0
        warned = fault(job, "job_warnings")
        if warned is not None:
            outcome["warnings"] = _listed(warned, "Low data quality", "Column PRODUCT_ID has many rare values.")
        return outcome

    def _export(self, job: Document, spec: QuerySpec) -> Document:
        """Write a finished job's predictions again: computed from the same logs, as of the same anchor."""
        original = self.store.get("prediction", job["exports"])
        if original is None:
            return _failure(f"Prediction job {job['exports']} was removed while it was exported")
        config = {**original["config"], "outputs": [job["config"]["prediction_output"]]}
        again = {**job, "config": config, "created_at": original["created_at"]}
        return self._predict(again, spec, CutOff(**original["cut_off"]))

    def _train(self, job: Document, spec: QuerySpec) -> Document:
        with connect(self.settings) as cursor:
            newest = self.snapshots.pinned(job["config"].get("graph_snapshot_id"), spec)
            metrics = evaluate(cursor, spec, newest or measure(cursor, spec.table, spec.time).newest)
        wished = fault(job, "training_metrics")
        if wished is not None:
            metrics.update((wished.get("with") or {}).get("metrics", {}))
        return {"status": "DONE", "metrics": metrics}

    def _cut_off(self, cursor: Any, spec: QuerySpec, config: Document) -> CutOff:
        """The anchor asked for, else the newest event; and never a log that the graph snapshot does not hold."""
        pinned = self.snapshots.pinned(config["graph_snapshot_id"], spec)
        if config["prediction_time"] is not None:
            return CutOff(_utc(config["prediction_time"]), ingested=pinned)
        newest = pinned or measure(cursor, spec.table, spec.time).newest
        if newest is None:
            raise WarehouseProblem(f"{spec.table} has no rows, so that no anchor time can be inferred")
        return CutOff(newest, inclusive=True)


def _utc(text: str) -> str:
    """An ISO-8601 moment (UTC when it names no zone) as an SQL timestamp in UTC."""
    moment = datetime.fromisoformat(text)
    return stamp((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _outputs(outputs: list[Document]) -> list[Output]:
    return [Output(o["table_name"], tuple(o["extra_fields"]), o["write_mode"]) for o in outputs]


def _listed(item: Document, title: str, message: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] | None = (item.get("with") or {}).get("warnings")
    return found or [{"title": title, "message": message}]


def _failure(message: str) -> Document:
    return {"status": "FAILED", "errors": [{"title": "Job failed", "message": message}]}
