"""Routes of the SDK dialect for definitions: source tables, tables, graphs, predictive queries, plans, training tables.

With them a query can be written as code with the vendor's SDK and trained; `definitions.py` says what is understood.
"""

from __future__ import annotations

import time
from typing import Any

from kumo_sandbox.kumo.connectors import is_in_project, reference, snowflake_connector
from kumo_sandbox.kumo.definitions import NotUnderstood, column_kinds, content_id, described, source_name, understand
from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.jobs import new_job
from kumo_sandbox.kumo.launch import find_query
from kumo_sandbox.kumo.queries import QuerySpec, graph_id_of
from kumo_sandbox.kumo.routes_sdk import find_job
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.warehouse import WarehouseProblem, connect, table_columns, table_names
from kumo_sandbox.kumo.wire import status_report, validation


def _connector(call: Call, name_or_id: str | None) -> dict[str, Any]:
    """The connector's configuration; its `name` is what definitions call it, an id in the 3.0 dialect."""
    found = snowflake_connector(call, name_or_id)
    return {**found["config"], "name": reference(call, found["id"])}


def _tables(call: Call, config: dict[str, Any]) -> list[str]:
    try:
        with connect(call.kumo.settings.warehouse) as cursor:
            return table_names(cursor, config["database"], config["schema_name"])
    except WarehouseProblem as problem:
        raise Answer(400, str(problem)) from None


def _columns(call: Call, config: dict[str, Any], table: str) -> list[tuple[str, str]]:
    try:
        with connect(call.kumo.settings.warehouse) as cursor:
            return table_columns(cursor, config["database"], config["schema_name"], table)
    except WarehouseProblem as problem:
        raise Answer(400, str(problem)) from None


def list_source_tables(call: Call) -> Any:
    return source_tables_of(call, call.body["connector_id"])


def source_tables_of(call: Call, connector: str) -> Any:
    return {"table_names": _tables(call, _connector(call, connector))}


def validate_source_table(call: Call) -> Any:
    table = call.body["table_name"]
    there = table in _tables(call, _connector(call, call.body["connector_id"]))
    return {"is_valid": there, "msg": "" if there else f"Table {table} does not exist"}


def source_table_config(call: Call) -> Any:
    return config_of(call, call.body["connector_id"], call.body["table_name"])


def config_of(call: Call, connector: str, table: str) -> Any:
    config = _connector(call, connector)
    return {
        "source_table": {
            "snowflake_connector_id": config["name"],
            "database": config["database"],
            "schema_name": config["schema_name"],
            "table": table,
            "data_source_type": "SNOWFLAKE",
        }
    }


def source_table_data(call: Call) -> Any:
    wanted = call.body["source_table_request"]
    config = _connector(call, wanted["connector_id"])
    return [columns_of(call, config, table) for table in wanted.get("table_names") or _tables(call, config)]


def columns_of(call: Call, config: dict[str, Any], table: str) -> Any:
    kinds = [(name, column_kinds(name, kind, key=False)) for name, kind in _columns(call, config, table)]
    cols = [{"name": n, "stype": s, "dtype": d, "is_primary": False} for n, (s, d) in kinds]
    return {"table_name": table, "cols": cols, "sample_rows": None}


def infer_metadata(call: Call) -> Any:
    body = call.body
    source = body["source_table"]
    config = _connector(call, source["snowflake_connector_id"])
    types = dict(_columns(call, {**config, **source}, source["table"]))
    cols, times = [], []
    for asked in body["cols"]:
        name = asked["name"]
        if name not in types:
            raise Answer(422, f"Table {source['table']} has no column {name}; it has {', '.join(types)}")
        stype, dtype = column_kinds(name, types[name], key=name == body.get("pkey"))
        times += [name] if stype == "timestamp" else []
        cols.append(
            {
                "name": name,
                "stype": asked.get("stype") or stype,
                "dtype": asked.get("dtype") or dtype,
                "timestamp_format": asked.get("timestamp_format"),
            }
        )
    time_col = body.get("time_col") or (times[0] if len(times) == 1 else None)
    return {"cols": cols, "source_table": source, "pkey": body.get("pkey"), "time_col": time_col, "end_time_col": None}


def validate_table(call: Call) -> Any:
    return validation([], [])


def create_table(call: Call) -> Any:
    return _created(call, "table", {"table": call.body})


def create_graph(call: Call) -> Any:
    return _created(call, "graph", {"graph": call.body})


def _created(call: Call, kind: str, document: Document) -> Any:
    """Keep a definition by its content's id, and by its alias if it has one. Asking twice gives the same id."""
    alias = call.query.get("name_alias")
    key = graph_id_of(alias) if alias and kind == "graph" else content_id(kind, document)
    call.kumo.store.put(kind, key, {"id": key, **document, "name_alias": alias, **_project(call)})
    return {"id": key}


def _project(call: Call) -> Document:
    """The field of a kept definition that says whose it is; none outside the 3.0 dialect."""
    return {} if call.project is None else {"project_id": call.project}


def _definition(call: Call, kind: str) -> Any:
    for document in call.kumo.store.all(kind):
        if call.path["id"] in (document["id"], document["name_alias"]) and is_in_project(call, document):
            return document
    raise Answer(404, f"{kind.capitalize()} {call.path['id']} not found")


def get_table(call: Call) -> Any:
    return _definition(call, "table")


def get_graph(call: Call) -> Any:
    return _definition(call, "graph")


