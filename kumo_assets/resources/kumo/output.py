"""The anchor of a partition, the columns of each task, and whether a table bears a DONE job out.

Whether DONE implies that the Snowflake write has committed is not public: the table is asked, and must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import KumoJob

# Columns by task (kumo_api.md, "Output columns"); binary has an older form.
OUTPUT_COLUMNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "ranking": (("ENTITY", "CLASS", "SCORE"),),
    "regression": (("ENTITY", "TARGET_PRED"),),
    "binary_classification": (("ENTITY", "TARGET_PRED", "TRUE_PROB"), ("ENTITY", "SCORE")),
    "multiclass_classification": (("ENTITY", "CLASS", "SCORE", "PREDICTED"),),
}
# Kumo's clock and ours may differ; a table from the release before is hours or days older.
CLOCK_TOLERANCE = timedelta(minutes=10)


def anchor_time(partition: date, time_zone: str) -> datetime:
    """The end of the partition's day in `time_zone`, as aware UTC: midnight of the next local day, DST or not."""
    local = datetime.combine(partition + timedelta(days=1), time(), tzinfo=ZoneInfo(time_zone))
    return local.astimezone(UTC)


@dataclass(frozen=True)
class OutputProof:
    """What the table says of itself. Times are UTC."""

    rows: int
    entities: int
    null_keys: int
    job_from: datetime | None
    job_to: datetime | None


def prove_output(
    row: Callable[[str], Mapping[str, Any]], columns: Mapping[str, str], table: str, job: KumoJob, task: str
) -> OutputProof:
    """Count the table in one scan and compare it with the job. `table` is quoted; `row` runs one statement.

    Raises KumoOutputUnproved: no table, a column missing, no rows, fewer entities than the job reported, or a
    JOB_TIMESTAMP of another job.
    """
    if not columns:
        raise _unproved(job, table, "there is no such table, though the job says DONE")
    forms = OUTPUT_COLUMNS[task]
    if not any(set(form) <= set(columns) for form in forms):
        wanted = " or ".join(", ".join(form) for form in forms)
        raise _unproved(job, table, f"it has columns {', '.join(columns)}; a {task} query writes {wanted}")
    stamps = (
        "MIN(JOB_TIMESTAMP) AS JOB_FROM, MAX(JOB_TIMESTAMP) AS JOB_TO"
        if "JOB_TIMESTAMP" in columns
        else "NULL AS JOB_FROM, NULL AS JOB_TO"
    )
    counted = row(
        "SELECT COUNT(*) AS ROW_COUNT, COUNT(DISTINCT ENTITY) AS ENTITY_COUNT, "  # noqa: S608 - quoted name
        f"COUNT_IF(ENTITY IS NULL) AS NULL_COUNT, {stamps} FROM {table}"
    )
    proof = OutputProof(
        rows=int(counted["ROW_COUNT"]),
        entities=int(counted["ENTITY_COUNT"]),
        null_keys=int(counted["NULL_COUNT"] or 0),
        job_from=_utc(counted["JOB_FROM"]),
        job_to=_utc(counted["JOB_TO"]),
    )
    found = faults(proof, job)
    if found:
        raise _unproved(job, table, "; ".join(found))
    return proof


def faults(proof: OutputProof, job: KumoJob) -> list[str]:
    """Every way in which the table contradicts the job; empty when it bears it out."""
    found = []
    if proof.rows == 0:
        found.append("it has no rows")
    if job.entities is not None and job.entities != proof.entities:
        found.append(f"it has {proof.entities:,} entities; the job reported {job.entities:,}")
    started = job.started_at or job.created_at
    if started is not None and proof.job_from is not None and proof.job_from < started - CLOCK_TOLERANCE:
        found.append(f"its JOB_TIMESTAMP {proof.job_from.isoformat()} is from before this job ({started.isoformat()})")
    if proof.job_from is not None and proof.job_from != proof.job_to:
        found.append("it holds rows of more than one job")
    return found


def _utc(value: Any) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _unproved(job: KumoJob, table: str, found: str) -> KumoOutputUnproved:
    return KumoOutputUnproved(
        "believe Kumo job",
        to=f"{job.job_id} (table {table})",
        found=found,
        next=f"look at {job.tracking_url or 'the job in Kumo'}, then build a new release of the partition",
    )
