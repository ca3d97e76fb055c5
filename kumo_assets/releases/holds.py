"""The holds on one pointer: whose they are, and which of them the document's `hold` shows.

Each hold has its author and ends by its own lifting: nobody's rollback, hold or unhold takes another's away. What a hand
did to the pointer counts as a hold too, of an author of that name. Pure: whether a hand was on it is in `evidence`, placing and
lifting in `operations`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from kumo_serving.pointer import Hold, Pointer

# The author of what a person wrote into the pointer.
HAND = "a hand edit"


def written_holds(pointer: Pointer) -> tuple[Hold, ...]:
    """The holds that a document shows. One that a person typed without an author is a hand's."""
    shown = (*pointer.more_holds, pointer.hold) if pointer.hold is not None else pointer.more_holds
    return tuple(hold if hold.by else dataclasses.replace(hold, by=HAND) for hold in shown)


def with_holds(pointer: Pointer, holds: Iterable[Hold]) -> Pointer:
    """The document with these holds. `hold`, which is all that older versions know, shows the newest that a rollback
    placed (its two releases are never retired), else the newest of all."""
    ordered = list(dict.fromkeys(holds))
    if not ordered:
        return pointer.replace(hold=None, more_holds=())
    rolled_back = [number for number, hold in enumerate(ordered) if hold.to_release]
    shown = ordered.pop(rolled_back[-1] if rolled_back else -1)
    return pointer.replace(hold=shown, more_holds=tuple(ordered))


def of_others(holds: Iterable[Hold], author: str) -> tuple[Hold, ...]:
    """The holds of everybody else."""
    return tuple(hold for hold in holds if hold.by != author)


def told(hold: Hold) -> str:
    """A hold, for a person."""
    way = f", rolled back from {hold.from_release or 'an unreadable pointer'}" if hold.to_release else ""
    who = ", ".join(filter(None, (hold.by, hold.at)))
    return f"{hold.reason} ({who}{way})"


def all_told(holds: Iterable[Hold]) -> str:
    return "; ".join(map(told, holds))
