"""The `PredictiveQuery` definition: one Kumo model question and how it is served, as pydantic models.

Every field a user may write stands here with its meaning and default; the JSON Schema shown by `dg` comes from these
models. Reading files is in `load.py`; what is built from a definition is in `kumo_assets.components`.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, field_validator, model_validator

from kumo_assets.config.engine_source import EngineSettings
from kumo_assets.config.gates import GatesSpec
from kumo_assets.config.outcomes import FILE as OUTCOMES_FILE
from kumo_assets.config.outcomes import Outcomes
from kumo_assets.config.raw_logs import Owner, Strict, check_time_zone
from kumo_assets.config.registration import AskedGate
from kumo_assets.config.table_source import TableSettings
from kumo_assets.config.tasks import Task
from kumo_assets.config.training import WEEK_MINUTES, Training
from kumo_assets.errors import ConfigError

ITEM_FORMATS: dict[str, str] = {
    "ranking": "ranking/1",
    "regression": "regression/1",
    "binary_classification": "classification/1",
    "multiclass_classification": "classification/1",
}

# Shown in the place of what `show_entities: false` keeps out of sight.
NOT_SHOWN = "not shown (show_entities: false)"

# Bounds of what a person may write: far beyond what anybody wants, and within what clocks and outside systems take.
HOUR = 3600.0  # seconds
TEN_YEARS_HOURS = 10 * 366 * 24.0
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2199, 12, 31)


class Poll(Strict):
    """How a Kumo job is waited for."""

    first_seconds: float = Field(default=10, gt=0, le=HOUR)
    max_seconds: float = Field(default=60, gt=0, le=HOUR)
    table_seconds: float = Field(
        default=60,
        ge=0,
        le=24 * HOUR,
        description="How late the table of a job that says DONE may be before it is not believed.",
    )
    jitter: float = Field(default=0.1, ge=0, lt=1, description="Each pause differs by up to this fraction of itself.")
    deadline_minutes: float = Field(
        default=240, gt=0, le=WEEK_MINUTES, description="After this the job is cancelled and the run fails."
    )


class Kumo(Strict):
    """Predictions from Kumo's service: one batch prediction job a day, over REST."""

    predictive_query_id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9](\.?[A-Za-z0-9_-])*\.?$")
    connector: str = Field(
        min_length=1, description="Name of the Kumo connector that writes to SNOWFLAKE_DATABASE.SNOWFLAKE_SCHEMA."
    )
    training_job_id: str | None = Field(default=None, description="Pin a model; default: the newest DONE training job.")
    graph_id: str | None = Field(
        default=None,
        description="Graph whose snapshot is refreshed before each launch; default: the one the model was trained on.",
    )
    refresh_graph: bool = Field(
        default=True, description="False to launch without a fresh snapshot: what Kumo then reads is its own choice."
    )
    send_prediction_time: bool = Field(default=True, description="False for tenants too old to know `prediction_time`.")
    entities_agree: Literal["exact", "at_least", "off"] = Field(
        default="exact",
        description="How many entities the table must have: exactly as many as Kumo reports, at least as many, or any "
        "number. What Kumo counts as `num_entities_predicted` is not public.",
    )
    num_workers: int = Field(default=1, ge=1, le=4)
    classes_per_entity: int | None = Field(
        default=None, ge=1, le=10_000, description="Candidates Kumo returns per entity; default 2 x top_k + 2."
    )
    binary_threshold: float | None = Field(default=None, ge=0, le=1)
    poll: Poll = Field(default_factory=Poll)
    training: Training | None = Field(
        default=None, description="Retrain on a schedule of its own, and use a new model only when it is not worse."
    )

    @property
    def name(self) -> str:
        """The source's name."""
        return "kumo"


class Source(Strict):
    """Where the predictions come from: one field for each source that there is, of which a definition writes one."""

    kumo: Kumo | None = None
    engine: EngineSettings | None = None
    table: TableSettings | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            allowed = ", ".join(type(self).model_fields)
            raise ValueError(f"write exactly one of {allowed}; found {', '.join(given) or 'none'}")
        return self

    @property
    def name(self) -> str:
        """The source's name: that of the field which is written."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def training(self) -> Training | None:
        """How the model is trained again; None when it is not, and for a source that has no models."""
        chosen = self.kumo or self.engine
        return chosen.training if chosen is not None else None

    @property
    def binary_threshold(self) -> float | None:
        """The probability from which on a binary prediction is true, where the source's table does not say it."""
        chosen = self.kumo or self.engine or self.table
        return chosen.binary_threshold if chosen is not None else None

    @property
    def classes_per_entity(self) -> int | None:
        """Candidates asked for each entity; None for the default, or where nobody can be asked."""
        chosen = self.kumo or self.engine
        return chosen.classes_per_entity if chosen is not None else None


