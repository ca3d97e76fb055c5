"""What a tenant has before anyone calls it: its Snowflake connector, the predictive queries, a trained model for each.

Seeding adds only what is missing, so that a restart keeps what clients have changed. Routes that make the same documents
when a client asks are in `routes_*.py`.
"""

from __future__ import annotations

import time

from kumo_sandbox.kumo.jobs import new_job
from kumo_sandbox.kumo.queries import QuerySpec, initial_queries
from kumo_sandbox.kumo.requests import training_config
from kumo_sandbox.kumo.settings import Settings
from kumo_sandbox.kumo.store import Store
from kumo_sandbox.kumo.wire import connector_resource


def seed(store: Store, settings: Settings) -> None:
    """Everything a tenant has from the start. Raises what `initial_queries` raises for a broken file of queries."""
    seed_connector(store, settings)
    for spec in initial_queries(settings.queries_file):
        if store.get("query", spec.id) is None:
            store.put("query", spec.id, spec.model_dump())
        seed_model(store, spec)


def seed_connector(store: Store, settings: Settings) -> None:
    """The Snowflake connector, which fixes database and schema."""
    if store.get("connector", settings.connector) is None:
        config = {
            "type": "snowflake",
            "name": settings.connector,
            "account": settings.warehouse.account,
            "warehouse": settings.warehouse.warehouse,
            "database": settings.warehouse.database,
            "schema_name": settings.warehouse.schema,
        }
        store.put("connector", settings.connector, connector_resource(config, time.time()))


def seed_model(store: Store, spec: QuerySpec) -> None:
    """The DONE training job of a query, unless it has one."""
    if any(job["query"] == spec.id for job in store.all("training")):
        return
    now = time.time()
    # The snapshot it was trained on is older than the tenant: only its graph's id is of use to a client.
    job = new_job(
        "training",
        spec.id,
        spec.pquery_id,
        now,
        status="DONE",
        started_at=now,
        ended_at=now,
        config=training_config(spec.pquery_id, f"{spec.graph_id}@0"),
        metrics=spec.metrics,
    )
    job["job_id"] = "trainingjob-" + spec.pquery_id.removeprefix("pquery-")
    store.put("training", job["job_id"], job)
