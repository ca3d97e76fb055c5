"""Gates of a release that was opened under another definition than today's: judged again by new limits, never lifted.

In memory; no server, and no raw log is read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from kumo_sandbox.testing.releases import definition, new_query

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import GateRecord, Opened, Verdict, utc_now
from kumo_assets.errors import GateBlocked
from kumo_assets.gates.checks import _still_missing, _stop_where_no_check_does
from kumo_assets.gates.raw.checks import run_raw_gates
from kumo_assets.gates.settings import settings_of
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets_tests.support.memory_aws import Memory

DAY = (datetime(2017, 11, 29, tzinfo=UTC), datetime(2017, 11, 30, tzinfo=UTC))
QUERY = new_query()
AS_OPENED = definition(QUERY)


@pytest.fixture
def ctx() -> ReleaseContext:
    memory = Memory()
    environment = Environment(name="local", bucket="bucket")
    return ReleaseContext.from_environment(AS_OPENED, environment, s3=memory.s3(), dynamodb=memory.dynamodb())


@pytest.fixture
def opened(ctx: ReleaseContext) -> Opened:
    return ctx.store.open(
        Opened(
            query=QUERY,
            environment="local",
            partition="2017-11-29",
            release_id="20171129-1a2b3c4d",
            run_id="run",
            root_run_id="run",
            opened_at=utc_now(),
            code_version="1",
            by="ann",
            gates={name: GateRecord.model_validate(gate) for name, gate in AS_OPENED.spec.asked_gates.items()},
        )
    )


def verdict(opened: Opened, gate: str, **more: Any) -> Verdict:
    record = opened.gates[gate]
    fields: dict[str, Any] = {
        "query": QUERY,
        "release_id": opened.release_id,
        "partition": opened.partition,
        "gate": gate,
        "asset": record.asset,
        "mode": record.mode,
        "passed": True,
        "severity": "ok",
        "message": "as it was",
        "decided_at": utc_now(),
        "run_id": "earlier",
        "settings": settings_of(AS_OPENED, gate),
    }
    return Verdict(**fields | more)


BLOCKS: dict[str, Any] = {"passed": False, "severity": "error"}


def judged(ctx: ReleaseContext, opened: Opened, query: QueryDefinition, *, launched: bool = True) -> list[str]:
    """The gates on raw logs, judged over no log at all; the names of those that have a check."""
    nothing = cast(Warehouse, None)  # no log is read, so no session is used
    results = run_raw_gates(ctx, nothing, query, {}, opened, DAY, "now", launched=launched)
    return [result.check_name or "" for result in results]


def by(ctx: ReleaseContext, opened: Opened, gate: str) -> str:
    """The run that decided the stored verdict."""
    found = ctx.store.verdict(opened.release_id, gate)
    assert found is not None
    return found.run_id


def test_once_launched_only_gates_whose_settings_changed_are_judged_again(ctx: ReleaseContext, opened: Opened) -> None:
    for gate in ("raw_freshness", "raw_volume"):
        ctx.store.write_verdict(verdict(opened, gate))
    assert judged(ctx, opened, AS_OPENED) == ["raw_freshness", "raw_volume"]
    assert (by(ctx, opened, "raw_freshness"), by(ctx, opened, "raw_volume")) == ("earlier", "earlier")
    edited = definition(QUERY, gates={"raw_volume": {"warn": 0.1, "block": 0.2}})
    assert sorted(judged(ctx, opened, edited)) == ["raw_freshness", "raw_volume"]
    assert (by(ctx, opened, "raw_freshness"), by(ctx, opened, "raw_volume")) == ("earlier", "now")
    found = ctx.store.verdict(opened.release_id, "raw_volume")
    assert found is not None
    assert [item.settings for item in found.earlier] == [settings_of(AS_OPENED, "raw_volume")]


def test_a_gate_on_raw_logs_that_is_off_or_warns_now_blocks_as_the_release_was_opened(
    ctx: ReleaseContext, opened: Opened
) -> None:
    ctx.store.write_verdict(verdict(opened, "raw_freshness"))
    ctx.store.write_verdict(verdict(opened, "raw_volume", **BLOCKS))
    for mode in ("off", "warn"):
        edited = definition(QUERY, gates={"raw_volume": {"mode": mode}})
        for launched in (True, False):
            if mode == "warn" and not launched:
                continue  # judged anew, and passes: no log is there to be short
            with pytest.raises(GateBlocked, match="raw_volume"):
                judged(ctx, opened, edited, launched=launched)
    off = definition(QUERY, gates={"raw_volume": {"mode": "off"}})
    results = run_raw_gates(ctx, cast(Warehouse, None), off, {}, opened, DAY, "now", launched=True)
    assert next(results).check_name == "raw_freshness", "Dagster knows no check of a gate that is off"


def test_a_gate_that_the_definition_dropped_is_judged_where_it_has_no_verdict(
    ctx: ReleaseContext, opened: Opened
) -> None:
    asked = {name: gate["mode"] for name, gate in AS_OPENED.spec.asked_gates.items()}
    assert _still_missing(ctx, opened, "postprocessed", asked) == []
    del asked["list_shape"], asked["volume"], asked["raw_volume"]
    assert _still_missing(ctx, opened, "postprocessed", asked) == ["list_shape"]
    assert _still_missing(ctx, opened, "predictions", asked) == ["volume"]
    ctx.store.write_verdict(verdict(opened, "list_shape", **BLOCKS))
    assert _still_missing(ctx, opened, "postprocessed", asked) == []


def test_a_run_stops_at_a_verdict_whose_check_would_let_it_go_on(opened: Opened) -> None:
    blocked = verdict(opened, "list_shape", **BLOCKS)
    _stop_where_no_check_does(AS_OPENED, [blocked], {"list_shape": "block"})
    for modes in ({"list_shape": "warn"}, {}):
        with pytest.raises(GateBlocked, match=r"list_shape, in mode block .*as it was"):
            _stop_where_no_check_does(AS_OPENED, [blocked], modes)
    _stop_where_no_check_does(AS_OPENED, [verdict(opened, "list_shape")], {})


def test_a_column_of_names_is_for_people_and_no_verdict_was_judged_by_it() -> None:
    """Nor does a verdict of a version that did not know the field count as judged by other settings."""
    catalogue = {"schema": "RAW", "table": "PRODUCTS", "column": "PRODUCT_ID"}
    found = [
        settings_of(definition(QUERY, gates={"unknown_items": {"catalogue": named}}), "unknown_items")
        for named in (catalogue, {**catalogue, "name": "NAME"})
    ]
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[0]["catalogue"] == {"database": None, **catalogue}
