"""Tables that a crash of Kumo's writer left in Snowflake are listed as orphans, and nothing else is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.errors import WarehouseError
from kumo_assets.releases.operations.retention import IN_FLIGHT, plan
from kumo_assets.releases.operations.staging import staging_orphans, with_staging
from kumo_assets.resources.drop import tables_beginning
from kumo_assets.resources.snowflake import connect_outside_dagster
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

HEX = "_STAGING_0123456789AB"


@pytest.fixture
def store() -> MemoryShop:
    return memory_shop()


def test_the_staging_tables_of_releases_that_are_over_are_orphans(store: MemoryShop) -> None:
    names = store.ctx.names
    sealed, building = store.build("2017-11-28"), store.build("2017-11-29", seal=False)
    gone = "20171101-0123abcd"
    tables = {release: names.warehouse_table(release, "predictions", 2) for release in (sealed, building, gone)}
    left = [table + HEX for table in tables.values()]
    begin = f"KUMO_{names.environment}_{names.query}_".upper()
    others = [
        tables[gone],
        tables[gone] + "_STAGING_0123",
        names.warehouse_table(gone, "postprocessed") + HEX,
        begin + "MORE_20171101_0123ABCD_PREDICTIONS" + HEX,  # of a query whose name is longer
        "X" + left[0],
    ]
    asked: list[str] = []

    def there(start: str) -> list[str]:
        asked.append(start)
        return [*left, *others]

    assert staging_orphans(store.ctx, there) == sorted([tables[sealed] + HEX, tables[gone] + HEX])
    assert asked == [begin]
    later = store.ctx.now() + IN_FLIGHT + timedelta(minutes=1)
    assert staging_orphans(store.ctx, there, later) == sorted(left)
    planned = with_staging(plan(store.ctx), store.ctx, there, pytest.fail)
    assert set(planned.orphans) >= {tables[gone] + HEX}
    assert not any(HEX in name for name in (*planned.going, *planned.leftovers)), "nothing deletes it"


def test_a_snowflake_that_does_not_answer_stops_no_retirement(store: MemoryShop) -> None:
    def away(_: str) -> list[str]:
        raise WarehouseError("list the tables", found="no answer")

    said: list[str] = []
    planned = plan(store.ctx)
    assert with_staging(planned, store.ctx, away, said.append) == planned
    assert "not looked for in Snowflake" in said[0]


def test_tables_are_found_by_how_their_names_begin(sandbox: SandboxHandle) -> None:
    with connect_outside_dagster() as warehouse:
        for name in ("KUMO_LEFT_A1", "KUMO_LEFTXA1", "kumo_left_a2"):
            warehouse.rows(f'CREATE OR REPLACE TABLE "{warehouse.schema}"."{name}" (A NUMBER)')
    assert tables_beginning("KUMO_LEFT_") == ["KUMO_LEFT_A1"]