class Export(Strict):
    """The unload to S3."""

    format: Literal["csv", "dynamodb_json"] = "csv"
    max_file_size_mb: int = Field(default=256, ge=1, le=5000)
    fallback_size: int = Field(default=20, ge=1, le=200, description="Classes in the fallback list.")


class Table(Strict):
    """The DynamoDB table of each release."""

    deletion_protection: bool = True
    point_in_time_recovery: bool = False
    reads_per_second: int | None = Field(
        default=None, ge=1, le=100_000_000, description="Warm throughput to have before the swap."
    )
    replicas: list[str] = Field(
        default_factory=list, description="Other regions whose replica must be ACTIVE before the swap."
    )
    sse: str | None = Field(
        default=None,
        pattern=r"^(aws|alias/[a-zA-Z0-9/_-]{1,250}|(mrk-)?[0-9a-f-]{8,36}|arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:(key|alias)/[a-zA-Z0-9/_-]+)$",
        description="KMS key of the tables: an alias, id or ARN, or `aws` for the account's own. Unset: DynamoDB's, which is free.",
    )
    sample: int = Field(default=20, ge=1, le=1000, description="Items compared with their source rows.")
    import_deadline_minutes: float = Field(default=180, gt=0, le=WEEK_MINUTES)
    poll_seconds: float = Field(default=10, gt=0, le=HOUR)

    @model_validator(mode="after")
    def _key_in_every_region(self) -> Table:
        # A replica is encrypted with a key of its own region (DynamoDB, CreateReplicationGroupMemberAction).
        if self.replicas and self.sse not in (None, "aws") and not str(self.sse).startswith("alias/"):
            raise ValueError("sse: with replicas, name the key by an alias (alias/...) that exists in every region")
        return self


class Pointer(Strict):
    """Where the active pointer lives."""

    store: Literal["s3", "zookeeper"] = "s3"
    plain_text_copy: bool = Field(
        default=False, description="Also write the table's name alone, for the simplest service."
    )


