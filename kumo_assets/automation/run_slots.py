"""Which of our runs wait and which do not, said by tags that any Dagster instance can limit; and what an instance lacks.

A build waits for logs and for Kumo, for hours if it must; a promotion and an operator's job take seconds and must never
stand behind it. Dagster's priority only orders its queue, so builds are bounded by a tag: some run slots always stay free.
The limits are the instance's (`dagster.yaml` here); `kumo-assets doctor` reads those of an instance that is not ours.

The other way would be a build that ends while it waits and is continued by a sensor. Each wait would then be a run that
succeeded and built nothing: retries, Airflow's operators and the partition's status would all take it for a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

# What a run of ours is: `build` and `training` wait for others, `promotion` and `operator` do not.
WORK_TAG = "kumo_assets/work"
# Dagster's own tags (docs.dagster.io, "Run queue" and "Run retries").
PRIORITY_TAG, RETRIES_TAG = "dagster/priority", "dagster/max_retries"
RETRY_STEPS_TAG = "dagster/retry_on_asset_or_op_failure"

# A worker that dies is started again and adopts what it had begun; a gate that failed is never asked twice.
_RETRIED = {RETRIES_TAG: "2", RETRY_STEPS_TAG: "false"}
BUILD = {WORK_TAG: "build", **_RETRIED}
TRAINING = {WORK_TAG: "training", **_RETRIED}
PROMOTION = {WORK_TAG: "promotion", PRIORITY_TAG: "10", RETRY_STEPS_TAG: "false"}
# It waits for nobody; what it has judged is not judged again.
OUTCOMES = {WORK_TAG: "outcomes", **_RETRIED}
OPERATOR = {WORK_TAG: "operator", PRIORITY_TAG: "10", RETRIES_TAG: "0"}

# Runs that have a slot.
UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# Run slots that builds and trainings must leave to others.
FREE_SLOTS = 2


@dataclass(frozen=True)
class Limits:
    """What an instance says of runs: slots (None: no limit), limits by tag, tries of a launch whose code server is gone,
    and whether a run whose worker died is noticed and retried."""

    slots: int | None
    by_tag: Sequence[Mapping[str, Any]]
    launch_retries: int
    monitored: bool
    retried: bool


def limits_of(instance: dg.DagsterInstance) -> Limits:
    """The limits of an instance. One whose runs start at once, without a queue, has no slots and needs no launch again."""
    queue = instance.get_concurrency_config().run_queue_config
    return Limits(
        slots=queue.max_concurrent_runs if queue is not None and queue.max_concurrent_runs >= 0 else None,
        by_tag=queue.tag_concurrency_limits if queue is not None else (),
        launch_retries=queue.max_user_code_failure_retries if queue is not None else 1,
        monitored=instance.run_monitoring_enabled,
        retried=instance.run_retries_enabled,
    )


def missing(limits: Limits) -> list[str]:
    """What an instance lacks, each with the lines of `dagster.yaml` that add it; empty when all is there."""
    lacks = []
    waiting = [_most(limits.by_tag, work) for work in ("build", "training")]
    known = [most for most in waiting if most is not None]
    if limits.slots is not None and (len(known) < len(waiting) or sum(known) > limits.slots - FREE_SLOTS):
        fair = max(limits.slots - FREE_SLOTS - 1, 1)
        lacks.append(
            f"builds and trainings, which wait for hours, may fill all {limits.slots} run slots, and promotions wait behind "
            f"them: concurrency.runs.tag_concurrency_limits: [{{key: {WORK_TAG}, value: build, limit: {fair}}}, "
            f"{{key: {WORK_TAG}, value: training, limit: 1}}]"
        )
    if not limits.launch_retries:
        lacks.append(
            "a code server that is gone for some seconds fails the queued builds: "
            "run_queue: {max_user_code_failure_retries: 60, user_code_failure_retry_delay: 10}"
        )
    if not limits.monitored:
        lacks.append("a worker that never starts is not noticed: run_monitoring: {enabled: true}")
    if not limits.retried:
        lacks.append("a build whose worker died is not started again: run_retries: {enabled: true}")
    return lacks


def crowded(instance: dg.DagsterInstance) -> str:
    """A sentence for who starts a build past the queue, when as many builds are under way as the instance lets run at once;
    "" otherwise. A build in a terminal counts as one of them all the same: it carries the tag."""
    most = _most(limits_of(instance).by_tag, "build")
    under_way = instance.get_runs_count(dg.RunsFilter(tags={WORK_TAG: "build"}, statuses=UNDER_WAY))
    if most is None or under_way < most:
        return ""
    return (
        f"{under_way} builds are under way, and this instance lets {most} run at once. This one starts all the same, "
        "because a terminal has no queue; queued builds wait for it as well"
    )


def _most(by_tag: Sequence[Mapping[str, Any]], work: str) -> int | None:
    """The most runs of a kind that the limits let run at once; None when none of them is about it."""
    found = [
        int(limit["limit"])
        for limit in by_tag
        if limit.get("key") == WORK_TAG
        and (limit.get("value") in (None, work) or isinstance(limit.get("value"), Mapping))
    ]
    return min(found, default=None)
