"""Graph snapshots: which logs Kumo has ingested. A job pinned to a snapshot reads nothing newer than it holds.

`POST /graphsnapshots?refresh_source=true` makes one; it goes through INGEST and MATERIALIZE by the wall clock. Jobs
launched without a snapshot read everything there is (what the vendor does then is not public).
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal

from kumo_sandbox.kumo.definitions import source_name
from kumo_sandbox.kumo.live import Live
from kumo_sandbox.kumo.queries import QuerySpec, graph_id_of
from kumo_sandbox.kumo.settings import WarehouseSettings
from kumo_sandbox.kumo.store import Document, Store
from kumo_sandbox.kumo.warehouse import WarehouseProblem, connect, measure

KIND = "snapshot"


@dataclass(frozen=True)
class Source:
    """A table of a graph: its [DATABASE.]SCHEMA.TABLE and its time column, if it has one."""

    table: str
    time: str | None


class Snapshots:
    """Makes snapshots and answers what one holds."""

    def __init__(self, store: Store, settings: WarehouseSettings, live: Live) -> None:
        self.store = store
        self.settings = settings
        self.live = live
        self._running: dict[str, Future[Document]] = {}

    def graphs(self) -> dict[str, tuple[str, dict[str, Source]]]:
        """(name, tables by their name in the graph) of each graph, by id: those saved, and those of the queries."""
        found: dict[str, tuple[str, dict[str, Source]]] = {}
        for document in self.store.all("query"):
            spec = QuerySpec.model_validate(document)
            _, tables = found.setdefault(spec.graph_id, (spec.graph, {}))
            tables[spec.table.split(".")[-1].lower()] = Source(spec.table, spec.time)
        for document in self.store.all("graph"):
            tables = {
                name: Source(source_name(table["source_table"]), table.get("time_col"))
                for name, table in document["graph"]["tables"].items()
            }
            found[document["id"]] = (document.get("name_alias") or document["id"], tables)
        return found

    def create(self, graph: str, refresh: bool, fault: str | None = None) -> str | None:
        """The id of a new snapshot, or without `refresh` of the newest one there is; None for an unknown graph."""
        graph_id = graph_id_of(graph)
        known = self.graphs().get(graph_id)
        if known is None:
            return None
        graph_name, tables = known
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
                "graph_name": graph_name,
                "created_at": now,
                "tables": {name: {"source": t.table, "time": t.time, "newest": None} for name, t in tables.items()},
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
        tables: Document = snapshot["tables"]
        if snapshot["fault"] == "snapshot_failed":
            return {
                "status": "FAILED",
                "tables": tables,
                "error": "Ingestion failed: the source table could not be read.",
            }
        try:
            with connect(self.settings) as cursor:
                measured = {name: asdict(measure(cursor, t["source"], t["time"])) for name, t in tables.items()}
        except WarehouseProblem as problem:
            return {"status": "FAILED", "tables": tables, "error": str(problem)}
        return {"status": "DONE", "tables": {name: {**t, **measured[name]} for name, t in tables.items()}}

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
        snapshot = (self.store.get(KIND, snapshot_id) if snapshot_id else None) or {"tables": {}}
        # A graph may name the database and a query not: the last two parts of a name tell the table.
        wanted = spec.table.split(".")[-2:]
        found = [t["newest"] for t in snapshot["tables"].values() if t["source"].split(".")[-2:] == wanted]
        return found[0] if found else None
