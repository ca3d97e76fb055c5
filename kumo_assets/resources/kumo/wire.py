"""From JSON to the model, tolerantly: missing and extra fields, explicit nulls, unknown statuses, both duration forms.

What cannot be used at all is KumoMalformed, naming the field; any other surprise is kept in `raw` and not branched on.
Bytes and headers are read in `replies`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from pydantic import TypeAdapter, ValidationError

from kumo_assets.redaction import without_secrets
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Notice, Progress, StageEvent, TrainedModel
from kumo_assets.resources.kumo.replies import malformed, shown

# A launch's warnings are reported once, in its answer. They are kept as tags of the job, so that a worker that adopts it
# sees them too (a tag's value is at most 256 characters: kumoapi/jobs.py).
WARNING_TAG = "kumo_assets.launch_warning."
_TITLE_CHARACTERS, _TAG_CHARACTERS = 80, 256
_DURATION = TypeAdapter(timedelta)


def job_of(payload: object, *, web: str | None = None) -> KumoJob:
    """A `BatchPredictionJobResource` or a `TrainingJobResource`.

    `web` is the address people reach the tenant at; a tracking URL may name an inner host (the vendor's SDK rewrites it
    the same way).
    """
    body = mapping(payload, "a job")
    report = _mapping_or_empty(body.get("job_status_report"))
    config = _mapping_or_empty(body.get("config"))
    validation = _mapping_or_empty(report.get("validation_response"))
    status, raw_status = status_of(report.get("status", body.get("status")))
    outputs = _list(config.get("outputs"))
    tags = {name: _words(value) for name, value in _mapping_or_empty(body.get("tags")).items()}
    return KumoJob(
        job_id=text(body, "job_id"),
        status=status,
        raw_status=raw_status,
        entities=_integer(_mapping_or_empty(body.get("result")).get("num_entities_predicted")),
        warnings=together(notices(validation.get("warnings")), remembered(tags)),
        errors=notices(validation.get("errors")),
        events=_events(report.get("event_log")),
        tracking_url=_tracking_url(report.get("tracking_url"), web),
        tags=tags,
        started_at=moment(report.get("start_time")),
        ended_at=moment(report.get("end_time")),
        created_at=moment(body.get("created_at")),
        model_id=_optional_text(config.get("model_training_job_id")),
        snapshot_id=_optional_text(config.get("graph_snapshot_id")),
        output_tables=tuple(
            output["table_name"]
            for output in outputs
            if isinstance(output, Mapping) and isinstance(output.get("table_name"), str)
        ),
        raw=dict(body),
    )


def launched_of(payload: object) -> tuple[str | None, tuple[Notice, ...], tuple[Notice, ...]]:
    """(job id or None, warnings, errors) of a launch's `[job_id | null, ValidationResponse]`."""
    if not isinstance(payload, list) or len(payload) != 2:
        raise malformed("a launch's answer", "a list of job id and validation", payload)
    job_id, validation = payload
    if job_id is not None and not isinstance(job_id, str):
        raise malformed("a launch's answer", "a job id", job_id)
    body = _mapping_or_empty(validation)
    return job_id or None, notices(body.get("warnings")), notices(body.get("errors"))


def model_of(payload: object) -> TrainedModel:
    """A `TrainingJobResource`. A metric without a value (it was not defined) is left out."""
    body = mapping(payload, "a training job")
    config = _mapping_or_empty(body.get("config"))
    evaluation = _mapping_or_empty(_mapping_or_empty(body.get("result")).get("eval_metrics"))
    metrics = {}
    for item in _list(evaluation.get("test_metrics")):
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            value = _number(item.get("value"))
            if value is not None:
                metrics[item["name"]] = value
    query = config.get("pquery_id") or _mapping_or_empty(body.get("tags")).get("pquery_id")
    return TrainedModel(
        job_id=text(body, "job_id"),
        query_id=query if isinstance(query, str) else "",
        created_at=moment(body.get("created_at")),
        metrics=metrics,
        snapshot_id=_optional_text(config.get("graph_snapshot_id")),
        plan=dict(_mapping_or_empty(config.get("model_plan"))),
        raw=dict(body),
    )


