"""A scheduled build that ended without a release: found among Dagster's runs, and worth an alarm.

A build whose code server was gone fails before it starts, so nothing of ours has run that could report it. What a gate
stopped has reported itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from kumo_assets.automation.jobs import QUERY_TAG
from kumo_assets.automation.notifications import Alarm
from kumo_assets.automation.schedules import daily_schedule_name
from kumo_assets.config.names import ReleaseId
from kumo_assets.redaction import without_secrets
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.run import root_run_of

SCHEDULE_TAG, PARTITION_TAG = "dagster/schedule_name", "dagster/partition"
# Dagster's own tags of a failed run: whether it will retry it, and by which run it did.
WILL_RETRY_TAG, RETRIED_BY_TAG = "dagster/will_retry", "dagster/auto_retry_run_id"
# Builds of so long ago are looked at; a query that was not built since is stale by then.
LOOKED_BACK = timedelta(hours=48)
# Dagster's daemon has so long to start the retry that it announced.
RETRY_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True)
class FailedBuild:
    """The newest scheduled build of a query, which ended without success: its partition, its last run, and why."""

    partition: str
    run_id: str
    root_run_id: str
    why: str


def failed_builds(
    instance: dg.DagsterInstance,
    queries: Sequence[str],
    now: datetime | None = None,
    *,
    reasons: dict[str, str] | None = None,
) -> dict[str, FailedBuild]:
    """By query, the newest scheduled build when every run of it has ended and none succeeded. One read of Dagster's
    storage, and up to three more for each failed run that is not yet in `reasons` (run id -> why), which is filled."""
    moment = now or datetime.now(UTC)
    known = reasons if reasons is not None else {}
    wanted = {SCHEDULE_TAG: [daily_schedule_name(query) for query in queries]}
    records = (
        instance.get_run_records(dg.RunsFilter(tags=wanted, created_after=moment - LOOKED_BACK)) if queries else []
    )
    found = {}
    for query, runs in _newest(records).items():
        last = runs[0]
        if all(record.dagster_run.is_failure_or_canceled for record in runs) and not _retried_soon(last, moment):
            run = last.dagster_run
            if run.run_id not in known:
                known[run.run_id] = _why(instance, run.run_id)
            found[query] = FailedBuild(run.tags.get(PARTITION_TAG, ""), run.run_id, root_run_of(run), known[run.run_id])
    for run_id in known.keys() - {build.run_id for build in found.values()}:
        del known[run_id]
    return found


def build_alarms(ctx: ReleaseContext, build: FailedBuild | None, told: Sequence[str]) -> list[Alarm]:
    """The alarm for a scheduled build that ended without a release; none once the partition has one, however built.

    What was told already costs no look at S3. Raises ReleaseError.
    """
    if build is None:
        return []
    key = f"no_release {build.partition} {build.run_id}"
    title = f"the scheduled build of {build.partition} ended without a release: {build.why}"
    following = (
        f"kumo-assets materialize {ctx.query} --partition {build.partition} continues it",
        f"run {build.run_id}; the release that is active stays active",
    )
    alarm = Alarm(key, "no_release", title, following)
    if key in told:
        return [alarm]
    if any(item.sealed and item.partition == build.partition for item in ctx.store.listings(build.partition)):
        return []
    release = str(ReleaseId.of(build.partition, build.root_run_id))
    blocked = any(verdict.blocks for verdict in ctx.store.verdicts(release).values())
    return [] if blocked else [alarm]


def _newest(records: Iterable[dg.RunRecord]) -> Mapping[str, list[dg.RunRecord]]:
    """The runs of each query's newest scheduled partition, newest run first."""
    found: dict[str, list[dg.RunRecord]] = {}
    for record in records:  # newest first
        tags = record.dagster_run.tags
        query, partition = tags.get(QUERY_TAG, ""), tags.get(PARTITION_TAG, "")
        if not query or not partition:
            continue
        runs = found.setdefault(query, [])
        if runs and partition > runs[0].dagster_run.tags[PARTITION_TAG]:
            runs.clear()
        if not runs or partition == runs[0].dagster_run.tags[PARTITION_TAG]:
            runs.append(record)
    return found


def _retried_soon(record: dg.RunRecord, now: datetime) -> bool:
    """True while Dagster is about to retry the run."""
    tags = record.dagster_run.tags
    ended = datetime.fromtimestamp(record.end_time or record.create_timestamp.timestamp(), UTC)
    return tags.get(WILL_RETRY_TAG) == "true" and RETRIED_BY_TAG not in tags and now - ended < RETRY_WITHIN


def _why(instance: dg.DagsterInstance, run_id: str) -> str:
    """The last error that the run's log has, on one line: a step's, else the engine's, else the run's own. Secrets go
    before it is cut: a part of one would no longer be recognised."""
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE):
        records = instance.get_records_for_run(run_id, of_type=kind, limit=20, ascending=False).records
        for record in records:
            entry = record.event_log_entry
            error = getattr(entry.dagster_event.event_specific_data, "error", None) if entry.dagster_event else None
            while error is not None and error.cause is not None and not error.message.startswith("kumo_"):
                error = error.cause
            words = (
                error.message
                if error is not None
                else ("" if kind is dg.DagsterEventType.ENGINE_EVENT else entry.user_message)
            )
            if words.strip():
                return " ".join(without_secrets(words).split())[:500]
    return "its log says no more"
