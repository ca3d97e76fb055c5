"""The emulator's ASGI application: which path leads to which handler, and what is made at start and closed at stop.

`uvicorn --factory kumo_sandbox.kumo.app:create_app`, configured by the environment (`settings.py`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from kumo_sandbox.kumo import routes_control as control
from kumo_sandbox.kumo import routes_data as data
from kumo_sandbox.kumo import routes_definitions as definitions
from kumo_sandbox.kumo import routes_models as models
from kumo_sandbox.kumo import routes_sdk as sdk
from kumo_sandbox.kumo import routes_v3 as v3
from kumo_sandbox.kumo.faults import Faults
from kumo_sandbox.kumo.files import download
from kumo_sandbox.kumo.http import Handler, RequestLog, endpoint
from kumo_sandbox.kumo.ingress import Ingress
from kumo_sandbox.kumo.live import Live
from kumo_sandbox.kumo.seeding import seed
from kumo_sandbox.kumo.settings import Settings
from kumo_sandbox.kumo.snapshots import Snapshots
from kumo_sandbox.kumo.store import Store
from kumo_sandbox.kumo.work import Work
from kumo_sandbox.kumo.worker import Worker

SDK_ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", "/prediction_jobs", "launch", sdk.launch),
    ("GET", "/prediction_jobs", "list", sdk.list_jobs),
    ("GET", "/prediction_jobs/{id}", "get", sdk.get),
    ("GET", "/prediction_jobs/{id}/progress", "progress", sdk.progress),
    ("POST", "/prediction_jobs/{id}/cancel", "cancel", sdk.cancel),
    ("PATCH", "/prediction_jobs/{id}/tags", "tags", sdk.tags),
    ("GET", "/prediction_jobs/{id}/get_prediction_df_urls", "prediction_urls", sdk.prediction_urls),
    ("GET", "/prediction_jobs/{id}/get_embedding_df_urls", "embedding_urls", sdk.embedding_urls),
    ("POST", "/training_jobs", "training_launch", models.launch),
    ("GET", "/training_jobs", "training_list", models.list_jobs),
    ("GET", "/training_jobs/{id}", "training_get", models.get),
    ("GET", "/training_jobs/{id}/progress", "training_progress", models.progress),
    ("GET", "/training_jobs/{id}/holdout", "training_holdout", models.holdout),
    ("GET", "/training_jobs/{id}/encoders", "training_encoders", models.encoders),
    ("POST", "/training_jobs/{id}/cancel", "training_cancel", models.cancel),
    ("PATCH", "/training_jobs/{id}/tags", "training_tags", models.tags),
    ("POST", "/graphsnapshots", "snapshot_create", data.create_snapshot),
    ("GET", "/graphsnapshots/edge_health/{id:path}", "edge_health", data.edge_health),
    ("GET", "/graphsnapshots/{id:path}", "snapshot_get", data.snapshot),
    ("GET", "/tablesnapshots/{id:path}", "table_snapshot", data.table_snapshot),
    ("POST", "/artifact", "artifact_create", data.create_export),
    ("GET", "/artifact/{id}", "artifact_get", data.export_status),
    ("POST", "/artifact/{id}/cancel", "artifact_cancel", data.cancel_export),
    ("GET", "/groups", "groups", data.groups),
    ("GET", "/projects", "projects", data.projects),
]
DEFINITION_ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", "/source_tables/list_tables", "source_tables", definitions.list_source_tables),
    ("POST", "/source_tables/validate_table", "source_table_validate", definitions.validate_source_table),
    ("POST", "/source_tables/get_table_config", "source_table_config", definitions.source_table_config),
    ("POST", "/source_tables/get_table_data", "source_table_data", definitions.source_table_data),
    ("POST", "/tables/infer_metadata", "infer_metadata", definitions.infer_metadata),
    ("POST", "/tables/validate", "table_validate", definitions.validate_table),
    ("POST", "/tables", "table_create", definitions.create_table),
    ("GET", "/tables/{id}", "table_get", definitions.get_table),
    ("POST", "/graphs/validate", "graph_validate", definitions.validate_graph),
    ("POST", "/graphs/infer_links", "infer_links", definitions.infer_links),
    ("POST", "/graphs", "graph_create", definitions.create_graph),
    ("GET", "/graphs/{id}", "graph_get", definitions.get_graph),
    ("POST", "/predictive_queries/validate", "query_validate", definitions.validate_query),
    ("POST", "/predictive_queries/infer_task_type", "infer_task_type", definitions.infer_task_type),
    ("POST", "/predictive_queries/model_plan", "model_plan", definitions.model_plan),
    ("POST", "/predictive_queries/train_table_generation_plan", "train_plan", definitions.training_table_plan),
    ("POST", "/predictive_queries", "query_create", definitions.create_query),
    ("GET", "/predictive_queries", "query_list", definitions.list_queries),
    ("GET", "/predictive_queries/{id}", "query_get", definitions.get_query),
    ("DELETE", "/predictive_queries/{id}", "query_delete", definitions.delete_query),
    ("POST", "/gentraintable_jobs", "traintable_create", definitions.create_training_table),
    ("GET", "/gentraintable_jobs/{id}", "traintable_get", definitions.training_table),
]
CONNECTOR_ROUTES: list[tuple[str, str, str, Handler]] = [
    ("GET", "/connectors", "connectors_list", data.connectors),
    ("POST", "/connectors", "connector_create", data.create_connector),
    ("GET", "/connectors/group_connectors", "group_connectors", data.group_connectors),
    ("GET", "/connectors/{id}", "connector_get", data.connector),
    ("DELETE", "/connectors/{id}", "connector_delete", data.delete_connector),
]
V3_ROUTES: list[tuple[str, str, str, Handler]] = [
    ("GET", "/authentication", "authentication", v3.authentication),
    ("GET", "/projects", "projects", v3.projects),
    ("POST", "/projects", "project_create", v3.create_project),
    ("GET", "/projects/by-slug/{slug}", "project_by_slug", v3.project_by_slug),
    ("GET", "/projects/{project}", "project", v3.project),
    ("GET", "/projects/{project}/connectors", "connectors_list", v3.of_project(v3.connectors)),
    ("POST", "/projects/{project}/connectors", "connector_create", v3.of_project(v3.create_connector)),
    ("GET", "/projects/{project}/connectors/{id}", "connector_get", v3.of_project(v3.connector)),
    *[
        ("GET", f"/projects/{{project}}/connectors/{{id}}/{path}", name, v3.of_project(handler))
        for path, name, handler in (
            ("source-tables", "source_tables", v3.source_tables),
            ("source-table-config", "source_table_config", v3.source_table_config),
            ("columns", "source_table_data", v3.source_columns),
            ("sample", "source_table_data", v3.source_columns),
        )
    ],
    *[
        (method, path, name, v3.in_project(handler))
        for method, path, name, handler in (
            *(route for route in DEFINITION_ROUTES if not route[1].startswith("/source_tables/")),
            ("POST", "/prediction_jobs", "launch", v3.launch),
            ("GET", "/prediction_jobs", "list", v3.list_jobs),
            ("GET", "/prediction_jobs/{id}", "get", v3.get),
            ("GET", "/prediction_jobs/{id}/progress", "progress", sdk.progress),
            ("POST", "/prediction_jobs/{id}/cancel", "cancel", sdk.cancel),
            ("PATCH", "/prediction_jobs/{id}/tags", "tags", sdk.tags),
            ("GET", "/prediction_jobs/{id}/get_prediction_df_urls", "prediction_urls", sdk.prediction_urls),
            ("POST", "/training_jobs", "training_launch", v3.launch_training),
            ("GET", "/training_jobs", "training_list", v3.list_trainings),
            ("GET", "/training_jobs/{id}", "training_get", v3.get_training),
            ("GET", "/training_jobs/{id}/progress", "training_progress", models.progress),
            ("POST", "/training_jobs/{id}/cancel", "training_cancel", models.cancel),
            ("PATCH", "/training_jobs/{id}/tags", "training_tags", models.tags),
            ("POST", "/graphsnapshots", "snapshot_create", data.create_snapshot),
            ("GET", "/graphsnapshots/{id:path}", "snapshot_get", data.snapshot),
        )
    ],
]
CONTROL_ROUTES = [
    Route("/health", control.health),
    Route("/faults", control.put_faults, methods=["POST"]),
    Route("/faults", control.get_faults),
    Route("/faults", control.delete_faults, methods=["DELETE"]),
    Route("/faults/{id}", control.delete_faults, methods=["DELETE"]),
    Route("/queries", control.get_queries),
    Route("/queries/{id}", control.put_query, methods=["PUT"]),
    Route("/queries/{id}", control.delete_query, methods=["DELETE"]),
    Route("/settings", control.get_settings),
    Route("/settings", control.put_settings, methods=["PUT"]),
    Route("/jobs", control.get_jobs),
    Route("/requests", control.get_requests),
    Route("/reset", control.reset, methods=["POST"]),
]


STATE = [
    "prediction",
    "training",
    "traintable",
    "artifact",
    "snapshot",
    "query",
    "pquery",
    "graph",
    "table",
    "connector",
    "project",
]


class Kumo:
    """Everything one emulator is made of."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.state)
        self.live = Live(self.store, settings)
        self.faults = Faults(self.store)
        self.log = RequestLog()
        self.ingress = Ingress(self.live, settings.warehouse)
        self.snapshots = Snapshots(self.store, settings.warehouse, self.live)
        self.worker = Worker(
            self.store, Work(self.store, settings.warehouse, self.snapshots, self.live), self.snapshots
        )
        seed(self.store, self.settings)

    def reset(self) -> None:
        for kind in STATE:
            self.store.delete(kind)
        self.faults.clear()
        self.live.reset()
        self.log.counts.clear()
        self.log.recent.clear()
        seed(self.store, self.settings)

    def signature(self, job_id: str) -> str:
        return hmac.new(self.live.now.api_key.encode(), job_id.encode(), hashlib.sha256).hexdigest()[:32]

    def signed_url(self, base_url: str, job_id: str) -> str:
        """A URL that needs no key, as a presigned one does not."""
        return f"{base_url}/_files/{job_id}/part-0.parquet?signature={self.signature(job_id)}"


