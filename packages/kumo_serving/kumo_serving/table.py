"""Lookups in one given table, with no pointer: trial lookups before a promotion, and the command line.

The same core, wire and transport as `Reader`, so that what a trial sees is what a service would see.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from kumo_serving.answers import Result
from kumo_serving.aws import Account
from kumo_serving.core import deadline, get, get_many
from kumo_serving.errors import ReadError
from kumo_serving.outcomes import Outcome
from kumo_serving.pointer import KeyAttribute, Pointer, release_of_table
from kumo_serving.reader import drive
from kumo_serving.sockets import Pool
from kumo_serving.state import State, build_state

BUDGET_SECONDS = 2.0


class TableReader:
    """Reads items of `table`. Raises Unavailable at once when there are no credentials or no region."""

    def __init__(
        self,
        table: str,
        *,
        key: KeyAttribute | None = None,
        item_format: str = "ranking/1",
        region: str | None = None,
        endpoint_url: str | None = None,
        budget_seconds: float = BUDGET_SECONDS,
        session: Any = None,
    ) -> None:
        release = release_of_table(table) or ""
        pointer = Pointer(query="", table=table, release_id=release, key=key or KeyAttribute(), item_format=item_format)
        account = Account(session, endpoint_url)
        account.refresh()
        self._state = build_state(pointer, account, account.endpoint(region or ""))
        self._budget = budget_seconds
        self._pool = Pool(4)

    def get(self, entity: str | int) -> Result:
        """The entity's Answer or Miss. Raises a ReadError; TableGone when the table is not there."""
        outcome = drive(get(self, entity, deadline(time.monotonic(), self._budget)), self._pool, None)
        if isinstance(outcome, ReadError):
            raise outcome
        return outcome

    def get_many(self, entities: list[str | int]) -> dict[str | int, Outcome]:
        """Each entity's outcome; a ReadError stands as a value in its own entity's place."""
        return drive(get_many(self, entities, deadline(time.monotonic(), self._budget)), self._pool, None)

    def close(self) -> None:
        """Close connections."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # core.View: nothing ever changes here.

    def state(self) -> State:
        return self._state

    def age(self) -> float:
        return 0.0

    def is_gone(self, table: str) -> bool:
        return False

    def mark_gone(self, table: str) -> None:
        """Each lookup asks again: there is no other table to go to."""

    def retried(self, reason: str) -> None:
        """No metrics here."""


def read_item(
    table: str,
    entity: str | int,
    key_attribute: str | KeyAttribute = "e",
    item_format: str = "ranking/1",
    region: str | None = None,
    budget_seconds: float = BUDGET_SECONDS,
) -> Result:
    """One entity's Answer or Miss from `table`. Raises a ReadError. For more than one, use `TableReader`."""
    key = KeyAttribute(key_attribute) if isinstance(key_attribute, str) else key_attribute
    with TableReader(table, key=key, item_format=item_format, region=region, budget_seconds=budget_seconds) as reader:
        return reader.get(entity)
