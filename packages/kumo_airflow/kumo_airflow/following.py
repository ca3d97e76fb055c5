"""What to do next about a run: start, adopt, re-execute, wait, follow, stop. Pure: small values in, a decision out.

Shared by the operator (which asks in a worker), the trigger (which asks in the triggerer) and the function for `@task`.
Talking to Dagster is in `client` and `operations`; what the run's events say is in `events`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# Tags of ours. The trigger's is a task instance of Airflow: one for all its tries. `clear` counts upwards each time
# somebody clears the task (see `clearing`), so that a retry and a clear can be told apart.
TRIGGER_TAG = "kumo_airflow/trigger"
CLEAR_TAG = "kumo_airflow/clear"
DAG_TAG = "kumo_airflow/dag_id"
RUN_TYPE_TAG = "kumo_airflow/run_type"
BY_TAG = "kumo_assets/by"
# Tags of Dagster's: dagster/_core/storage/tags.py of 1.13.
PARTITION_TAG = "dagster/partition"
SCHEDULE_TAG = "dagster/schedule_name"
AUTO_RETRY_TAG = "dagster/auto_retry_run_id"
WILL_RETRY_TAG = "dagster/will_retry"
ROOT_RUN_TAG = "kumo_assets/root_run"

ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})  # every other status of dagster's RunStatus may still change
# Dagster's daemon starts its own retry within a loop or two; after this long it is not coming.
AUTO_RETRY_SECONDS = 600.0


@dataclass(frozen=True)
class Run:
    """One Dagster run as GraphQL tells it. Times are seconds since 1970."""

    run_id: str
    status: str
    job: str = ""
    root_run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0
    ended: float | None = None

    @property
    def live(self) -> bool:
        return self.status not in ENDED

    @property
    def release_id(self) -> str:
        """`<YYYYMMDD>-<first 8 hex of the root run id>`: kumo_assets' own rule (docs/architecture.md, Names). "" for a
        run without a partition, which builds none."""
        if PARTITION_TAG not in self.tags:
            return ""
        root = self.tags.get(ROOT_RUN_TAG) or self.root_run_id or self.run_id
        return f"{self.tags[PARTITION_TAG].replace('-', '')}-{root[:8]}"


def clearing(max_tries: int, retries: int) -> int:
    """How often, so to speak, a task instance was cleared: the tries used up before its last clear, 0 at first.

    Airflow sets `max_tries = try_number + retries` when a task is cleared, and leaves it alone on a retry
    (`clear_task_instances` in airflow/models/taskinstance.py of 2.11 and 3.3). A task cleared while it runs in a worker
    keeps it, and so counts as a retry.
    """
    return max(0, max_tries - retries)


def trigger_key(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """The value of the trigger's tag: the same for each try of one task instance."""
    return "/".join((dag_id, run_id, task_id, *([str(map_index)] if map_index >= 0 else [])))


def launch_tags(
    partition: str, partition_tags: Mapping[str, str], *, key: str, clear: int, dag_id: str, run_type: str
) -> dict[str, str]:
    """Tags of a run started from here: those Dagster itself puts on a run of this partition, and who asked.

    `partition_tags` is Dagster's own answer for the partition; the partition's tag is set even so, because it is what
    makes the run one of that day. "" for a job without partitions.
    """
    return {
        **partition_tags,
        **({PARTITION_TAG: partition} if partition else {}),
        TRIGGER_TAG: key,
        CLEAR_TAG: str(clear),
        DAG_TAG: dag_id,
        RUN_TYPE_TAG: run_type,
        BY_TAG: f"airflow {dag_id}",
    }


@dataclass(frozen=True)
class Start:
    """How a task begins: `launch` a new run, `adopt` one, `reexecute` one from its failure, or `settle`: wait until a
    run that is being cancelled has ended, and decide again; `terminate`: the same, and cancel it first. `why` is for the
    log."""

    what: Literal["launch", "adopt", "reexecute", "settle", "terminate"]
    why: str
    run: Run | None = None


