"""Is a release what services read? Pure, over the moves of `active_pointer` that Dagster's asset page lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kumo_airflow.operations import PointerMove


def decide_live(
    moves: Sequence[PointerMove], release_id: str, partition: str
) -> tuple[Literal["live", "superseded", "wait"], PointerMove | None]:
    """`live` with the move that published the release, newest first; `superseded` when a later day is active, which an
    older one never overtakes; else `wait`."""
    for move in moves:
        if move.release_id == release_id:
            return "live", move
    newest = moves[0] if moves else None
    if newest is not None and newest.partition > partition:
        return "superseded", newest
    return "wait", None
