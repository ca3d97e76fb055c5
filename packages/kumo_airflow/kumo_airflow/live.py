"""Is a release what services read? Pure, over the moves of `active_pointer` that Dagster's asset page lists, and the day's
runs. The promotion itself is kumo_assets' business; this only foretells that it will not come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kumo_airflow.following import Run
from kumo_airflow.operations import PointerMove

# Moves that put the newest release live. After the others (rollback, hand_edit) promotion is on hold, and may come yet.
FORWARD = ("promote", "force")


def decide_live(
    moves: Sequence[PointerMove], release_id: str, partition: str, runs: Sequence[Run] = ()
) -> tuple[Literal["live", "superseded", "wait"], PointerMove | None]:
    """`live` with the move that published the release, newest first; `superseded` when a later day is active, or a
    release of the same day that was sealed later, which an older one never overtakes; else `wait`.

    `runs`: those of the day, which tell the releases' order. Without the release's own it may wait for nothing, and is
    never given up by mistake.
    """
    for move in moves:
        if move.release_id == release_id:
            return "live", move
    active = next((move for move in moves if move.moved), None)
    if active is None:
        return "wait", None
    same_day = active.partition == partition and active.action in FORWARD
    if active.partition > partition or (same_day and _came_after(active, release_id, runs)):
        return "superseded", active
    return "wait", None


def _came_after(move: PointerMove, release_id: str, runs: Sequence[Run]) -> bool:
    """Was the other release built, and put live, after this one was whole? One put live before is what this one is to
    follow. One built before and put live after was chosen just before this one's seal: the next tick chooses this one."""
    ours, theirs = _whole_at(release_id, runs), _whole_at(move.release_id, runs)
    return ours is not None and move.at > ours and (theirs is None or theirs > ours)


def _whole_at(release_id: str, runs: Sequence[Run]) -> float | None:
    """When the first run that built the release ended well: its seal is some seconds older. None when no run is known, as
    for a release built without this Dagster."""
    ended = [run.ended for run in runs if run.release_id == release_id and run.status == "SUCCESS" and run.ended]
    return min(ended, default=None)
