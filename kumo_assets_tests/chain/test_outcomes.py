"""A release built, put live and looked at again: the sample of the chain, the asset, its check, its schedule, the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from kumo_assets.cli.main import app
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.chain.conftest import DAY, HOUSEHOLDS, QUIET, Chain


def judge(chain: Chain, day: str = DAY) -> dg.ExecuteInProcessResult:
    job = chain.definitions.resolve_job_def(f"{chain.definition.name}_outcomes")
    return job.execute_in_process(instance=chain.instance, partition_key=day, run_config=QUIET, raise_on_error=False)


def asked(chain: Chain) -> list[str]:
    """The partitions that the schedule asks for now."""
    schedule = chain.definitions.get_repository_def().get_schedule_def(f"{chain.definition.name}_outcomes_schedule")
    with dg.build_schedule_context(
        instance=chain.instance,
        scheduled_execution_time=datetime.now(UTC),
        repository_def=chain.definitions.get_repository_def(),
        resources={
            name: (chain.definitions.resources or {})[name] for name in ("kumo_assets_releases", "kumo_assets_s3")
        },
    ) as context:
        found = schedule.evaluate_tick(context)
    return [str(request.partition_key) for request in found.run_requests or []]


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    app(args=[*arguments], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_what_was_served_is_compared_with_what_happened(
    custom: Callable[..., Chain], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["outcomes"] |= {"horizon_days": 7, "ages": [1, 7]}

    chain = custom(change=change)
    result = chain.run()
    assert result.success, chain.why(result)
    release = chain.release(result)
    assert asked(chain) == [], "it is not live"
    assert chain.promote().success
    served = chain.ctx().names.served_table(release)
    assert chain.sql(f'SELECT COUNT(DISTINCT ENTITY) FROM "KUMO"."PUBLIC"."{served}"') == [(HOUSEHOLDS,)]
    assert asked(chain) == [DAY]

    judged = judge(chain)
    assert judged.success
    [event] = judged.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["release"] == release
    assert metadata["entities after 1 d"] == HOUSEHOLDS
    assert isinstance(metadata["mean_hits after 1 d"], float)
    assert "data:image/svg+xml;base64," in str(metadata["plot"])
    assert "mean_hits after 7 d" not in metadata, "the logs of those days have not arrived"
    [check] = judged.get_asset_check_evaluations()
    assert check.check_name == "realised_quality"
    assert check.passed
    assert asked(chain) == [DAY], "the second age is asked for again"
    found = report(chain.ctx())
    assert found.outcome is not None
    assert not [problem for problem in found.problems if "outcomes/" in problem], "our own documents are no strays"

    [stored] = [chain.ctx().store.outcome(release, 1)]
    assert stored is not None
    [(hits,)] = chain.sql(
        f'SELECT COUNT(*) FROM "KUMO"."PUBLIC"."{served}" S JOIN (SELECT DISTINCT HOUSEHOLD_ID, PRODUCT_ID FROM '
        '"KUMO"."RAW"."TRANSACTIONS" WHERE TRANSACTION_TIMESTAMP >= \'2017-11-29\' '
        "AND TRANSACTION_TIMESTAMP < '2017-11-30') T ON S.ENTITY = T.HOUSEHOLD_ID AND S.CLASS = T.PRODUCT_ID"
    )
    assert stored.figures["mean_hits"].value == pytest.approx(hits / HOUSEHOLDS)
    assert stored.rivals["fallback"].differences["mean_hits"].entities == HOUSEHOLDS

    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(chain.definition.folder.parent))
    [document] = command(capsys, "outcomes", chain.definition.name, "--json")
    assert document["figures"]["mean_hits"]["value"] == stored.figures["mean_hits"].value
    assert command(capsys, "status", chain.definition.name, "--json")["outcome"]["release_id"] == release
    assert command(capsys, "retire", chain.definition.name, "--dry-run", "--json")["samples"] == {release: served}
