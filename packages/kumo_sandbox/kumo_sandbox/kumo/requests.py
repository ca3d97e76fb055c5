"""The bodies clients send, as the vendor's models read them (kumoapi/jobs.py of kumo-api 0.92).

Unknown fields are let through and recorded by `http.Call.model`: what the vendor does with them is not public.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

TAG_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
StorageType = Literal["S3", "GCS", "ADLS", "SNOWFLAKE", "DATABRICKS", "BIGQUERY", "LOCAL"]


class Body(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """Keys of at most 64 of [A-Za-z0-9._-], values of at most 256 characters (kumoapi/jobs.py, JobRequestBase)."""
    for key, value in tags.items():
        if not TAG_KEY.fullmatch(key):
            raise ValueError(f"tag key {key!r} must be 1 to 64 alphanumeric, dot, underscore or dash characters")
        if len(value) > 256:
            raise ValueError(f"the value of tag {key!r} is longer than 256 characters")
    return tags


class PredictOptions(Body):
    binary_classification_threshold: float | None = None
    num_classes_to_return: int | None = Field(default=None, ge=1)
    num_workers: int = Field(default=1, ge=1)


class PredictionOutput(Body):
    """One destination; the fields of every storage type, those Snowflake needs checked."""

    artifact_type: Literal["PREDICTIONS", "EMBEDDINGS"]
    storage_type: StorageType
    connector_id: str | None = None
    table_name: str | None = None
    file_path: str | None = None
    extra_fields: list[Literal["ANCHOR_TIMESTAMP", "JOB_TIMESTAMP"]] = Field(default_factory=list)
    write_mode: Literal["OVERWRITE", "APPEND"] = "OVERWRITE"

    @model_validator(mode="after")
    def _snowflake(self) -> PredictionOutput:
        if self.storage_type == "SNOWFLAKE" and not (self.connector_id and self.table_name):
            raise ValueError("a SNOWFLAKE output needs connector_id and table_name")
        return self

    def wire(self) -> dict[str, Any]:
        """As kumo-api writes it back: only the fields of its storage type."""
        names = ["artifact_type", "connector_id", "table_name", "storage_type", "extra_fields", "write_mode"]
        if self.storage_type != "SNOWFLAKE":
            names = [n for n in (*names, "file_path") if getattr(self, n) is not None]
        return self.model_dump(include=set(names))


class LaunchRequest(Body):
    """`BatchPredictionRequest`."""

    job_tags: dict[str, str]
    model_training_job_id: str
    predict_options: PredictOptions
    outputs: list[PredictionOutput] = Field(default_factory=list)
    graph_snapshot_id: str | None = None
    pred_table_job_id: str | None = None
    pred_table_path: str | None = None
    prediction_time: datetime | None = None
    explanations: bool = False
    data_backend_session_id: str | None = None

    _tags = field_validator("job_tags")(check_tags)

    @model_validator(mode="after")
    def _one_table(self) -> LaunchRequest:
        if self.pred_table_job_id and self.pred_table_path:
            raise ValueError('Only one of "pred_table_job_id" or "pred_table_path" fields can be set, not both.')
        if self.prediction_time is not None and (self.pred_table_job_id or self.pred_table_path):
            raise ValueError("prediction_time is only for the inline prediction table")
        return self


class TrainingRequest(Body):
    """`TrainingJobRequest`; the plan is kept as sent."""

    job_tags: dict[str, str]
    pquery_id: str
    model_plan: dict[str, Any] = Field(default_factory=dict)
    graph_snapshot_id: str | None = None
    train_table_job_id: str | None = None
    train_table_override: dict[str, Any] | None = None
    enable_baselines: bool = False
    custom_train_table: dict[str, Any] | None = None
    warm_start_job_id: str | None = None
    data_backend_session_id: str | None = None

    _tags = field_validator("job_tags")(check_tags)


def training_config(pquery_id: str, graph_snapshot_id: str | None, **given: Any) -> dict[str, Any]:
    """A `TrainingJobRequest` with every field of kumo-api 0.92."""
    return {
        "job_tags": {},
        "pquery_id": pquery_id,
        "model_plan": {},
        "graph_snapshot_id": graph_snapshot_id,
        "train_table_job_id": None,
        "train_table_override": None,
        "enable_baselines": False,
        "custom_train_table": None,
        "warm_start_job_id": None,
        "data_backend_session_id": None,
        **given,
    }


class ArtifactRequest(Body):
    """`ArtifactExportRequest`; only predictions can be exported here."""

    job_id: str
    prediction_output: PredictionOutput | None = None
    training_table_output: dict[str, Any] | None = None
    model_output: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ArtifactRequest:
        given = [self.prediction_output, self.training_table_output, self.model_output]
        if sum(item is not None for item in given) != 1:
            raise ValueError(
                'Exactly one of "prediction_output", "training_table_output", or "model_output" must be set.'
            )
        return self
