"""One entry of the ledger: who moved the pointer, when, why. Reading and writing the ledger is in `releases.ledger`."""

from __future__ import annotations

from typing import Annotated, Literal

from kumo_serving.pointer import MAX_GENERATION
from pydantic import AfterValidator, Field

from kumo_assets.documents.base import Document, moment_in

Action = Literal["promote", "rollback", "hold", "unhold", "refuse", "hand_edit", "retire", "force"]


def _states_a_time(text: str) -> str:
    if moment_in(text) is None:
        raise ValueError("no time with its offset")
    return text


class LedgerEntry(Document):
    """One line of history. `at` is a time with its offset, and names the entry.

    `accepts` are the first and the last generation of which a person accepted that the history is not whole. Its action
    is `hand_edit`, which every version knows; the field is left out of every other entry. `stages` is the release that a
    move staged for a person's approval, `unstages` one that it took back. The action of such a move is `retire`: of those
    that every version knows, the one that changes neither what is served nor who holds it.
    """

    added = frozenset({"accepts", "stages", "unstages"})

    at: Annotated[str, AfterValidator(_states_a_time)]
    action: Action
    by: str
    reason: str = ""
    from_release: str = ""
    to_release: str = ""
    generation: int = Field(default=0, ge=0, le=MAX_GENERATION)
    run_id: str = ""
    accepts: tuple[int, int] | None = None
    stages: str = ""
    unstages: str = ""

    @property
    def shown_action(self) -> str:
        """The action for a person: that of a staging is stored as one that every version knows."""
        return "stage" if self.stages else "unstage" if self.unstages else self.action
