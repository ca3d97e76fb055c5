"""What is not ours is never deleted: tables and objects of others under our names."""

from __future__ import annotations

import pytest
from kumo_sandbox.testing.releases import Shop

from kumo_assets.config.names import owner_of
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets_tests.support.memory_shop import memory_shop


def drop(names: list[str]) -> None:
    """No warehouse here."""


@pytest.fixture
def found() -> Shop:
    """Five days, each promoted; the first two may be retired."""
    made = memory_shop()
    for day in range(25, 30):
        made.build(f"2017-11-{day}")
        promote(made.ctx, None, by="sensor")
    return made


def test_tables_that_somebody_made_beside_ours_are_listed_and_left(found: Shop) -> None:
    first, *_, active = found.built
    old, live = (found.ctx.names.dynamodb_table(release) for release in (first, active))
    copies = [
        f"{live}-restored",
        f"{live}-copy-for-ab-test",
        f"{old}-backup",
        f"{old}-a2-old",
        f"{old}-a02",
        f"{old}-a1",
    ]
    for name in copies:
        found.table(name, first, tagged=name.endswith("-backup"))
    untagged = [f"{live}-a2", f"{old}-a3", found.ctx.names.dynamodb_table("20171101-0a0b0c0d")]
    for name in untagged:
        found.table(name, first, tagged=False)
    others = f"{live}-a4"
    found.table(others, first)  # tagged, as of another release
    theirs = {*copies, *untagged, others}
    assert set(plan(found.ctx).foreign) == theirs
    assert plan(found.ctx).leftovers == []
    assert plan(found.ctx).orphans == []
    assert first in retire(found.ctx, drop, by="daily")
    assert theirs <= found.memory.tables.keys()
    assert old not in found.memory.tables
    assert set(plan(found.ctx).foreign) == theirs


def test_an_untagged_table_of_a_going_release_stays(found: Shop) -> None:
    first, *_ = found.built
    table = found.ctx.names.dynamodb_table(first)
    found.memory.tables[table]["tags"] = []
    assert plan(found.ctx).foreign == [table]
    assert first in retire(found.ctx, drop, by="daily")
    assert table in found.memory.tables
    assert plan(found.ctx).foreign == [table]


def test_objects_that_somebody_put_beside_a_releases_own_are_listed_and_left(found: Shop) -> None:
    names, memory = found.ctx.names, found.memory
    home = names.release_prefix(found.built[0])
    theirs = [f"{home}{name}" for name in ("export-copy/part-0.csv.gz", "export.txt", "exported/x", "notes.txt")]
    theirs += [f"{names.releases_prefix}{name}" for name in ("readme.txt", "20171131-0a0b0c0d/export/part-0")]
    for key in (*theirs, f"{names.export_prefix(found.built[0], 2)}part-0.csv.gz"):
        found.ctx.objects.put(key, b"theirs")
    assert plan(found.ctx).foreign == [found.ctx.objects.uri(key) for key in sorted(theirs)]
    retire(found.ctx, drop, by="daily")
    assert set(theirs) <= memory.objects.keys()
    assert not [key for key in memory.objects if key.startswith((home + "export/", home + "export-a2/"))]


@pytest.mark.parametrize(
    ("table", "release"),
    [
        ("local-shop-20171130-0a0b0c0d", "20171130-0a0b0c0d"),
        ("local-shop-20171130-0a0b0c0d-a2", "20171130-0a0b0c0d"),
        ("local-shop-20171130-0a0b0c0d-a12", "20171130-0a0b0c0d"),
        ("local-shop-20171130-0a0b0c0d-a1", None),
        ("local-shop-20171130-0a0b0c0d-a02", None),
        ("local-shop-20171130-0a0b0c0d-restored", None),
        ("local-shop-20171131-0a0b0c0d", None),
        ("local-shop-20171130-0A0B0C0D", None),
        ("my-local-shop-20171130-0a0b0c0d", None),
    ],
)
def test_a_table_is_ours_by_exactly_the_names_we_give(table: str, release: str | None) -> None:
    owner = owner_of(table)
    assert (owner.release_id if owner is not None else None) == release
