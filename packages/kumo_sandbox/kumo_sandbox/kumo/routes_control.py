"""Our own control routes under `/_sandbox`: faults, queries, settings, and what clients have done. No vendor has them.

Unauthenticated on purpose: the emulator listens on loopback only.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from kumo_sandbox.kumo.faults import KINDS, FaultSpec
from kumo_sandbox.kumo.http import emulator_of
from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.seeding import seed_model
from kumo_sandbox.kumo.store import Document

JOB_KINDS = ("prediction", "training", "artifact")


def _problem(error: ValidationError) -> JSONResponse:
    return JSONResponse({"detail": [{"loc": e["loc"], "msg": e["msg"]} for e in error.errors()]}, status_code=422)


async def health(request: Request) -> JSONResponse:
    """Ready to serve. `pid` tells a stale state file from a live emulator."""
    return JSONResponse({"status": "ok", "service": "kumo_sandbox.kumo"})


async def put_faults(request: Request) -> JSONResponse:
    """POST one fault or a list of them: all are set, or none."""
    body = await request.json()
    try:
        specs = [FaultSpec.model_validate(item) for item in (body if isinstance(body, list) else [body])]
    except ValidationError as error:
        return _problem(error)
    return JSONResponse([emulator_of(request).faults.add(spec) for spec in specs])


async def get_faults(request: Request) -> JSONResponse:
    return JSONResponse({"faults": emulator_of(request).faults.all(), "kinds": sorted(KINDS)})


async def delete_faults(request: Request) -> JSONResponse:
    return JSONResponse({"removed": emulator_of(request).faults.clear(request.path_params.get("id"))})


async def put_query(request: Request) -> JSONResponse:
    """PUT a query's document; a query without a model gets one that is DONE."""
    kumo = emulator_of(request)
    try:
        spec = QuerySpec.model_validate({**(await request.json()), "id": request.path_params["id"]})
    except ValidationError as error:
        return _problem(error)
    kumo.store.put("query", spec.id, spec.model_dump())
    seed_model(kumo.store, spec)
    return JSONResponse(_query(spec))


async def get_queries(request: Request) -> JSONResponse:
    return JSONResponse([_query(QuerySpec.model_validate(d)) for d in emulator_of(request).store.all("query")])


async def delete_query(request: Request) -> JSONResponse:
    return JSONResponse({"removed": emulator_of(request).store.delete("query", request.path_params["id"])})


async def put_settings(request: Request) -> JSONResponse:
    kumo = emulator_of(request)
    try:
        kumo.live.change(await request.json())
    except ValidationError as error:
        return _problem(error)
    kumo.worker.wake()
    return JSONResponse(kumo.live.shown())


async def get_settings(request: Request) -> JSONResponse:
    return JSONResponse(emulator_of(request).live.shown())


async def get_jobs(request: Request) -> JSONResponse:
    """Every job of every kind, oldest first, and the requests counted by operation."""
    kumo = emulator_of(request)
    wanted = dict(request.query_params)
    jobs = [_job(job) for kind in JOB_KINDS for job in kumo.store.all(kind)]
    jobs = [job for job in jobs if all(str(job.get(k)) == v or job["tags"].get(k) == v for k, v in wanted.items())]
    return JSONResponse(
        {
            "jobs": jobs,
            "counts": {kind: sum(j["kind"] == kind for j in jobs) for kind in JOB_KINDS},
            "requests": kumo.log.counts,
        }
    )


async def get_requests(request: Request) -> JSONResponse:
    """The newest requests of this process, oldest first."""
    wanted = request.query_params.get("operation")
    recent = emulator_of(request).log.recent
    return JSONResponse([r for r in recent if wanted in (None, r["operation"])])


async def reset(request: Request) -> JSONResponse:
    """Forget jobs, faults, snapshots, changed settings and counters; queries and connectors as shipped."""
    emulator_of(request).reset()
    return JSONResponse({"status": "reset"})


async def job_page(request: Request) -> JSONResponse:
    """The page of a tracking URL: the job, for a person to read."""
    kumo = emulator_of(request)
    for kind in JOB_KINDS:
        job = kumo.store.get(kind, request.path_params["id"])
        if job is not None:
            return JSONResponse(_job(job))
    return JSONResponse({"detail": "no such job"}, status_code=404)


def _query(spec: QuerySpec) -> Document:
    return {**spec.model_dump(), "pquery_id": spec.pquery_id, "graph_id": spec.graph_id}


def _job(job: Document) -> dict[str, Any]:
    names = [
        "job_id",
        "kind",
        "query",
        "pquery_id",
        "model_id",
        "status",
        "shown_status",
        "created_at",
        "started_at",
        "ended_at",
        "tags",
        "entities",
        "cancel_requested",
        "warnings",
        "errors",
        "unknown_fields",
        "events",
        "metrics",
        "cut_off",
        "config",
    ]
    shown = {name: job.get(name) for name in names}
    shown["dialect"] = job.get("dialect")
    shown["faults"] = [fault["kind"] for fault in job["faults"]]
    return shown