def decide_start(
    mine: Sequence[Run], others: Sequence[Run], *, clear: int, scheduled: bool, blocked: Callable[[Run], bool]
) -> Start:
    """The first thing a try does, so that no try ever builds a second release beside a live or a finished one.

    `mine`: runs with this task instance's trigger tag. `others`: runs of the same job and partition without it.
    `scheduled`: the DAG run is the clock's own, and nobody's wish. `blocked(run)`: did a gate stop that failed run?
    """
    newest = max(mine, key=lambda run: run.created, default=None)
    if newest is None:
        return _first_start(others, scheduled and clear == 0)
    if newest.status == "CANCELING":
        return Start("settle", f"run {newest.run_id} of an earlier try is being cancelled", newest)
    cleared = newest.tags.get(CLEAR_TAG) != str(clear)
    if newest.live and cleared:
        # A clear kills, in Airflow; that kill may come late, or not at all from a triggerer that died. Were the run
        # adopted, the next try could not tell what it built from what a clear asks to build again.
        return Start("terminate", f"run {newest.run_id} lives, and the task was cleared since it was started", newest)
    if newest.live:
        return Start("adopt", f"run {newest.run_id}, started by an earlier try, is {newest.status}", newest)
    if newest.status == "SUCCESS":
        if cleared:
            return Start("launch", f"the task was cleared after run {newest.run_id} had succeeded")
        return Start("adopt", f"run {newest.run_id}, started by an earlier try, has succeeded", newest)
    if newest.status == "FAILURE":
        if next_move(newest, now=newest.ended or 0.0).what in ("wait", "follow"):
            return Start("adopt", f"Dagster itself is retrying run {newest.run_id}", newest)
        if blocked(newest):
            if cleared:
                return Start("launch", f"the task was cleared after a gate had stopped run {newest.run_id}")
            return Start("adopt", f"a gate stopped run {newest.run_id}, and is not asked twice", newest)
    return Start("reexecute", f"run {newest.run_id} ended as {newest.status}: from its failure, same release", newest)


def _first_start(others: Sequence[Run], by_clock: bool) -> Start:
    for run in sorted(others, key=lambda run: run.created, reverse=True):
        if run.live and run.status != "CANCELING":
            return Start("adopt", f"run {run.run_id}, not started from here, is building this day", run)
        if by_clock and run.status == "SUCCESS" and SCHEDULE_TAG in run.tags:
            words = f"Dagster's own schedule {run.tags[SCHEDULE_TAG]} has built this day: both clocks run"
            return Start("adopt", words, run)
    return Start("launch", "no run of this day was started from here")


@dataclass(frozen=True)
class Move:
    """What follows from a run's state: `wait`; `follow` the run named; `ended` as the outcome says; `overdue`."""

    what: Literal["wait", "follow", "ended", "overdue"]
    run_id: str = ""
    outcome: Literal["", "success", "failure", "canceled"] = ""
    why: str = ""


def next_move(run: Run, *, now: float, deadline_at: float | None = None) -> Move:
    """What to do about a run that is waited for. Times are seconds since 1970; no deadline when None."""
    if run.status == "SUCCESS":
        return Move("ended", run.run_id, "success")
    if run.status == "CANCELED":
        return Move("ended", run.run_id, "canceled")
    if run.status == "FAILURE":
        retry = run.tags.get(AUTO_RETRY_TAG)
        if retry:
            return Move("follow", retry, why=f"Dagster retries run {run.run_id} as {retry}")
        coming = run.tags.get(WILL_RETRY_TAG) == "true" and now - (run.ended or now) < AUTO_RETRY_SECONDS
        if not coming:
            return Move("ended", run.run_id, "failure")
    if deadline_at is not None and now >= deadline_at:
        return Move("overdue", run.run_id, why=f"run {run.run_id} is {run.status} past its deadline")
    return Move("wait", run.run_id, why=f"run {run.run_id} is {run.status}")


def winner(started: Run, twins: Sequence[Run]) -> Run:
    """Of runs launched for one task instance and one clear, the one that stays: the first that was created.

    Two arise when the answer to a launch was lost and the launch arrived late, or when a try outlived its successor's
    start. Every party that looks at the same list picks the same run.
    """
    clear = started.tags.get(CLEAR_TAG)
    same = [run for run in twins if run.live and run.tags.get(CLEAR_TAG) == clear]
    return min([*same, started], key=lambda run: (run.created, run.run_id))