class Schedule(Strict):
    """When the day's release is built."""

    owner: Literal["dagster", "airflow"] = Field(
        default="dagster", description="Who owns the clock; airflow ships the Dagster schedule stopped."
    )
    at: str = Field(default="02:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Local time of day.")
    time_zone: str = "UTC"
    start: date = Field(ge=FIRST_DAY, le=LAST_DAY, description="First partition.")
    end: date | None = Field(
        default=None,
        ge=FIRST_DAY,
        le=LAST_DAY,
        description="Last partition, for logs that have ended; none by default.",
    )
    late_logs_cut_off_minutes: float = Field(
        default=120, ge=0, le=WEEK_MINUTES, description="How long late raw logs are waited for."
    )
    late_logs_poll_seconds: float = Field(default=60, gt=0, le=HOUR)
    late_logs_tolerance_minutes: float = Field(
        default=60,
        ge=0,
        le=WEEK_MINUTES,
        description="Logs count as complete when their newest event is this close to the partition's end.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return check_time_zone(value)

    def start_of_build(self, anchor: datetime) -> datetime:
        """When the build of the partition that ends at `anchor` is scheduled; UTC."""
        hour, minute = map(int, self.at.split(":"))
        local = anchor.astimezone(ZoneInfo(self.time_zone)).replace(hour=hour, minute=minute, second=0, microsecond=0)
        return local.astimezone(UTC)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Schedule:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self


class Retention(Strict):
    """Which old releases are kept."""

    keep: int = Field(
        default=7, ge=1, le=10_000, description="Releases kept besides active, previous, held and referenced ones."
    )
    min_age_hours: float = Field(default=72, ge=0, le=TEN_YEARS_HOURS)
    grace_minutes: float = Field(
        default=60,
        ge=0,
        le=60 * TEN_YEARS_HOURS,
        description="A release that stopped being active this recently is kept; outlasts the slowest reader.",
    )


class PredictiveQuerySpec(Strict):
    """One predictive query and how it is served."""

    description: str = ""
    owners: list[Owner] = Field(min_length=1, description="`team:NAME` or an e-mail address.")
    entity: str = Field(default="entity", description="What an entity is, in a word: household, user.")
    show_entities: bool = Field(
        default=True,
        description="False where entities are people: no entity id and no entity's predictions in Dagster, in verdicts, "
        "in errors and in notifications.",
    )
    raw_logs: list[str] = Field(
        description="Raw log assets this query needs; [] is allowed only where the source is a table."
    )
    task: Task = Field(default="ranking", description="What is predicted for an entity, whoever predicts it.")
    source: Source
    top_k: int = Field(default=5, ge=1, le=100)
    gates: GatesSpec = Field(default_factory=GatesSpec)
    export: Export = Field(default_factory=Export)
    table: Table = Field(default_factory=Table)
    pointer: Pointer = Field(default_factory=Pointer)
    promotion: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="manual: the newest release that may go live is staged, and a person promotes it.",
    )
    schedule: Schedule
    retention: Retention = Field(default_factory=Retention)
    outcomes: Outcomes | None = Field(
        default=None, description="Compare each release with what happened afterwards; without it nothing is kept."
    )
    stale_after_hours: float = Field(
        default=30,
        gt=0,
        le=TEN_YEARS_HOURS,
        description="An active release older than this (since promotion) is stale.",
    )
    waiting_after_hours: float = Field(
        default=6,
        gt=0,
        le=TEN_YEARS_HOURS,
        description="A sealed release that waits longer than this to go live is an alarm.",
    )

    @model_validator(mode="before")
    @classmethod
    def _form_of_today(cls, data: Any) -> Any:
        """Refuse the form of version 0.1, in which the task was a field of a `kumo` section."""
        if isinstance(data, dict) and "kumo" in data:
            raise ValueError(
                "since version 0.2 `kumo:` is written under `source:`, and `task:` beside it; "
                f"in place of `kumo:` write {_moved_under_source(data['kumo'])}"
            )
        return data

    @model_validator(mode="after")
    def _consistent(self) -> PredictiveQuerySpec:
        if not self.raw_logs and self.source.table is None:
            raise ValueError("raw_logs: at least one raw log asset is needed; only a source.table can do without")
        wanted = self.source.classes_per_entity
        if wanted is not None and wanted < self.top_k:
            raise ValueError(
                f"source.{self.source.name}.classes_per_entity ({wanted}) must be at least top_k ({self.top_k})"
            )
        self._check_outcomes()
        return self

    def _check_outcomes(self) -> None:
        events = self.outcomes.events if self.outcomes is not None else None
        if events is None:
            return
        if self.task != "ranking":
            raise ValueError(
                f"outcomes.events is for a ranking, and the task is {self.task}; "
                f"say what happened in {OUTCOMES_FILE} beside defs.yaml (ENTITY, VALUE)"
            )
        if events.log not in self.raw_logs:
            raise ValueError(f"outcomes.events.log {events.log!r} is not among raw_logs: {', '.join(self.raw_logs)}")

    @property
    def asked_gates(self) -> dict[str, AskedGate]:
        """The built-in gates that judge this query's releases: `GatesSpec.gates_of` its task and source."""
        return self.gates.gates_of(self.task, self.source.name)

    @property
    def kumo(self) -> Kumo:
        """The settings of Kumo's service. ConfigError for a query whose predictions come from elsewhere."""
        if self.source.kumo is None:
            raise ConfigError(
                "use Kumo's service for this query",
                found=f"its predictions come from source.{self.source.name}",
                next="only a query with source.kumo has a model of Kumo's, trained by its service",
            )
        return self.source.kumo

    @property
    def item_format(self) -> str:
        return ITEM_FORMATS[self.task]

    @property
    def classes_per_entity(self) -> int:
        """Candidates asked of the source: more than top_k, so that business rules can drop some and still fill the list."""
        return self.source.classes_per_entity or 2 * self.top_k + 2


def _moved_under_source(kumo: Any) -> str:
    """The two YAML lines that replace a `kumo` section of version 0.1, each in backticks."""
    fields = dict(kumo) if isinstance(kumo, dict) else {}
    source = {"kumo": {name: value for name, value in fields.items() if name != "task"}}
    line = yaml.safe_dump(source, sort_keys=False, default_flow_style=True, width=math.inf).strip()
    return f"`task: {fields.get('task', 'ranking')}` and `source: {line}`"
