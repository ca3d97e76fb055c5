"""From JSON to the model, tolerantly: missing and extra fields, explicit nulls, unknown statuses, both duration forms.

What cannot be used at all is KumoMalformed, naming the field; any other surprise is kept in `raw` and not branched on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kumo_assets.resources.kumo.errors import KumoMalformed
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Notice, Progress, StageEvent, TrainedModel


def job_of(payload: Any) -> KumoJob:
    """A `BatchPredictionJobResource`, or Dialect Q's resource."""
    body = mapping(payload, "a prediction job")
    report = _mapping_or_empty(body.get("job_status_report"))
    config = _mapping_or_empty(body.get("config"))
    validation = _mapping_or_empty(report.get("validation_response"))
    status, raw_status = status_of(report.get("status", body.get("status")))
    outputs = config.get("outputs") or body.get("outputs") or []
    return KumoJob(
        job_id=text(body, "job_id"),
        status=status,
        raw_status=raw_status,
        entities=_integer(_mapping_or_empty(body.get("result")).get("num_entities_predicted")),
        warnings=notices(validation.get("warnings")),
        errors=notices(validation.get("errors")),
        events=_events(report.get("event_log")),
        tracking_url=_optional_text(report.get("tracking_url")),
        tags={str(key): str(value) for key, value in _mapping_or_empty(body.get("tags")).items()},
        started_at=moment(report.get("start_time")),
        ended_at=moment(report.get("end_time")),
        created_at=moment(body.get("created_at")),
        model_id=_optional_text(config.get("model_training_job_id")),
        snapshot_id=_optional_text(config.get("graph_snapshot_id")),
        output_tables=tuple(
            str(output["table_name"])
            for output in _list(outputs)
            if isinstance(output, Mapping) and output.get("table_name")
        ),
        raw=dict(body),
    )


def launched_of(payload: Any) -> tuple[str | None, tuple[Notice, ...], tuple[Notice, ...]]:
    """(job id or None, warnings, errors) of a launch's `[job_id | null, ValidationResponse]`."""
    if not isinstance(payload, list) or len(payload) != 2:
        raise malformed("a launch's answer", "a list of job id and validation", payload)
    job_id, validation = payload
    if job_id is not None and not isinstance(job_id, str):
        raise malformed("a launch's answer", "a job id", job_id)
    body = _mapping_or_empty(validation)
    return job_id or None, notices(body.get("warnings")), notices(body.get("errors"))


def model_of(payload: Any) -> TrainedModel:
    """A `TrainingJobResource`."""
    body = mapping(payload, "a training job")
    config = _mapping_or_empty(body.get("config"))
    evaluation = _mapping_or_empty(_mapping_or_empty(body.get("result")).get("eval_metrics"))
    metrics = {
        str(item["name"]): float(item["value"])
        for item in _list(evaluation.get("test_metrics"))
        if isinstance(item, Mapping) and item.get("name") and isinstance(item.get("value"), int | float)
    }
    return TrainedModel(
        job_id=text(body, "job_id"),
        query_id=str(config.get("pquery_id") or _mapping_or_empty(body.get("tags")).get("pquery_id") or ""),
        created_at=moment(body.get("created_at")),
        metrics=metrics,
        raw=dict(body),
    )


def progress_of(payload: Any) -> Progress | None:
    """A `PredictionProgress`; None when Kumo says null."""
    if not isinstance(payload, Mapping):
        return None
    return Progress(_integer(payload.get("completed_iterations")) or 0, _integer(payload.get("total_iterations")) or 0)


def status_of(value: Any) -> tuple[JobStatus, str]:
    """The known status and the words Kumo used; UNKNOWN for anything else, whatever its type."""
    raw = str(value)
    return (JobStatus(raw), raw) if raw in JobStatus.__members__ else (JobStatus.UNKNOWN, raw)


def notices(value: Any) -> tuple[Notice, ...]:
    """Warnings or errors, verbatim. A bare string counts as a message."""
    found = []
    for item in _list(value):
        if isinstance(item, Mapping):
            found.append(
                Notice(str(item.get("title") or ""), str(item.get("message") or item.get("description") or ""))
            )
        elif item is not None:
            found.append(Notice("", str(item)))
    return tuple(found)


def moment(value: Any) -> datetime | None:
    """An ISO-8601 time as aware UTC; None for anything that is not one."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """The JSON object `value` is; KumoMalformed when it is none."""
    if not isinstance(value, Mapping):
        raise malformed(what, "a JSON object", value)
    return value


def text(body: Mapping[str, Any], name: str) -> str:
    """A required, non-empty string field."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(f"the field {name}", "a string", value)
    return value


def malformed(what: str, wanted: str, found: Any) -> KumoMalformed:
    shown = repr(found)
    return KumoMalformed(
        "read Kumo's answer",
        to=f"({what})",
        found=f"{wanted} was expected, found {shown if len(shown) <= 200 else shown[:197] + '...'}",
        next="check KUMO_API_URL (a proxy may answer instead of Kumo) and KUMO_API_DIALECT",
    )


def _mapping_or_empty(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _optional_text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return int(value)
    except (OverflowError, ValueError):
        return None


def _events(value: Any) -> tuple[StageEvent, ...]:
    return tuple(
        StageEvent(
            str(item.get("stage_name") or ""), str(item.get("last_updated_at") or ""), str(item.get("detail") or "")
        )
        for item in _list(value)
        if isinstance(item, Mapping)
    )
