"""Run inside an environment of the vendor's SDK: read JSON documents and validate each against `kumo-api`'s own model.

Input on stdin: a JSON array of `{"model": <name>, "where": <text>, "body": <JSON>}`. Output: the failures as JSON. With
`"exact": true` the body must also keep every field when written again, so that no field of ours is unknown to the vendor.
"""

import json
import sys

from kumoapi import common, data_snapshot, data_source, graph, jobs, model_plan, pquery, source_table, table, task
from kumoapi.json_serde import from_json, to_json_dict

# Looked up when asked for: not every release has every model.
MODELS = {
    "launch_reply": lambda: tuple[str | None, common.ValidationResponse],
    "job": lambda: jobs.BatchPredictionJobResource,
    "jobs": lambda: list[jobs.BatchPredictionJobResource],
    "training_job": lambda: jobs.TrainingJobResource,
    "training_jobs": lambda: list[jobs.TrainingJobResource],
    "progress": lambda: jobs.PredictionProgress,
    "training_progress": lambda: jobs.AutoTrainerProgress,
    "cancel": lambda: jobs.CancelBatchPredictionJobResponse,
    "snapshot": lambda: data_snapshot.GraphSnapshotResource,
    "table_snapshot": lambda: data_snapshot.TableSnapshotResource,
    "edge_health": lambda: graph.EdgeHealthResponse,
    "connectors": lambda: list[data_source.ConnectorResponse],
    "connector": lambda: data_source.ConnectorResponse,
    "export": lambda: jobs.ArtifactExportResponse,
    "export_status": lambda: common.JobStatus,
    "urls": lambda: jobs.GetPredictionsDfUrlResponse,
    "source_tables": lambda: source_table.SourceTableListResponse,
    "source_table_valid": lambda: source_table.SourceTableValidateResponse,
    "source_table_config": lambda: source_table.SourceTableConfigResponse,
    "source_table_data": lambda: list[source_table.SourceTableDataResponse],
    "table_metadata": lambda: table.TableMetadataResponse,
    "table": lambda: table.TableResource,
    "validation": lambda: common.ValidationResponse,
    "graph": lambda: graph.GraphResource,
    "query": lambda: pquery.PQueryResource,
    "queries": lambda: list[pquery.PQueryResource],
    "task_type": lambda: tuple[task.TaskType, str],
    "model_plan": lambda: model_plan.ModelPlanInfo,
    "training_table_plan": lambda: model_plan.TrainingTableGenerationPlan,
    "training_table_job": lambda: jobs.GenerateTrainTableJobResource,
    "launch_request": lambda: jobs.BatchPredictionRequest,
    "training_request": lambda: jobs.TrainingJobRequest,
    "export_request": lambda: jobs.ArtifactExportRequest,
}


def unknown(sent, kept, path=""):
    """Fields of `sent` that are not in what the vendor's model writes back."""
    found = []
    if isinstance(sent, dict) and isinstance(kept, dict):
        for name, value in sent.items():
            if name not in kept:
                found.append(path + name)
            else:
                found += unknown(value, kept[name], f"{path}{name}.")
    elif isinstance(sent, list) and isinstance(kept, list):
        for one, other in zip(sent, kept):  # noqa: B905 - same length: written back from the same value
            found += unknown(one, other, path)
    return found


def problem(document):
    try:
        # As text: a bare JSON string (the status of an export) would else be taken for a document.
        value = from_json(json.dumps(document["body"]), MODELS[document["model"]]())
    except Exception as error:  # noqa: BLE001 - whatever the vendor's models raise is the finding
        return f"{type(error).__name__}: {error}"
    if document.get("exact"):
        fields = unknown(document["body"], to_json_dict(value))
        if fields:
            return f"fields unknown to the vendor: {fields}"
    return None


def main():
    failures = []
    for document in json.load(sys.stdin):
        found = problem(document)
        if found:
            failures.append({"where": document["where"], "problem": found})
    print("REPORT " + json.dumps(failures))


if __name__ == "__main__":
    main()
