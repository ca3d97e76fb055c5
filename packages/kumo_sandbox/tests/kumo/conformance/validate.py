"""Run inside an environment of the vendor's SDK: read JSON documents and validate each against `kumo-api`'s own model.

Input on stdin: a JSON array of `{"model": <name>, "where": <text>, "body": <JSON>}`. Output: the failures as JSON. With
`"exact": true` the body must also keep every field when written again, so that no field of ours is unknown to the vendor.
"""

import json
import sys

from kumoapi.common import JobStatus, ValidationResponse
from kumoapi.data_snapshot import GraphSnapshotResource, TableSnapshotResource
from kumoapi.data_source import ConnectorResponse
from kumoapi.graph import EdgeHealthResponse, GraphResource
from kumoapi.jobs import (
    ArtifactExportRequest,
    ArtifactExportResponse,
    AutoTrainerProgress,
    BatchPredictionJobResource,
    BatchPredictionRequest,
    CancelBatchPredictionJobResponse,
    GenerateTrainTableJobResource,
    GetPredictionsDfUrlResponse,
    PredictionProgress,
    TrainingJobRequest,
    TrainingJobResource,
)
from kumoapi.json_serde import from_json, to_json_dict
from kumoapi.model_plan import ModelPlanInfo, TrainingTableGenerationPlan
from kumoapi.pquery import PQueryResource
from kumoapi.source_table import (
    SourceTableConfigResponse,
    SourceTableDataResponse,
    SourceTableListResponse,
    SourceTableValidateResponse,
)
from kumoapi.table import TableMetadataResponse, TableResource
from kumoapi.task import TaskType

MODELS = {
    "launch_reply": tuple[str | None, ValidationResponse],
    "job": BatchPredictionJobResource,
    "jobs": list[BatchPredictionJobResource],
    "training_job": TrainingJobResource,
    "training_jobs": list[TrainingJobResource],
    "progress": PredictionProgress,
    "training_progress": AutoTrainerProgress,
    "cancel": CancelBatchPredictionJobResponse,
    "snapshot": GraphSnapshotResource,
    "table_snapshot": TableSnapshotResource,
    "edge_health": EdgeHealthResponse,
    "connectors": list[ConnectorResponse],
    "connector": ConnectorResponse,
    "export": ArtifactExportResponse,
    "export_status": JobStatus,
    "urls": GetPredictionsDfUrlResponse,
    "source_tables": SourceTableListResponse,
    "source_table_valid": SourceTableValidateResponse,
    "source_table_config": SourceTableConfigResponse,
    "source_table_data": list[SourceTableDataResponse],
    "table_metadata": TableMetadataResponse,
    "table": TableResource,
    "validation": ValidationResponse,
    "graph": GraphResource,
    "query": PQueryResource,
    "queries": list[PQueryResource],
    "task_type": tuple[TaskType, str],
    "model_plan": ModelPlanInfo,
    "training_table_plan": TrainingTableGenerationPlan,
    "training_table_job": GenerateTrainTableJobResource,
    "launch_request": BatchPredictionRequest,
    "training_request": TrainingJobRequest,
    "export_request": ArtifactExportRequest,
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
        value = from_json(json.dumps(document["body"]), MODELS[document["model"]])
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
