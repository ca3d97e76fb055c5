"""Routes of the 3.0 dialect (kumoai 3.0.0b3) over the same store: everything belongs to a project, and bodies are strict.

Relative to `<base>/v1`, with the base `/v3/api` here. What 3.0 has in common with the SDK dialect is in `routes_sdk.py` and
`routes_models.py`; definitions are `routes_definitions.py`'s, but for source tables, whose routes are of 3.0 alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator

from kumo_sandbox.kumo import routes_definitions as definitions
from kumo_sandbox.kumo import routes_models as models
from kumo_sandbox.kumo import routes_sdk as sdk
from kumo_sandbox.kumo.connectors import DEFAULT, id_of, is_in_project, snowflake_connector
from kumo_sandbox.kumo.http import Answer, Call, Handler
from kumo_sandbox.kumo.launch import accept, find_query, full_config
from kumo_sandbox.kumo.requests import Body, LaunchRequest, TrainingRequest
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.wire import connector_resource, prediction_resource, training_resource, validation

GROUP = "group_" + "0" * 32
MOST_CLASSES = 500
# Fields of 2.x that 3.0 no longer has, and so refuses (kumo-api 3.0.0b3, kumoapi/jobs.py).
GONE = ("pred_table_path", "data_backend_session_id", "enable_baselines")


class Launch3(LaunchRequest):
    """`BatchPredictionRequest` of 3.0."""

    pred_table_source: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _naive_time(self) -> Launch3:
        # The open-source Kumo Engine refuses one with a zone, "matching hosted admission" (kumo-engine 1.0.0).
        if self.prediction_time is not None and self.prediction_time.tzinfo is not None:
            raise ValueError("prediction_time must not have a time zone; it is in UTC")
        return self


class SnowflakeTarget(Body):
    """`SnowflakeConnectorResourceConfig`: the account belongs to the identity."""

    type: Literal["snowflake"]
    warehouse: str
    database: str
    schema_name: str
    role: str | None = None


class Connector3(Body):
    """`CreateConnectorArgs`; an identity is made up."""

    name: str
    config: SnowflakeTarget
    identity_id: str | None = None
    description: str = ""


class Project3(Body):
    """`CreateProjectArgs`."""

    name: str
    group_id: str
    slug: str | None = Field(default=None, pattern=r"^[a-z](-?[a-z0-9]){2,47}$", max_length=48)
    description: str = ""
    is_private: bool = False


def authentication(call: Call) -> Any:
    """GET /authentication: whoever gets here is let in."""
    return {}


# ---- projects


def _projects(call: Call) -> list[Document]:
    default = {"id": DEFAULT, "slug": DEFAULT, "display_name": "Default", "group_id": GROUP}
    return [default, *call.kumo.store.all("project")]


def _project(call: Call, field: str, value: str) -> Document:
    for project in _projects(call):
        if project[field] == value:
            return project
    raise Answer(404, f"Project {value} not found")


def projects(call: Call) -> Any:
    return _projects(call)


def project(call: Call) -> Any:
    return _project(call, "id", call.path["project"])


def project_by_slug(call: Call) -> Any:
    return _project(call, "slug", call.path["slug"])


def create_project(call: Call) -> Any:
    asked = call.model(Project3, strict=True)
    made = {
        "id": "project_" + secrets.token_hex(16),
        "slug": asked.slug or asked.name.lower().replace(" ", "-"),
        "display_name": asked.name,
        "group_id": asked.group_id,
    }
    call.kumo.store.put("project", made["id"], made)
    return made


def in_project(handler: Handler) -> Handler:
    """A handler of a path that does not begin with `projects/`: it wants `?project_id=`, and sees that project alone."""

    def scoped(call: Call) -> Any:
        wanted = call.query.get("project_id")
        if wanted is None:
            raise Answer(422, [{"type": "missing", "loc": ["query", "project_id"], "msg": "Field required"}])
        if "group_id" in call.query:
            raise Answer(422, [{"type": "extra_forbidden", "loc": ["query", "group_id"], "msg": "Extra"}])
        call.project = _project(call, "id", wanted)["id"]
        return handler(call)

    return scoped


def of_project(handler: Handler) -> Handler:
    """A handler of a path that begins with `projects/{project}`."""

    def scoped(call: Call) -> Any:
        if "project_id" in call.query:
            raise Answer(422, [{"type": "extra_forbidden", "loc": ["query", "project_id"], "msg": "Extra"}])
        call.project = _project(call, "id", call.path["project"])["id"]
        return handler(call)

    return scoped


# ---- connectors


def _connectors(call: Call) -> list[Document]:
    found = [c for c in call.kumo.store.all("connector") if c["config"]["type"] == "snowflake"]
    return [
        {
            "id": id_of("connector", c["id"]),
            "project_id": call.project,
            "identity_id": id_of("identity", c["config"].get("account", "sandbox")),
            "name": c["config"]["name"],
            "timestamps": c["timestamps"],
            "config": {
                name: c["config"].get(name) for name in ("type", "warehouse", "database", "schema_name", "role")
            },
            "description": "",
            "created_by": None,
        }
        for c in found
        if is_in_project(call, c)
    ]


def connectors(call: Call) -> Any:
    return _connectors(call)


def connector(call: Call) -> Any:
    for found in _connectors(call):
        if found["id"] == call.path["id"]:
            return found
    raise Answer(404, f"Connector {call.path['id']} not found")


def create_connector(call: Call) -> Any:
    asked = call.model(Connector3, strict=True)
    document = connector_resource({"name": asked.name, **asked.config.model_dump()}, time.time())
    # One key for each project: names are a project's own.
    key = asked.name if call.project == DEFAULT else f"{call.project}/{asked.name}"
    call.kumo.store.put("connector", key, {**document, "id": key, "project_id": call.project})
    call.path["id"] = id_of("connector", key)
    return connector(call)


# ---- source tables


def _table_name(call: Call) -> str:
    name = call.query.get("table_name")
    if name is None:
        raise Answer(422, [{"type": "missing", "loc": ["query", "table_name"], "msg": "Field required"}])
    return name


def source_tables(call: Call) -> Any:
    return definitions.source_tables_of(call, call.path["id"])


def source_table_config(call: Call) -> Any:
    return definitions.config_of(call, call.path["id"], _table_name(call))


def source_columns(call: Call) -> Any:
    """The columns of one table, for `columns` and `sample` alike: no rows are sampled here."""
    return definitions.columns_of(call, snowflake_connector(call, call.path["id"])["config"], _table_name(call))


# ---- jobs


def launch(call: Call) -> Any:
    """POST /prediction_jobs: `[job_id | null, ValidationResponse]`. Unknown fields are a 422."""
    _refuse_gone(call)
    request = call.model(Launch3, strict=True)
    model = sdk.owned(call, call.kumo.store.get("training", request.model_training_job_id))
    if model is None:
        raise Answer(404, f"Training job {request.model_training_job_id} not found")
    spec = find_query(call, model["query"])
    classes = request.predict_options.num_classes_to_return
    if spec is not None and spec.task == "temporal_link_prediction" and not (classes and classes <= MOST_CLASSES):
        message = f"num_classes_to_return must be between 1 and {MOST_CLASSES} for link prediction."
        return [None, validation([], [{"title": "Invalid option", "message": message}])]
    known = {c["id"]: c["name"] for c in _connectors(call)}
    unknown = [output.connector_id for output in request.outputs if output.connector_id not in known]
    if unknown:
        message = f"Connector {unknown[0]} does not exist in project {call.project}."
        return [None, validation([], [{"title": "Unknown connector", "message": message}])]
    values = {name: getattr(request, name) for name in type(request).model_fields}
    config = full_config(values, request.outputs)
    job, warnings, errors = accept(call, model, config, [], "v3")
    return [job["job_id"] if job else None, validation(warnings, errors)]


def launch_training(call: Call) -> Any:
    _refuse_gone(call)
    call.model(TrainingRequest, strict=True)
    return models.launch(call)


def _refuse_gone(call: Call) -> None:
    gone = [name for name in GONE if isinstance(call.body, dict) and name in call.body]
    if gone:
        raise Answer(422, [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra"} for name in gone])


def _resource(shape: Callable[[Document], Document], job: Document) -> Document:
    """A job as 3.0 shows it: always a project's, its config without the fields that are gone."""
    shown = shape(job)
    config = {name: value for name, value in shown["config"].items() if name not in GONE}
    if "pred_table_job_id" in config:
        config["pred_table_source"] = None
    moment = config.get("prediction_time")
    if moment is not None:
        config["prediction_time"] = moment.removesuffix("Z")
    return {**shown, "project_id": job.get("project_id") or DEFAULT, "config": config}


def get(call: Call) -> Any:
    return _resource(prediction_resource, sdk.find_job(call, "prediction"))


def list_jobs(call: Call) -> Any:
    return [_resource(prediction_resource, job) for job in sdk.listed(call, "prediction")]


def get_training(call: Call) -> Any:
    return _resource(training_resource, sdk.find_job(call, "training"))


def list_trainings(call: Call) -> Any:
    return [_resource(training_resource, job) for job in sdk.listed(call, "training")]
