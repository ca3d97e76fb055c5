"""The promotion sensor looks at state, not at news of it: what was late, failed once, or was held goes live in the end.

Each request is carried out as the daemon would: exactly the assets it names, with its tags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from kumo_assets.automation import promotion_sensor
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets_tests.chain.conftest import DAY, NEXT_DAY, QUERY, QUIET, Chain

CHAIN = ("predictions", "postprocessed", "s3_export", "dynamodb_table")


def tick(chain: Chain) -> Any:
    """One tick: its run requests and its words."""
    repository = chain.definitions.get_repository_def()
    sensor = repository.get_sensor_def("promotion_sensor")
    resources = chain.definitions.resources or {}
    with dg.build_sensor_context(
        instance=chain.instance,
        repository_def=repository,
        resources={name: resources[name] for name in ("kumo_assets_releases", "kumo_assets_s3")},
    ) as context:
        return sensor.evaluate_tick(context)


def carry_out(chain: Chain, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    assert request.asset_selection == [dg.AssetKey([chain.definition.name, "active_pointer"])]
    job = chain.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(request.asset_selection)
    )
    return job.execute_in_process(
        instance=chain.instance, tags=dict(request.tags), run_config=QUIET, raise_on_error=False
    )


def test_a_verdict_that_arrives_after_the_materialisation_lets_the_release_go(chain: Chain) -> None:
    built = chain.run(assets=CHAIN, checks=False)
    waiting = tick(chain)
    assert waiting.run_requests == []
    assert "has no verdict" in waiting.skip_message
    assert chain.run_checks().success
    [request] = tick(chain).run_requests
    assert carry_out(chain, request).success
    assert chain.active() == chain.release(built)
    assert tick(chain).run_requests == []


def test_a_promotion_that_failed_once_is_asked_again_under_another_key(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = chain.run()
    [request] = tick(chain).run_requests
    [same] = tick(chain).run_requests
    assert same.run_key == request.run_key
    assert request.run_key == f"{QUERY}:{chain.release(built)}:0:0"
    chain.handle.aws_faults({"operation": "PutObject", "match": "active.json", "status": 500, "times": -1})
    assert not carry_out(chain, request).success
    chain.handle.reset_faults()
    assert chain.active() is None
    pausing = tick(chain)
    assert pausing.run_requests == []
    assert "failed 1 times; retried in" in pausing.skip_message
    monkeypatch.setattr(promotion_sensor, "RETRY_SECONDS", 0.0)
    [again] = tick(chain).run_requests
    assert again.run_key == f"{QUERY}:{chain.release(built)}:0:1"
    assert carry_out(chain, again).success
    assert chain.active() == chain.release(built)


def test_a_hold_lifted_later_lets_the_waiting_release_go(chain: Chain) -> None:
    first = chain.run(DAY)
    assert carry_out(chain, tick(chain).run_requests[0]).success
    hold(chain.ctx(), by="ann", reason="a campaign runs")
    second = chain.run(NEXT_DAY)
    held = tick(chain)
    assert held.run_requests == []
    assert "a campaign runs" in held.skip_message
    assert chain.active() == chain.release(first)
    ctx = chain.ctx()
    unhold(ctx, preview_unhold(ctx), by="ann")
    [request] = tick(chain).run_requests
    assert carry_out(chain, request).success
    assert chain.active() == chain.release(second, NEXT_DAY)


def test_a_broken_file_of_one_query_stops_no_other_querys_promotion(chain: Chain, custom: Callable[..., Chain]) -> None:
    other = custom("broken_later")
    both = Chain(
        chain.handle,
        chain.instance,
        chain.definition,
        dg.Definitions.merge(chain.definitions, dg.Definitions(assets=_pointer_of(other))),
        chain.environment,
    )
    built = chain.run()
    (other.definition.folder / "defs.yaml").write_text("type: [")
    found = tick(both)
    [request] = found.run_requests
    assert carry_out(both, request).success
    assert chain.active() == chain.release(built)
    told = tick(both).skip_message
    assert "broken_later" in told
    assert "not YAML" in told


def _pointer_of(chain: Chain) -> list[Any]:
    key = dg.AssetKey([chain.definition.name, "active_pointer"])
    return [
        item for item in chain.definitions.assets or [] if isinstance(item, dg.AssetsDefinition) and key in item.keys
    ]
