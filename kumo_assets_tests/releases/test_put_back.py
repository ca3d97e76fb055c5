"""A hand that puts an old document back while a move is being decided: its ETag is the one that was read, so the
compare-and-set goes over the hand. The bucket's versions show it, and so does the ledger; the hand's document and its hold
are put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kumo_sandbox.testing.releases import BUCKET, client, put_raw, shop

from kumo_assets.config.environment import Environment
from kumo_assets.errors import LostRace, Refused
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.moves import faults
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.support.memory_shop import MemoryShop


@pytest.fixture
def live(memory: MemoryShop) -> MemoryShop:
    """Two days promoted in a bucket that keeps versions, and a third that waits."""
    memory.memory.versioned = True
    for day in ("28", "29"):
        memory.build(f"2017-11-{day}")
        promote(memory.ctx, None, by="sensor")
    memory.build("2017-11-30")
    return memory


def while_deciding(found: MemoryShop, act: Callable[[ReleaseContext], Any]) -> None:
    """Have `act` done by another process, and what there was put back by hand, right before the pointer is written."""
    raw = found.ctx.pointers.peek()
    assert raw is not None

    def before(operation: str) -> None:
        if operation.endswith("/active.json"):
            found.memory.before = lambda operation: None
            act(found.another_context())
            put_raw(found.ctx, raw.data)

    found.memory.before = before


MOVES: dict[str, Callable[[ReleaseContext], Any]] = {
    "promote": lambda ctx: promote(ctx, None, by="sensor"),
    "hold": lambda ctx: hold(ctx, by="ann", reason="looking"),
    "rollback": lambda ctx: rollback(ctx, by="ann", reason="odd"),
}


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "unrecorded"])
@pytest.mark.parametrize("which", MOVES)
def test_no_move_goes_over_a_hand_that_put_an_old_document_back_over_another(
    live: MemoryShop, which: str, recorded: bool
) -> None:
    def other(ctx: ReleaseContext) -> None:
        if not recorded:
            live.refuse("/ledger/")
        hold(ctx, by="bob", reason="wait")
        live.refuse("")

    while_deciding(live, other)
    with pytest.raises(LostRace, match="an old pointer was put back by hand while"):
        MOVES[which](live.ctx)
    assert live.active() == live.built[1]
    (stopped,) = report(live.ctx).holds
    assert stopped["by"] == "a hand edit"
    with pytest.raises(Refused, match="on hold"):
        promote(live.ctx, None, by="sensor")
    found = live.ctx.pointers.read()
    assert found is not None
    assert found.pointer.generation == 4
    assert [entry.generation for entry in live.ctx.ledger.moves()] == [1, 2, 3, 4]
    unhold(live.ctx, preview_unhold(live.ctx), by="ann")
    assert promote(live.ctx, None, by="sensor").pointer.release_id == live.built[2]
    assert faults(live.ctx, live.ctx.pointers.read()).sentences(live.query) == []


def test_a_document_that_was_deleted_and_put_back_is_a_hands_too(live: MemoryShop) -> None:
    while_deciding(live, lambda ctx: ctx.objects.delete_many([ctx.names.pointer_key]))
    with pytest.raises(LostRace, match="put back by hand"):
        promote(live.ctx, None, by="sensor")
    assert live.active() == live.built[1]


def test_in_a_bucket_without_versions_the_ledger_shows_it(live: MemoryShop) -> None:
    live.memory.versioned = False
    while_deciding(live, lambda ctx: hold(ctx, by="bob", reason="wait"))
    with pytest.raises(LostRace, match="put back by hand"):
        promote(live.ctx, None, by="sensor")
    assert [one["by"] for one in report(live.ctx).holds] == ["a hand edit"]


def test_on_aws_with_versions_a_promotion_gives_way_to_the_hand(aws: str) -> None:
    bucket = f"{BUCKET}-versioned"
    client("s3").create_bucket(Bucket=bucket)
    client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = shop(environment=Environment(name="local", bucket=bucket))
    first = made.build("2017-11-28")
    promote(made.ctx, None, by="sensor")
    made.build("2017-11-29")
    raw = made.ctx.pointers.peek()
    assert raw is not None
    assert " " in raw.version
    acted: list[str] = []

    def before(model: Any, params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith("/active.json") and not acted:
            acted.append("a hand")
            put_raw(made.ctx, b"{}")
            put_raw(made.ctx, raw.data)

    made.ctx.objects.client.meta.events.register("before-call.s3.PutObject", before)
    with pytest.raises(LostRace, match="put back by hand"):
        promote(made.ctx, None, by="sensor")
    assert made.active() == first
    assert [one["by"] for one in report(made.ctx).holds] == ["a hand edit"]


def test_moves_that_nobody_crossed_are_as_they_were(live: MemoryShop) -> None:
    hold(live.ctx, by="ann", reason="looking")
    unhold(live.ctx, preview_unhold(live.ctx), by="ann")
    assert promote(live.ctx, None, by="sensor").moved
    assert rollback(live.ctx, by="ann", reason="odd").pointer.generation == 6
    assert report(live.ctx).problems == []
