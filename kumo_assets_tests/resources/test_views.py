"""A view is replaced when it says something else, and at no other time: what others hung on it would be lost."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.errors import WarehouseError
from kumo_assets.resources.snowflake import Warehouse, connect_outside_dagster
from kumo_assets.resources.views import ensure_view

SELECT = "SELECT\n    1 AS A,\n    'two  words' AS B\nFROM (SELECT 1)"


@pytest.fixture
def warehouse(sandbox: SandboxHandle) -> Iterator[Warehouse]:
    with connect_outside_dagster() as found:
        yield found


def new_name() -> str:
    return f"V{uuid.uuid4().hex[:10].upper()}"


def ensure(warehouse: Warehouse, name: str, select: str = SELECT) -> tuple[bool, int]:
    """(whether it was made or replaced, statements sent)."""
    before = warehouse.statements
    made = ensure_view(warehouse, warehouse.database, warehouse.schema, name, select, doing="make the view")
    return made, warehouse.statements - before


def test_a_view_is_made_once_and_left_alone_while_its_definition_is_the_same(warehouse: Warehouse) -> None:
    name = new_name()
    assert ensure(warehouse, name) == (True, 2)
    # One SHOW, and no CREATE: 100 queries may ask in the same minute.
    assert ensure(warehouse, name) == (False, 1)
    assert ensure(warehouse, name, SELECT.replace("\n", "\r\n") + " ;\n") == (False, 1)


@pytest.mark.parametrize(
    "by_hand",
    [
        "CREATE OR REPLACE VIEW {view} COMMENT = 'kept' AS\n{select}\nWHERE 1 = 0",
        "CREATE OR REPLACE VIEW {view} AS\n{other}",
        "CREATE OR REPLACE VIEW {view} AS SELECT 9 AS A",
    ],
)
def test_a_view_that_says_something_else_is_replaced(warehouse: Warehouse, by_hand: str) -> None:
    name = new_name()
    ensure(warehouse, name)
    other = SELECT.replace("two  words", "two words")
    warehouse.rows(by_hand.format(view=name, select=SELECT, other=other))
    assert ensure(warehouse, name)[0]
    assert warehouse.rows(f"SELECT A, B FROM {name}") == [{"A": 1, "B": "two  words"}]
    assert ensure(warehouse, name) == (False, 1)
    assert ensure(warehouse, name, other) == (True, 2)


def test_a_view_of_a_name_that_like_takes_for_it_too_is_another(warehouse: Warehouse) -> None:
    name = new_name()
    like = f"{name[:-1]}_"
    ensure(warehouse, name)
    assert ensure(warehouse, like) == (True, 2)
    assert ensure(warehouse, name.lower().upper()) == (False, 1)


def test_of_many_at_once_the_view_is_whole_and_nobody_fails(warehouse: Warehouse) -> None:
    name, failed, made = new_name(), [], []

    def one() -> None:
        try:
            with connect_outside_dagster() as own:
                made.append(ensure(own, name)[0])
        except WarehouseError as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert any(made)
    assert ensure(warehouse, name) == (False, 1)
