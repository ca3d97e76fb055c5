"""One table made once, though two runs of a release may set out to make it at the same time. What is selected into it, and
whether it is whole, is the caller's business."""

from __future__ import annotations

import time

from kumo_assets.errors import Refused, WarehouseError
from kumo_assets.resources.snowflake import Warehouse, names_a_conflict
from kumo_assets.resources.sql import table

# How often a table that another run is creating under the same name is looked for, a second apart.
LOOKS = 15


def is_there(warehouse: Warehouse, name: str) -> bool:
    """Whether the session's schema has a table of this name."""
    return bool(warehouse.columns(warehouse.database, warehouse.schema, name))


def create_once(warehouse: Warehouse, name: str, select: str, *, doing: str, other: str = "") -> bool:
    """Create the table in the session's schema, or find that another run has created it meanwhile; True for that.

    Of two runs that create one table, Snowflake lets the first commit and tells the other that it exists. `other` says who
    has begun to make it, when that is not the caller: Refused names it when its table does not come. Raises WarehouseError
    for what is wrong with the statement itself.
    """
    # Transient: what can be made again needs no fail-safe, whose seven days of storage are paid for (Snowflake, "Working
    # with temporary and transient tables").
    statement = f"CREATE TRANSIENT TABLE {table(warehouse.database, warehouse.schema, name)} AS\n{select}"
    try:
        warehouse.rows(statement, doing=doing)
    except WarehouseError as error:
        if is_there(warehouse, name):
            return True
        if not names_a_conflict(error):
            raise
        for _ in range(LOOKS):
            time.sleep(1)
            if is_there(warehouse, name):
                return True
        if not other:
            raise
        raise Refused(
            "create the table",
            to=name,
            found=f"{other} is building it ({error.found})",
            next="wait for that run to end; then run this again: what it made is adopted",
        ) from error
    return False
