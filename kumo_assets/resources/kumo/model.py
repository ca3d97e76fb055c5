"""The one model that every dialect maps to: jobs, launches, models, progress. Values only."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kumo_assets.errors import ConfigError


class JobStatus(enum.Enum):
    """Kumo's statuses (kumoapi/common.py), and UNKNOWN for one this client has never heard of."""

    NOT_STARTED = "NOT_STARTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNTRAINED = "UNTRAINED"
    MISSING = "MISSING"
    UNKNOWN = "UNKNOWN"

    @property
    def live(self) -> bool:
        """It may still end DONE. An unknown status is polled on, to the deadline."""
        return self in (JobStatus.NOT_STARTED, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.UNKNOWN)

    @property
    def unusable(self) -> bool:
        """Never becomes terminal by itself."""
        return self in (JobStatus.UNTRAINED, JobStatus.MISSING)


@dataclass(frozen=True)
class Notice:
    """A warning, error or hint of Kumo's, verbatim: free text, no code, no severity."""

    title: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.title, self.message)))


@dataclass(frozen=True)
class StageEvent:
    """One line of a job's event log. Stage names are not documented: never branch on them."""

    stage: str
    at: str
    detail: str


@dataclass(frozen=True)
class KumoJob:
    """A batch prediction job as any dialect reports it; `raw` is the whole payload."""

    job_id: str
    status: JobStatus
    raw_status: str
    entities: int | None = None
    warnings: tuple[Notice, ...] = ()
    errors: tuple[Notice, ...] = ()
    events: tuple[StageEvent, ...] = ()
    tracking_url: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    created_at: datetime | None = None
    model_id: str | None = None
    snapshot_id: str | None = None
    output_tables: tuple[str, ...] = ()
    raw: dict[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Launch:
    """Everything a launch says. `training_job_id` is None only while the launch is looked for, before one is chosen.

    Raises ConfigError for a table name with lower case in it: Kumo creates names quoted, case preserved, and nobody's
    SQL would find it.
    """

    query_id: str
    training_job_id: str | None
    connector: str
    table: str
    num_classes: int | None
    tags: dict[str, str]
    prediction_time: datetime | None
    task: str
    binary_threshold: float | None = None
    num_workers: int = 1
    graph_snapshot_id: str | None = None

    def __post_init__(self) -> None:
        if self.table != self.table.upper():
            raise ConfigError(
                "launch a batch prediction into",
                to=self.table,
                found="the name is not upper case",
                next="upper-case it",
            )


@dataclass(frozen=True)
class TrainedModel:
    """A DONE training job. `metrics` are of the test split, by name; `plan` is its model plan, as Kumo keeps it."""

    job_id: str
    query_id: str
    created_at: datetime | None
    metrics: dict[str, float]
    snapshot_id: str | None = None
    plan: dict[str, object] = field(default_factory=dict, repr=False)
    raw: dict[str, object] = field(default_factory=dict, repr=False)

    @property
    def graph_id(self) -> str | None:
        """The graph it was trained on: a snapshot's id is `<graph id>@<version>`."""
        graph, at, _ = (self.snapshot_id or "").partition("@")
        return graph if at and graph else None


@dataclass(frozen=True)
class Progress:
    """Iterations (or trials) done and in all; `total` is 0 while Kumo does not know it. `left` is Kumo's estimate."""

    completed: int
    total: int
    elapsed: timedelta | None = None
    left: timedelta | None = None


@dataclass(frozen=True)
class PollPolicy:
    """Seconds between polls, growing by half each time with some jitter, and the deadline of one wait.

    `outage_seconds` is how long Kumo may be away while a job is waited for; `cancel_seconds` how long a cancelled job is
    waited for, since cancelling is best effort and asynchronous; `table_seconds` how long a DONE job's table may be late.
    """

    first_seconds: float = 10.0
    max_seconds: float = 60.0
    jitter: float = 0.1
    deadline_seconds: float = 4 * 3600.0
    outage_seconds: float = 600.0
    cancel_seconds: float = 600.0
    table_seconds: float = 60.0
