"""What a lookup returns: an answer, a miss and a fallback are different types, so that no caller mistakes them.

What went wrong is an exception (`errors`), in `get_many` a value in its key's place. How they come about is in `core`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kumo_serving.items import Predictions


class Source(msgspec.Struct, frozen=True):
    """The release that was asked. `via` is "previous" when the active table was gone and an older one answered, or when
    the caller named that release; "staged" when the caller asked for the one that waits for approval."""

    query: str
    release_id: str
    partition: str
    table: str
    generation: int
    promoted_at: str
    via: Literal["active", "previous", "fallback", "staged"] = "active"


# Structs rather than dataclasses: get_many makes a hundred of them, and these are made in C. They hold no reference
# to anything that could refer back, so the garbage collector need not look at them.
class _Outcome(msgspec.Struct, frozen=True, gc=False):
    entity: str
    source: Source
    pointer_age_seconds: float

    @property
    def release_id(self) -> str:
        """The release that was asked ("" when a person pointed at a table of another name)."""
        return self.source.release_id

    @property
    def partition(self) -> str:
        """The day (`YYYY-MM-DD`) the predictions were made from."""
        return self.source.partition


class Answer(_Outcome, frozen=True, gc=False):
    """The entity's predictions. `pointer_age_seconds`: how long ago the pointer was last seen to be current."""

    predictions: Predictions


class Miss(_Outcome, frozen=True, gc=False):
    """The table was asked and holds nothing for this entity."""


class FallbackAnswer(_Outcome, frozen=True, gc=False):
    """No table was at hand: the release's most recommended classes, the same for everybody. `reason` says why."""

    predictions: Predictions
    reason: str


Result = Answer | Miss | FallbackAnswer


class Health(msgspec.Struct, frozen=True):
    """What a health check shows. `ok`: lookups can be answered, though perhaps from an old pointer.

    `state`: `fresh`; `stale` (the pointer's store has not been reached for `stale_after_seconds`); `from_disk` (not
    reached since the start); `no_pointer` (nothing to answer from); `closed`.
    """

    ok: bool
    state: Literal["fresh", "stale", "from_disk", "no_pointer", "closed"]
    query: str
    release_id: str
    partition: str
    table: str
    generation: int
    pointer_age_seconds: float | None
    last_error: str