class TransportInScope:
    """The outermost layer. It lets a fault reach the connection itself: uvicorn's `send` is bound to the object holding it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["kumo.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await self.app(scope, receive, send)


def create_app(settings: Settings | None = None) -> Any:
    """The ASGI app. Raises `ValueError` when the environment does not say where state lives."""
    kumo = Kumo(settings or Settings.from_env())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        kumo.worker.start()
        yield
        kumo.worker.stop()
        kumo.store.close()

    def routes(table: list[tuple[str, str, str, Handler]]) -> list[Route]:
        return [Route(path, endpoint(name, handler), methods=[method]) for method, path, name, handler in table]

    # Within Snowflake's network the native app serves the same dialect under /public_api.
    sdk_mounts = [
        Mount(
            base,
            routes=[
                Route("/config", endpoint("config", data.config)),
                Mount("/v1", routes=routes(SDK_ROUTES + DEFINITION_ROUTES + CONNECTOR_ROUTES)),
            ],
        )
        for base in ("/api", "/public_api")
    ]
    app = Starlette(
        routes=[
            *sdk_mounts,
            Mount("/v3/api/v1", routes=routes(V3_ROUTES)),
            Mount("/_sandbox", routes=CONTROL_ROUTES),
            Route("/ui/jobs/{id}", control.job_page),
            Route("/_files/{id}/part-0.parquet", download),
        ],
        lifespan=lifespan,
    )
    app.state.kumo = kumo
    return TransportInScope(app)
