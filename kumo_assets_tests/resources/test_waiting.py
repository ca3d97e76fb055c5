"""A log that is never silent for long while something is waited for."""

from __future__ import annotations

import time

from kumo_assets.resources.waiting import Narrator


def test_a_wait_says_for_what_and_the_innermost_is_told() -> None:
    said: list[str] = []
    narrator = Narrator(said.append, every_seconds=0.05)
    with narrator.waiting_for("the release"):
        time.sleep(0.12)
        with narrator.waiting_for("Kumo"):
            time.sleep(0.2)
    seen = len(said)
    time.sleep(0.15)
    assert len(said) == seen, "what is over is not told"
    assert said[0].startswith("Waiting for the release (")
    assert any(line.startswith("Waiting for Kumo (") for line in said)


def test_what_tells_of_its_own_progress_is_not_told_twice() -> None:
    said: list[str] = []
    narrator = Narrator(said.append, every_seconds=0.5)
    with narrator.waiting_for("Kumo"):
        for _ in range(10):
            narrator("RUNNING")
            time.sleep(0.07)
    assert set(said) == {"RUNNING"}


def test_a_log_that_cannot_be_written_ends_no_wait() -> None:
    calls = 0

    def broken(line: str) -> None:
        nonlocal calls
        calls += 1
        raise OSError("the database is away")

    with Narrator(broken, every_seconds=0.02).waiting_for("Kumo"):
        time.sleep(0.2)
    assert calls > 1
