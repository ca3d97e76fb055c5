"""The columns of each task, and whether a table bears a DONE job out.

Whether DONE implies that the Snowflake write has committed is not public: the table is asked, and must agree.
"""

from __future__ import annotations

import time as time_module
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from kumo_assets.config.tasks import OUTPUT_COLUMNS
from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import KumoJob, PollPolicy
from kumo_assets.resources.kumo.wire import moment
from kumo_assets.resources.sql import in_upper_case

if TYPE_CHECKING:
    from kumo_assets.resources.snowflake import Row

# Kumo's clock and ours may differ; a table from the release before is hours or days older.
CLOCK_TOLERANCE = timedelta(minutes=10)
# Whether ANCHOR_TIMESTAMP is exactly the `prediction_time` asked for is not public. A tenant too old to know
# `prediction_time` anchors at its newest data instead: for yesterday's partition hours off, for a backfill days.
ANCHOR_TOLERANCE = timedelta(days=1)
# How a table's entities must agree with the `num_entities_predicted` of its job. What that counts is not public: the
# vendor's client only says that it is there (kumoai 2.22.0, `BatchPredictionJobSummary`). `at_least` still refuses a
# table that was written in part; `off` leaves that to the gates, which compare with the release before.
Agreement: TypeAlias = Literal["exact", "at_least", "off"]


def recognise_output(columns: Iterable[str], task: str) -> tuple[str, ...] | None:
    """The form of the task's output that these columns have; None when they have none."""
    found = set(columns)
    return next((form for form in OUTPUT_COLUMNS[task] if found >= set(form)), None)


@dataclass(frozen=True)
class OutputProof:
    """What the table says of itself. Times are UTC; None where the table has none."""

    rows: int
    entities: int
    null_keys: int
    job_from: datetime | None
    job_to: datetime | None
    anchor_from: datetime | None = None
    anchor_to: datetime | None = None


def prove_output(
    row: Callable[[str], Row],
    columns: Mapping[str, str],
    table: str,
    job: KumoJob,
    task: str,
    anchor: datetime | None = None,
    agreement: Agreement = "exact",
) -> OutputProof:
    """Count the table in one scan and compare it with the job. `table` is quoted; `row` runs one statement. Columns are
    recognised in any case.

    Raises KumoOutputUnproved: no table, a column missing, no rows, other entities than the job reported (as far as
    `agreement` asks), a JOB_TIMESTAMP of another job, or predictions for another time than `anchor` (the
    `prediction_time` that was sent).
    """
    if not columns:
        raise _unproved(job, table, "there is no such table, though the job says DONE")
    names = {name.upper() for name in columns}
    if recognise_output(names, task) is None:
        wanted = " or ".join(", ".join(form) for form in OUTPUT_COLUMNS[task])
        raise _unproved(job, table, f"it has columns {', '.join(columns)}; a {task} query writes {wanted}")
    if "JOB_TIMESTAMP" not in names:
        raise _unproved(job, table, "it has no JOB_TIMESTAMP, though the launch asked for one: whose rows are they?")
    counted = row(proof_sql(names, in_upper_case(table, columns)))
    proof = OutputProof(
        rows=int(counted["ROW_COUNT"]),
        entities=int(counted["ENTITY_COUNT"]),
        null_keys=int(counted["NULL_COUNT"] or 0),
        job_from=_utc(counted["JOB_FROM"]),
        job_to=_utc(counted["JOB_TO"]),
        anchor_from=_utc(counted["ANCHOR_FROM"]),
        anchor_to=_utc(counted["ANCHOR_TO"]),
    )
    found = faults(proof, job, anchor, agreement)
    if found:
        raise _unproved(job, table, "; ".join(found))
    return proof


