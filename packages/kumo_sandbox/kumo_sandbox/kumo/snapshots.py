"""Graph snapshots: which logs Kumo has ingested. A job pinned to a snapshot reads nothing newer than it holds.

`POST /graphsnapshots?refresh_source=true` makes one; it goes through INGEST and MATERIALIZE by the wall clock. Jobs
launched without a snapshot read everything there is (what the vendor does then is not public).
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Literal

from kumo_sandbox.kumo.live import Live
from kumo_sandbox.kumo.queries import QuerySpec, graph_id_of
from kumo_sandbox.kumo.settings import WarehouseSettings
from kumo_sandbox.kumo.store import Document, Store
from kumo_sandbox.kumo.warehouse import WarehouseProblem, connect, measure

KIND = "snapshot"


class Snapshots:
    """Makes snapshots and answers what one holds."""

    def __init__(self, store: Store, settings: WarehouseSettings, live: Live) -> None:
        self.store = store
        self.settings = settings
        self.live = live
        self._running: dict[str, Future[Document]] = {}

    def graphs(self) -> dict[str, list[QuerySpec]]:
        """The queries of each graph, by graph id; a graph's tables are those its queries read."""
        found: dict[str, list[QuerySpec]] = {}
        for document in self.store.all("query"):
            spec = QuerySpec.model_validate(document)
            found.setdefault(spec.graph_id, []).append(spec)
        return found

    def create(self, graph: str, refresh: bool, fault: str | None = None) -> str | None:
        """The id of a new snapshot, or without `refresh` of the newest one there is; None for an unknown graph."""
        graph_id = graph_id_of(graph)
        specs = self.graphs().get(graph_id)
        if specs is None:
            return None
        existing = [s for s in self.store.all(KIND) if s["graph_id"] == graph_id]
        if existing and not refresh:
            return str(existing[-1]["id"])
        now = time.time()
        key = f"{graph_id}@{int(now * 1_000_000):x}"
        self.store.put(
            KIND,
            key,
            {
                "id": key,
                "graph_id": graph_id,
                "graph_name": specs[0].graph,
                "created_at": now,
                "tables": {},
                "fault": fault,
                "stages": {
                    name: {"status": "NOT_STARTED", "start": None, "end": None} for name in ("INGEST", "MATERIALIZE")
                },
            },
        )
        return key

    def tick(self, pool: ThreadPoolExecutor) -> bool:
        """Move every unfinished snapshot along; whether there is one."""
        live = False
        for snapshot in self.store.all(KIND):
            ingest, rest = snapshot["stages"]["INGEST"], snapshot["stages"]["MATERIALIZE"]
            if rest["status"] in ("DONE", "FAILED"):
                continue
            live = True
            key, now, pace = snapshot["id"], time.time(), self.live.pace
            if ingest["status"] != "DONE":
                future = self._running.get(key)
                if future is None:
                    # Also after a restart: the ingestion of a killed process is simply done again.
                    ingest.update(status="RUNNING", start=ingest["start"] or now)
                    self._running[key] = pool.submit(self._ingest, snapshot)
                elif future.done():
                    outcome = self._running.pop(key).result()
                    snapshot["tables"] = outcome["tables"]
                    ingest.update(status=outcome["status"], end=now, error=outcome.get("error"))
                    rest.update(status="FAILED" if outcome["status"] == "FAILED" else "RUNNING", start=now)
                else:
                    continue
                self.store.put(KIND, key, snapshot)
            elif now - rest["start"] >= pace:
                rest.update(status="DONE", end=now)
                self.store.put(KIND, key, snapshot)
        return live

    def _ingest(self, snapshot: Document) -> Document:
        if snapshot["fault"] == "snapshot_failed":
            return {"status": "FAILED", "tables": {}, "error": "Ingestion failed: the source table could not be read."}
        tables: Document = {}
        try:
            with connect(self.settings) as cursor:
                for spec in self.graphs().get(snapshot["graph_id"], []):
                    if spec.table not in tables:
                        tables[spec.table] = asdict(measure(cursor, spec))
        except WarehouseProblem as problem:
            return {"status": "FAILED", "tables": tables, "error": str(problem)}
        return {"status": "DONE", "tables": tables}

    def readiness(self, snapshot_id: str | None) -> Literal["ready", "waiting", "failed"]:
        """Whether a job pinned to this snapshot may start; a job with none always may."""
        if snapshot_id is None:
            return "ready"
        snapshot = self.store.get(KIND, snapshot_id)
        if snapshot is None:
            return "failed"
        status = snapshot["stages"]["MATERIALIZE"]["status"]
        return "ready" if status == "DONE" else "failed" if status == "FAILED" else "waiting"

    def error(self, snapshot_id: str | None) -> str:
        snapshot = self.store.get(KIND, snapshot_id or "")
        if snapshot is None:
            return f"Graph snapshot {snapshot_id} does not exist"
        return str(snapshot["stages"]["INGEST"].get("error") or "unknown")

    def pinned(self, snapshot_id: str | None, spec: QuerySpec) -> str | None:
        """The newest event of the query's table that the snapshot holds."""
        snapshot = self.store.get(KIND, snapshot_id) if snapshot_id else None
        table: dict[str, Any] = (snapshot or {}).get("tables", {}).get(spec.table, {})
        return table.get("newest")