def progress_of(payload: object) -> Progress | None:
    """A `PredictionProgress` or `AutoTrainerProgress`; None when Kumo says null."""
    if not isinstance(payload, Mapping):
        return None
    kind = ("prediction", "iterations") if "total_iterations" in payload else ("training", "trials")
    return Progress(
        completed=_integer(payload.get(f"completed_{kind[1]}")) or 0,
        total=_integer(payload.get(f"total_{kind[1]}")) or 0,
        elapsed=duration(payload.get(f"elapsed_{kind[0]}_time")),
        left=duration(payload.get(f"estimated_{kind[0]}_time")),
    )


def status_of(value: object) -> tuple[JobStatus, str]:
    """The known status and the words Kumo used; UNKNOWN for anything else, whatever its type."""
    raw = _words(value)[:80]
    return (JobStatus(raw), raw) if raw in JobStatus.__members__ else (JobStatus.UNKNOWN, raw)


def notices(value: object) -> tuple[Notice, ...]:
    """Warnings or errors, verbatim. A bare string counts as a message."""
    found = []
    for item in _list(value):
        if isinstance(item, Mapping):
            found.append(Notice(_words(item.get("title")), _words(item.get("message") or item.get("description"))))
        elif item is not None:
            found.append(Notice("", _words(item)))
    return tuple(found)


def together(*groups: Iterable[Notice]) -> tuple[Notice, ...]:
    """Notices of several sources, each once; one that a tag cut short is the same as its whole."""
    found: dict[str, Notice] = {}
    for notice in (notice for group in groups for notice in group):
        found.setdefault(_tag_value(notice), notice)
    return tuple(found.values())


def remember(warnings: Iterable[Notice]) -> dict[str, str]:
    """Warnings as tags of a job."""
    return {f"{WARNING_TAG}{number}": _tag_value(notice) for number, notice in enumerate(warnings)}


def remembered(tags: Mapping[str, str]) -> tuple[Notice, ...]:
    """The warnings that `remember` put into a job's tags. A title cut short is on no allow-list, so that it blocks."""
    values = [value for name, value in sorted(tags.items()) if name.startswith(WARNING_TAG)]
    return tuple(Notice(*value.split("\n", 1)) if "\n" in value else Notice("", value) for value in values)


def _tag_value(notice: Notice) -> str:
    return f"{notice.title[:_TITLE_CHARACTERS]}\n{notice.message}"[:_TAG_CHARACTERS]


def moment(value: object) -> datetime | None:
    """An ISO-8601 time as aware UTC; None for anything that is not one."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def duration(value: object) -> timedelta | None:
    """An ISO duration (pydantic 2 writes these) or seconds (pydantic 1); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return _DURATION.validate_python(value)
    except (ValidationError, OverflowError):
        return None


def mapping(value: object, what: str) -> Mapping[str, object]:
    """The JSON object `value` is; KumoMalformed when it is none."""
    if not isinstance(value, Mapping):
        raise malformed(what, "a JSON object", value)
    return value


def array(value: object, what: str) -> list[object]:
    """The JSON array `value` is; KumoMalformed when it is none."""
    if not isinstance(value, list):
        raise malformed(what, "a JSON array", value)
    return value


def text(body: Mapping[str, object], name: str) -> str:
    """A required, non-empty string field."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(f"the field {name}", "a string", value)
    return value


def _tracking_url(value: object, web: str | None) -> str | None:
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        return None
    try:
        parts = urlsplit(value)
        base = urlsplit(web or value)
    except ValueError:
        return None
    return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, parts.fragment))


def _mapping_or_empty(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _words(value: object) -> str:
    """A string as it is but for this process's secrets, nothing for null, and anything else shown short: it is stored with
    the release, and logged."""
    return without_secrets(value if isinstance(value, str) else "" if value is None else shown(value))


def _optional_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < float("inf") else None


def _integer(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _events(value: object) -> tuple[StageEvent, ...]:
    return tuple(
        StageEvent(_words(item.get("stage_name")), _words(item.get("last_updated_at")), _words(item.get("detail")))
        for item in _list(value)
        if isinstance(item, Mapping)
    )