def prove_when_written(
    look: Callable[[], OutputProof], policy: PollPolicy, sleep: Callable[[float], None] = time_module.sleep
) -> OutputProof:
    """What `look` (a `prove_output`) finds, looked at again for `policy.table_seconds` while it is not proved.

    Whether DONE implies that Snowflake has committed the table is not public: a table a little late is no fault.
    """
    deadline = time_module.monotonic() + policy.table_seconds
    pause = policy.first_seconds
    while True:
        try:
            return look()
        except KumoOutputUnproved:
            left = deadline - time_module.monotonic()
            if left <= 0:
                raise
        sleep(min(pause, left))
        pause = min(pause * 1.5, policy.max_seconds)


def proof_sql(columns: Iterable[str], table: str) -> str:
    """One scan of a table with these columns, as SQL can select from it: ROW_COUNT, ENTITY_COUNT, NULL_COUNT, JOB_FROM, JOB_TO, ANCHOR_FROM, ANCHOR_TO."""
    names = set(columns)
    spans = []
    for column, name in (("JOB_TIMESTAMP", "JOB"), ("ANCHOR_TIMESTAMP", "ANCHOR")):
        low, high = (f"MIN({column})", f"MAX({column})") if column in names else ("NULL", "NULL")
        spans.append(f"{low} AS {name}_FROM, {high} AS {name}_TO")
    return (
        "SELECT COUNT(*) AS ROW_COUNT, COUNT(DISTINCT ENTITY) AS ENTITY_COUNT, "  # noqa: S608 - quoted name
        f"COUNT_IF(ENTITY IS NULL) AS NULL_COUNT, {', '.join(spans)} FROM {table}"
    )


def faults(
    proof: OutputProof, job: KumoJob, anchor: datetime | None = None, agreement: Agreement = "exact"
) -> list[str]:
    """Every way in which the table contradicts the job; empty when it bears it out."""
    found = []
    if proof.rows == 0:
        return ["it has no rows"]
    if job.entities is not None and not _agrees(proof.entities, job.entities, agreement):
        found.append(
            f"it has {proof.entities:,} entities; the job reported {job.entities:,} "
            f"(source.kumo.entities_agree: {agreement})"
        )
    if proof.job_from is None or proof.job_to is None:
        found.append("its JOB_TIMESTAMP is not a time")
    else:
        begun = job.created_at or job.started_at
        if begun is not None and proof.job_from < begun - CLOCK_TOLERANCE:
            found.append(
                f"its JOB_TIMESTAMP {proof.job_from.isoformat()} is from before this job ({begun.isoformat()})"
            )
        if job.ended_at is not None and proof.job_to > job.ended_at + CLOCK_TOLERANCE:
            found.append(
                f"its JOB_TIMESTAMP {proof.job_to.isoformat()} is from after this job ({job.ended_at.isoformat()})"
            )
        if proof.job_from != proof.job_to:
            found.append("it holds rows of more than one job")
    if anchor is not None and proof.anchor_from is not None and proof.anchor_to is not None:
        off = max(abs(proof.anchor_from - anchor), abs(proof.anchor_to - anchor))
        if off > ANCHOR_TOLERANCE:
            found.append(
                f"its predictions are for {proof.anchor_to.isoformat()}, not {anchor.isoformat()} as asked "
                "(a tenant too old for prediction_time? then set source.kumo.send_prediction_time: false)"
            )
    return found


def _agrees(entities: int, reported: int, agreement: Agreement) -> bool:
    if agreement == "exact":
        return entities == reported
    return agreement == "off" or entities >= reported


def _utc(value: object) -> datetime | None:
    """A timestamp column's value. Its SQL type is not public: text is read too; a time without a zone is UTC."""
    if not isinstance(value, datetime):
        return moment(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _unproved(job: KumoJob, table: str, found: str) -> KumoOutputUnproved:
    return KumoOutputUnproved(
        "believe Kumo job",
        to=f"{job.job_id} (table {table})",
        found=found,
        next=f"look at {job.tracking_url or 'the job in Kumo'}, then run it again: that launches another attempt",
    )
