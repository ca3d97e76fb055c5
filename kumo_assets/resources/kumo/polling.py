"""Reading the same thing again until it ends: pauses that grow, a deadline, and outages that are ridden out.

What an end is, and what follows, is for the callers: `client`, `snapshots`, `training`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from kumo_assets.resources.kumo.errors import KumoMalformed, KumoUnreachable
from kumo_assets.resources.kumo.model import PollPolicy

T = TypeVar("T")


def readings(
    read: Callable[[], T], policy: PollPolicy, sleep: Callable[[float], None], deadline_seconds: float | None = None
) -> Iterator[T]:
    """What `read` finds, at once and then after each pause, until the deadline (the policy's unless given).

    The last reading is made when the deadline has come. KumoUnreachable and KumoMalformed (a proxy's page during
    maintenance) are ridden out while they last no longer than `policy.outage_seconds`: a job that runs for hours must
    not be given up for a minute's trouble. Any other error is raised at once.
    """
    deadline = time.monotonic() + (policy.deadline_seconds if deadline_seconds is None else deadline_seconds)
    pause = policy.first_seconds
    answered = time.monotonic()
    while True:
        try:
            value = read()
        except (KumoUnreachable, KumoMalformed):
            if time.monotonic() - answered >= policy.outage_seconds:
                raise
        else:
            yield value
            answered = time.monotonic()
        left = deadline - time.monotonic()
        if left <= 0:
            return
        sleep(min(pause * random.uniform(1 - policy.jitter, 1 + policy.jitter), left))
        pause = min(pause * 1.5, policy.max_seconds)
