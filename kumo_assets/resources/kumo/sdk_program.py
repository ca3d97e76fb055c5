"""A program, not a module: runs a query's `training.py` with the vendor's SDK, in whatever Python has `kumoai`.

`python sdk_program.py describe|save training.py`, with a JSON document on stdin; prints one line, `REPORT {json}`. It
imports nothing of this project, since the SDK may live in an environment of its own. Who runs it is `query_code.py`.

`training.py` defines `predictive_query(sources)`, which returns a `kumoai.PredictiveQuery`: its graph (tables, columns,
links) and PQL text. `sources["name"]` is the Kumo connector of that name, whatever it connects to; `sources.view` is the
name of the view made from `preprocess.sql`. Optionally `model_plan(query)` returns the plan to train by.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
import traceback
from typing import Any


class Sources:
    """The tenant's connectors by name."""

    def __init__(self, view: "str | None") -> None:
        self._view = view

    @property
    def view(self) -> str:
        if not self._view:
            raise ValueError("sources.view: this query's folder has no preprocess.sql")
        return self._view

    def __getitem__(self, name: str) -> Any:
        import kumoai
        from kumoai import global_state

        api = global_state.client.connector_api
        # From 3.0 on a connector has an id beside its name, and `get` wants the id.
        by_name = getattr(api, "get_by_name", None)
        if by_name is not None:
            found = by_name(name)
            if found is None:
                known = sorted(item.name for item in api.list())
                raise ValueError(f"no Kumo connector is named {name!r}; there are {', '.join(known) or 'none'}")
        else:
            found = api.get(name)
        if found is None:
            # Under RBAC a connector may be its group's alone; the SDK then takes it as it is.
            for connector in _of_group(global_state):
                if connector.display_name == name:
                    return connector
            known = sorted(item.config.name for item in global_state.client.connector_api.list())
            raise ValueError(f"no Kumo connector is named {name!r}; there are {', '.join(known) or 'none'}")
        kind = str(getattr(found.config.type, "value", found.config.type)).lower()
        classes = {
            "snowflake": "SnowflakeConnector",
            "bigquery": "BigQueryConnector",
            "databricks": "DatabricksConnector",
            "glue": "GlueConnector",
            "s3": "S3Connector",
            "gcs": "GCSConnector",
            "adls": "ADLSConnector",
            "file": "GCSConnector" if str(getattr(found.config, "root_dir", "")).startswith("gs://") else "S3Connector",
        }
        if kind not in classes or not hasattr(kumoai, classes[kind]):
            raise ValueError(f"connector {name!r} is of kind {kind}, which this version of kumoai does not know")
        return getattr(kumoai, classes[kind]).get_by_name(name)


def _of_group(state: Any) -> "list[Any]":
    if not getattr(state, "_rbac_enabled", False) or state._group_id is None:
        return []
    return list(state.client.groups_api.list_group_connectors(state._group_id))


def load(path: str) -> Any:
    spec: Any = importlib.util.spec_from_file_location("training", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "predictive_query", None)):
        raise TypeError("it defines no function predictive_query(sources)")
    return module


def canonical(resource: Any) -> "dict[str, Any]":
    """A definition as JSON that two of the same meaning share: no name, no description, columns and links in order."""
    from kumoapi.json_serde import to_json_dict

    body = to_json_dict(resource)
    tables = {
        name: {**table, "cols": sorted(table["cols"], key=lambda column: column["name"])}
        for name, table in body["graph"]["tables"].items()
    }
    links = [
        sorted((column["table_name"], column["col_name"]) for column in group["columns"])
        for group in body["graph"]["col_groups"]
    ]
    return {"query": " ".join(body["query_string"].split()), "tables": tables, "links": sorted(links)}


def digest(definition: "dict[str, Any]") -> str:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


def main(action: str, path: str, asked: "dict[str, Any]") -> "dict[str, Any]":
    import kumoai
    from kumoai import global_state
    from kumoapi.json_serde import to_json_dict

    scope = {name: asked[name] for name in ("group", "project") if asked.get(name)}
    version = kumoai.__version__.removeprefix("v")
    if (asked.get("dialect") == "v3") != (int(version.split(".")[0]) >= 3):
        raise RuntimeError(f"KUMO_API_DIALECT=v3 goes with kumoai 3, and sdk with kumoai 2; this Python has {version}")
    kumoai.init(url=asked["url"], api_key=os.environ["KUMO_API_KEY"], log_level="ERROR", **scope)
    module = load(path)
    query = module.predictive_query(Sources(asked.get("view")))
    if not isinstance(query, kumoai.PredictiveQuery):
        raise TypeError(f"predictive_query returned a {type(query).__name__}, not a kumoai.PredictiveQuery")
    local = canonical(query._to_api_pquery_resource())
    # A name is what people see and is written over; an id (pquery-...) is made of the content, by Kumo.
    name = asked["query_id"]
    template = None if name.startswith("pquery-") else name
    standing = global_state.client.pquery_api.get_if_exists(name)
    tenant = canonical(standing) if standing is not None else None
    report = {"version": kumoai.__version__, "local": local, "tenant": tenant, "digest": digest(local)}
    if action == "save":
        report["graph_id"] = query.graph.save()
        report["query_id"] = query.save(template) if tenant != local or template is None else name
        plan = module.model_plan(query) if hasattr(module, "model_plan") else query.suggest_model_plan()
        report["plan"] = to_json_dict(plan)
        report["task"] = str(getattr(query.get_task_type(), "value", query.get_task_type()))
    return report


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        try:
            document = main(sys.argv[1], sys.argv[2], json.load(sys.stdin))
        except Exception as problem:  # noqa: BLE001 - whatever the user's file or the SDK raises is the report
            frames = traceback.extract_tb(problem.__traceback__)
            line = next((frame.lineno for frame in reversed(frames) if frame.filename == sys.argv[2]), None)
            document = {"error": f"{type(problem).__name__}: {problem}", "line": line}
    print("REPORT " + json.dumps(document))
