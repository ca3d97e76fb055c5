"""`promotion: manual` in a real Dagster: the sensor stages and sends a notification, and only a person promotes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.support.chat import Chat
from kumo_assets_tests.support.in_dagster import QUIET, Dagster, define


@pytest.fixture
def manual(dagster: Dagster, tmp_path: Path) -> Dagster:
    return replace(dagster, definitions=define(tmp_path / "manual", dagster.shop.query, promotion="manual"))


def approvals(chat: Chat) -> list[str]:
    return [message["text"] for message in chat.posted if message["kind"] == "approval"]


def materialise(dagster: Dagster, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("by_hand", selection=dg.AssetSelection.assets(dagster.pointer))
    definitions = dg.Definitions.merge(dagster.definitions, dg.Definitions(jobs=[job]))
    return definitions.resolve_job_def("by_hand").execute_in_process(
        instance=dagster.instance, run_config=QUIET, raise_on_error=False, tags=tags
    )


def test_the_sensor_stages_and_says_so_once_and_a_person_promotes(manual: Dagster, chat: Chat) -> None:
    found, ctx = manual.shop, manual.shop.ctx
    first = found.build("2017-11-29")
    assert not manual.tick().run_requests
    assert ctx.pointers.read() is None
    manual.tick()
    assert len(approvals(chat)) == 1
    assert f"kumo-assets promote {found.query} {first}" in approvals(chat)[0]
    promote(ctx, first, by="ann")
    second = found.build("2017-11-30")
    manual.cursor, before = manual.tick().cursor, len(approvals(chat))
    for _ in range(2):
        assert not manual.tick().run_requests
    current = ctx.pointers.read()
    assert current is not None
    assert current.pointer.staged is not None
    assert (current.pointer.staged.release_id, current.pointer.served_release_id) == (second, first)
    assert len(approvals(chat)) == before == 2, "once while it lasts"
    events = manual.instance.fetch_observations(manual.pointer, limit=10).records
    shown = [record.asset_observation for record in events]
    assert [one.metadata["staged"].value for one in shown if one and "staged" in one.metadata] == [second]
    for tags in ({"dagster/sensor_name": "promotion_sensor"}, {"dagster/schedule_name": "nightly"}):
        done = materialise(manual, tags)
        assert not done.success
        still = ctx.pointers.read()
        assert still is not None
        assert still.pointer.served_release_id == first
    assert materialise(manual, {"user": "ann"}).success
    live = ctx.pointers.read()
    assert live is not None
    assert (live.pointer.served_release_id, live.pointer.staged) == (second, None)