def validate_graph(call: Call) -> Any:
    errors = []
    for name, table in call.body["graph_definition"]["tables"].items():
        try:
            source_name(table["source_table"])
        except NotUnderstood as problem:
            errors.append({"title": f"Table {name}", "message": str(problem)})
    return validation([], errors)


def infer_links(call: Call) -> Any:
    """A link for every column name that two tables share and that is the key of one of them."""
    tables = call.body["tables"]
    groups = list(call.body.get("col_groups") or [])
    for key_of, table in tables.items():
        sharing = [n for n, t in tables.items() if table["pkey"] in {c["name"] for c in t["cols"]}]
        if table["pkey"] and len(sharing) > 1:
            groups.append(
                {"columns": [{"table_name": n, "col_name": table["pkey"]} for n in sorted({key_of, *sharing})]}
            )
    return {"tables": tables, "col_groups": groups}


def _understood(call: Call, body: Document) -> QuerySpec:
    graph_name = content_id("graph", {"graph": body["graph"]})
    for document in call.kumo.store.all("graph"):
        if document["graph"] == body["graph"]:
            graph_name = document["id"]
    return understand(body["query_string"], body["graph"], name=body.get("name"), graph_name=graph_name)


def validate_query(call: Call) -> Any:
    try:
        _understood(call, call.body)
    except NotUnderstood as problem:
        return validation([], [{"title": "Invalid predictive query", "message": str(problem)}])
    return validation([], [])


def create_query(call: Call) -> Any:
    """POST /predictive_queries: `{"id": ...}`. It has no model until a training job is DONE."""
    try:
        spec = _understood(call, call.body)
    except NotUnderstood as problem:
        raise Answer(422, str(problem)) from None
    call.kumo.store.put("query", spec.id, spec.model_dump())
    call.kumo.store.put("pquery", spec.id, {"resource": call.body, **_project(call)})
    # A named query goes by its name, as the SDK's own example of `save` shows.
    return {"id": call.body.get("name") or spec.pquery_id}


def _query(call: Call) -> QuerySpec:
    """The query of the path; 404 where there is none, or none of the request's project."""
    spec = find_query(call, call.path["id"])
    if spec is None or not is_in_project(call, call.kumo.store.get("pquery", spec.id) or {}):
        raise Answer(404, f"Predictive query {call.path['id']} not found")
    return spec


def _resource(call: Call, spec: QuerySpec) -> Document:
    kept = call.kumo.store.get("pquery", spec.id)
    if kept is not None:
        resource: Document = kept["resource"]
        return resource
    return described(spec, _connector(call, reference(call, call.kumo.settings.connector)))


def get_query(call: Call) -> Any:
    return _resource(call, _query(call))


def list_queries(call: Call) -> Any:
    pattern = call.query.get("name_pattern", "").replace("*", "")
    specs = [QuerySpec.model_validate(document) for document in call.kumo.store.all("query")]
    seen = [spec for spec in specs if is_in_project(call, call.kumo.store.get("pquery", spec.id) or {})]
    return [_resource(call, spec) for spec in seen if pattern in spec.id]


def delete_query(call: Call) -> Any:
    spec = _query(call)
    call.kumo.store.delete("query", spec.id)
    call.kumo.store.delete("pquery", spec.id)
    return None


def _asked(call: Call, query_string: str, graph_id: str) -> QuerySpec:
    graph = call.kumo.store.get("graph", graph_id)
    if graph is None or not is_in_project(call, graph):
        raise Answer(404, f"Graph {graph_id} not found")
    try:
        return understand(query_string, graph["graph"], name=None, graph_name=graph_id)
    except NotUnderstood as problem:
        raise Answer(422, str(problem)) from None


def infer_task_type(call: Call) -> Any:
    """`[task type, ""]`; what the second element holds is not public, and the SDK drops it."""
    return [_asked(call, call.query["pquery_string"], call.query["graph_id"]).task, ""]


def model_plan(call: Call) -> Any:
    """An empty plan, every part of which then takes the model's own default: there is nothing to tune here."""
    task = _asked(call, call.body["query_string"], call.body["graph_id"]).task
    return {"model_plan": {}, "task_type": task, "query_type": "temporal", "has_train_table_weight_col": False}


def training_table_plan(call: Call) -> Any:
    _asked(call, call.body["query_string"], call.body["graph_id"])
    return {}


def create_training_table(call: Call) -> Any:
    """POST /gentraintable_jobs. Training reads the raw logs themselves, so that the job is DONE at once."""
    spec = find_query(call, call.body.get("pquery_id", ""))
    if spec is None:
        raise Answer(404, f"Predictive query {call.body.get('pquery_id')} not found")
    now = time.time()
    job = new_job(
        "training", spec.id, spec.pquery_id, now, status="DONE", started_at=now, ended_at=now, config=call.body
    )
    job |= _project(call)
    job["job_id"] = job["job_id"].replace("trainingjob-", "gen-traintable-job-")
    call.kumo.store.put("traintable", job["job_id"], job)
    return {"id": job["job_id"]}


def training_table(call: Call) -> Any:
    job = find_job(call, "traintable")
    return {
        "job_id": job["job_id"],
        "job_status_report": status_report(job),
        "created_at": status_report(job)["start_time"],
        "tags": job["config"].get("job_tags", {}),
        "project_id": call.project,
        "config": job["config"],
        "source": "SDK",
        "user": None,
    }
