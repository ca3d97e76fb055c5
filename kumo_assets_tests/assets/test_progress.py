"""What a run's log says of something that is waited for."""

from __future__ import annotations

from kumo_assets.assets.progress import changes


def test_time_counts_from_the_first_state_not_from_when_the_run_began() -> None:
    said: list[str] = []
    now = 0.0
    tell = changes(said.append, again_seconds=60, clock=lambda: now)
    now = 3600  # an hour in which nothing was waited for
    tell("QUEUED")
    now += 120
    tell("RUNNING")
    assert said == ["QUEUED", "RUNNING (waited for 2 min)"]


def test_each_change_is_told_and_what_stays_only_now_and_then() -> None:
    said: list[str] = []
    now = 0.0
    tell = changes(said.append, again_seconds=60, clock=lambda: now)
    for _ in range(200):  # a poll each second
        tell("IN_PROGRESS" if now < 150 else "COMPLETED")
        now += 1
    assert said == [
        "IN_PROGRESS",
        "IN_PROGRESS (waited for 1 min)",
        "IN_PROGRESS (waited for 2 min)",
        "COMPLETED (waited for 2 min)",
    ]
