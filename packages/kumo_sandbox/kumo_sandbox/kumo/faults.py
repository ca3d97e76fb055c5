"""Faults on demand: which requests and jobs go wrong, how, and how often. Nothing of it is under the vendor's paths.

A fault is a document put by `POST /_sandbox/faults`; HTTP faults strike a request (`http.py`), job faults are attached to
the job a launch makes (`jobs.py`, `work.py`, `table_faults.py`). Each counts the requests it has struck.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kumo_sandbox.kumo.store import Document, Store
from kumo_sandbox.kumo.table_faults import TABLE_FAULTS

# Strike before the request is looked at; the server has done nothing.
BEFORE = frozenset(
    {
        "status",
        "html",
        "detail_string",
        "detail_list",
        "plain_text",
        "hang",
        "reset",
        "delay",
        "key_rotated",
        "redirect",
    }
)
# Strike after the request was carried out: a launched job exists although its caller never gets the answer.
AFTER = frozenset({"accept_then_hang", "accept_then_reset", "accept_then_status"})
# Change the JSON of an honest reply.
REPLY = frozenset({"null_body", "float_durations", "extra_fields", "missing_fields", "replace_body", "not_json"})
# Attached to the job that a launch (prediction, training, export) makes.
JOB = TABLE_FAULTS | {
    "refused",
    "launch_warnings",
    "job_warnings",
    "long_queue",
    "long_run",
    "slow_write",
    "unknown_status",
    "untrained",
    "missing",
    "done_without_table",
    "late_table",
    "null_result",
    "zero_entities",
    "failed",
    "failed_without_detail",
    "late_cancel",
    "cancel_refused",
    "training_metrics",
}
SNAPSHOT = frozenset({"snapshot_failed"})
KINDS = BEFORE | AFTER | REPLY | JOB | SNAPSHOT
DEFAULT_OPERATION = {
    **dict.fromkeys(JOB, "launch"),
    **dict.fromkeys(AFTER, "launch"),
    "snapshot_failed": "snapshot_create",
}
DEFAULT_OPERATION["training_metrics"] = "training_launch"


class FaultSpec(BaseModel):
    """`operation` is the name of a route (the tables in `app.py`) or `any`; `times` how often it strikes (null: always), after letting
    `after` matching requests pass; `query` and `tags` narrow it to jobs of one query or with these tags; `with` holds the
    kind's own parameters.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: str
    operation: str | None = None
    times: int | None = Field(default=1, ge=1)
    after: int = Field(default=0, ge=0)
    query: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(f"{value!r} is not one of {', '.join(sorted(KINDS))}")
        return value


class Faults:
    """The faults that are set, in the order they were."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()

    def add(self, spec: FaultSpec) -> Document:
        document = spec.model_dump(by_alias=True)
        document["operation"] = document["operation"] or DEFAULT_OPERATION.get(spec.kind, "any")
        document.update(id="fault-" + secrets.token_hex(4), seen=0, struck=0)
        self._store.put("fault", document["id"], document)
        return document

    def all(self) -> list[Document]:
        return self._store.all("fault")

    def clear(self, key: str | None = None) -> int:
        return self._store.delete("fault", key)

    def strike(
        self, operation: str, kinds: frozenset[str], query: str | None = None, tags: dict[str, str] | None = None
    ) -> list[Document]:
        """The faults of these kinds that hit this request; each is counted."""
        with self._lock:
            return [
                fault
                for fault in self.all()
                if fault["kind"] in kinds and self._hits(fault, operation, query, tags or {})
            ]

    def _hits(self, fault: Document, operation: str, query: str | None, tags: dict[str, str]) -> bool:
        if fault["operation"] not in (operation, "any"):
            return False
        if fault["query"] is not None and fault["query"] != query:
            return False
        if not fault["tags"].items() <= tags.items():
            return False
        fault["seen"] += 1
        hit = fault["seen"] > fault["after"] and (fault["times"] is None or fault["struck"] < fault["times"])
        fault["struck"] += int(hit)
        self._store.put("fault", fault["id"], fault)
        return bool(hit)
