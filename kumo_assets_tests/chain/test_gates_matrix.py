"""The ways round a gate, each tried with real runs: every one ends in "refused", with the reason, and the pointer where
it was (rule 3)."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kumo_assets.errors import ConfigError, GateBlocked
from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.chain.conftest import DAY, HOUSEHOLDS, NEXT_DAY, QUERY, Chain, failure, steps
from kumo_assets_tests.chain.worker import worker
from kumo_assets_tests.support.chat import Chat

WEEK_BEFORE = "2017-11-21"
WARNING = {"kind": "job_warnings", "with": {"warnings": [{"title": "Distribution shift", "message": "column X"}]}}
BAD_GATE = 'def check(release):\n    raise RuntimeError("no such segment, key planted-secret-value")\n'


def bad_day(chain: Chain, day: str = DAY) -> dg.ExecuteInProcessResult:
    """A day whose predictions Kumo itself warns of, for this environment's jobs alone."""
    tags = {"kumo_assets.partition": day, "kumo_assets.environment": chain.environment}
    chain.handle.kumo_faults({**WARNING, "query": QUERY, "tags": tags, "times": 1})
    result = chain.run(day)
    assert not result.success
    return result


def own_gate(tmp_path: Path, name: str, text: str, query: str = "custom_query") -> None:
    folder = tmp_path / "defs" / query / "gates"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_a_gate_that_raises_blocks_and_says_so_and_the_others_are_judged_all_the_same(
    custom: Callable[..., Chain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "planted-secret-value")
    own_gate(tmp_path, "segments.py", BAD_GATE)
    chain = custom()
    result = chain.run()
    assert not result.success
    assert steps(result) == {"predictions", "postprocessed"}
    verdicts = chain.verdicts(chain.release(result))
    assert verdicts["segments"].blocks
    assert "RuntimeError: no such segment" in verdicts["segments"].message
    assert "planted-secret-value" not in verdicts["segments"].message
    assert verdicts["class_share"].passed
    rest = chain.run(assets=("s3_export", "dynamodb_table"), root=result.run_id)
    assert rest.success
    assert "gate segments" in failure(chain.promote(chain.release(result)))
    assert chain.active() is None


def test_a_check_that_cannot_store_its_verdict_withholds_the_rest_and_leaves_none(chain: Chain) -> None:
    chain.handle.aws_faults({"operation": "PutObject", "match": "verdicts/keys.json", "status": 403, "times": -1})
    result = chain.run()
    chain.handle.reset_faults()
    assert not result.success
    assert steps(result) == {"predictions"}
    assert "keys" not in chain.verdicts(chain.release(result))
    assert chain.run(assets=("postprocessed", "s3_export", "dynamodb_table"), root=result.run_id).success
    assert "gate keys has no verdict" in failure(chain.promote())
    assert chain.active() is None


def test_a_verdict_that_is_missing_or_of_another_release_is_no_verdict(chain: Chain) -> None:
    first, second = chain.run(), chain.run()
    store = chain.ctx().store
    bucket, s3 = store.names.bucket, store.objects.client
    keys = [store.names.release_prefix(chain.release(item)) + "verdicts/volume.json" for item in (first, second)]
    other, own = (s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    s3.delete_object(Bucket=bucket, Key=keys[1])
    assert "gate volume has no verdict" in failure(chain.promote(chain.release(second)))
    s3.put_object(Bucket=bucket, Key=keys[1], Body=other)
    assert json.loads(other)["passed"]
    assert "gate volume has no verdict" in failure(chain.promote(chain.release(second)))
    assert chain.active() is None
    s3.put_object(Bucket=bucket, Key=keys[1], Body=own)
    assert chain.promote(chain.release(second)).success


def test_every_asset_materialised_by_hand_in_turn_does_not_get_round_a_failed_gate(chain: Chain) -> None:
    bad = bad_day(chain)
    for asset in ("postprocessed", "s3_export", "dynamodb_table"):
        assert chain.run(assets=(asset,), checks=False).success
    for release in (chain.release(bad), chain.release(chain.runs[-1])):
        assert not chain.promote(release).success
    last = chain.ctx().store.opened(chain.release(chain.runs[-1]))
    assert last is not None
    assert last.adopted["predictions"] == chain.release(bad)
    verdicts = chain.ctx().store.required_verdicts(last)
    assert verdicts["kumo_warnings"] is not None
    assert verdicts["kumo_warnings"].blocks
    assert verdicts["class_share"] is None
    assert chain.active() is None


def test_a_launch_that_asks_for_no_check_at_all_is_refused_before_anything_runs(chain: Chain) -> None:
    """`assetCheckSelection: []`, as dagster-airlift's operators send it: some gates are part of their asset's step."""
    selection = dg.AssetSelection.assets([QUERY, "predictions"]) - dg.AssetSelection.all_asset_checks()
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        chain._with_job(dg.define_asset_job("bare", selection=selection)).resolve_job_def("bare")


def test_a_backfill_over_good_and_failed_days_promotes_the_newest_good_one_and_no_other(chain: Chain) -> None:
    """One run a partition, as Dagster's backfill daemon launches them (no backfill policy on gated assets)."""
    third = "2017-11-30"
    newest = chain.run(third)
    assert newest.success
    assert chain.promote().success
    bad = bad_day(chain, NEXT_DAY)
    oldest = chain.run(DAY)
    assert oldest.success
    chain.promote()
    assert chain.active() == chain.release(newest, third)
    for result, day in ((bad, NEXT_DAY), (oldest, DAY)):
        assert not chain.promote(chain.release(result, day)).success
    assert chain.active() == chain.release(newest, third)


def test_reexecuting_a_blocked_run_from_its_failure_meets_the_same_gate(chain: Chain) -> None:
    first = bad_day(chain)
    job = chain.definitions.resolve_job_def(f"{chain.definition.name}_daily")
    options = dg.ReexecutionOptions.from_failure(first.run_id, chain.instance)
    with dg.execute_job(
        dg.reconstructable(shipped_daily_job),
        instance=chain.instance,
        reexecution_options=options,
        raise_on_error=False,
    ) as again:
        assert not again.success
        run = chain.instance.get_run_by_id(again.run_id)
    assert run is not None
    assert run.root_run_id == first.run_id
    assert job.name == run.job_name
    done = {event.asset_key.path[-1] for event in again.all_events if event.is_step_materialization and event.asset_key}
    assert not done & {"postprocessed", "s3_export", "dynamodb_table"}
    assert chain.verdicts(chain.release(first))["kumo_warnings"].blocks
    assert len(chain.kumo_jobs()) == 1
    assert not chain.promote(chain.release(first)).success


def shipped_daily_job() -> dg.JobDefinition:
    """The shipped job, as a module's function: what Dagster can find again in a re-execution."""
    from kumo_assets.definitions import defs

    return defs().resolve_job_def(f"{QUERY}_daily")


def test_of_two_partitions_built_at_once_each_is_judged_by_its_own_verdicts(chain: Chain) -> None:
    tags = {"kumo_assets.partition": NEXT_DAY, "kumo_assets.environment": chain.environment}
    chain.handle.kumo_faults({**WARNING, "query": QUERY, "tags": tags, "times": 1})
    roots = {day: str(uuid.uuid4()) for day in (DAY, NEXT_DAY)}
    job = f"{QUERY}_daily"
    with ExitStack() as stack:
        both = [stack.enter_context(worker(dict(os.environ), job, day, root)) for day, root in roots.items()]
        for process in both:
            process.join(200)
    good, bad = (chain.release(None, day, root) for day, root in roots.items())  # type: ignore[arg-type]
    assert chain.promote().success
    assert chain.active() == good
    assert chain.verdicts(bad)["kumo_warnings"].blocks
    assert chain.verdicts(good)["kumo_warnings"].passed
    assert not chain.promote(bad).success
    assert chain.active() == good


def test_a_forced_promotion_needs_a_reason_stays_visible_and_never_passes_rule_6(chain: Chain) -> None:
    bad = bad_day(chain)
    assert chain.run(assets=("postprocessed", "s3_export", "dynamodb_table"), root=bad.run_id).success
    release, ctx = chain.release(bad), chain.ctx()
    with pytest.raises(ConfigError, match="no reason"):
        promote(ctx, release, by="me", forced=" ")
    assert chain.active() is None
    done = promote(ctx, release, by="me", forced="the warning is known")
    assert done.pointer.forced is not None
    assert (done.pointer.forced.by, done.pointer.forced.reason) == ("me", "the warning is known")
    forcing = ctx.store.forcing(release)
    assert forcing is not None
    assert (forcing.by, forcing.reason) == ("me", "the warning is known")
    assert ctx.ledger.history(1)[0].action == "force"

    later = chain.run(NEXT_DAY)
    assert later.success
    incomplete = chain.release(later, NEXT_DAY)
    verdict = ctx.store.verdict(incomplete, "import_complete")
    assert verdict is not None
    key = ctx.store.names.release_prefix(incomplete) + "verdicts/import_complete.json"
    broken = verdict.model_copy(update={"passed": False, "severity": "error", "message": "1 item is missing"})
    ctx.objects.client.put_object(Bucket=ctx.store.names.bucket, Key=key, Body=broken.to_json())
    with pytest.raises(GateBlocked, match="1 item is missing"):
        promote(ctx, incomplete, by="me", forced="never mind the count")
    assert chain.active() == release


def test_gates_that_a_query_asks_for_are_judged_on_real_releases(custom: Callable[..., Chain], tmp_path: Path) -> None:
    """Watched columns, a catalogue, the shipped example of an own gate in SQL; the same weekday and a fixed reference."""
    example = Path(__file__).parents[2] / "examples" / "gates" / "basket_departments.sql"
    own_gate(tmp_path, example.name, example.read_text())
    asked: dict[str, Any] = {
        "baseline": "weekday",
        "unknown_items": {"catalogue": {"schema": "RAW", "table": "PRODUCTS", "column": "PRODUCT_ID"}},
        "raw_drift": {"columns": {"transactions": ["BASKET_ID", "STORE_ID"]}, "mode": "warn"},
        "own": {"basket_departments": {"mode": "warn"}},
    }
    chain = custom(change=lambda spec: spec.update(gates=asked))
    first = chain.run(WEEK_BEFORE)
    assert first.success, chain.why(first)
    reference = chain.release(first, WEEK_BEFORE)
    assert chain.verdicts(reference)["unknown_items"].message
    assert chain.promote().success
    asked["reference"] = reference
    chain = custom(change=lambda spec: spec.update(gates=asked))
    second = chain.run(DAY)
    assert second.success, chain.why(second)
    verdicts = chain.verdicts(chain.release(second, DAY))
    assert {"unknown_items", "raw_drift", "basket_departments"} <= verdicts.keys()
    assert verdicts["unknown_items"].passed
    assert verdicts["basket_departments"].evidence["lists"] == HOUSEHOLDS
    told = json.dumps([verdicts[gate].model_dump(mode="json") for gate in ("score_drift", "raw_drift")])
    assert "weekday" in told
    assert reference in told


def test_raw_logs_that_fail_their_gate_stop_the_release_before_kumo_is_asked(
    custom: Callable[..., Chain], chat: Chat
) -> None:
    chain = custom(change=lambda spec: spec.update(gates={"raw_volume": {"min_rows": 10**9}}))
    result = chain.run()
    assert not result.success
    assert "nothing was launched" in failure(result)
    [message] = chat.posted
    assert "raw_volume" in message["text"]
    assert not [job for job in chain.kumo_jobs() if job["tags"]["kumo_assets.query"] == "custom_query"]
    verdicts = chain.verdicts(chain.release(result))
    assert verdicts["raw_volume"].blocks
    assert verdicts["raw_freshness"].passed
    assert not verdicts.keys() - {"raw_volume", "raw_freshness"}
    assert not chain.promote(chain.release(result)).success


def test_what_a_run_shows_of_its_gates(chain: Chain) -> None:
    """Value, limits, baseline, plot and number of scans on each check; each statistic as a number on the asset."""
    assert chain.run().success
    assert chain.promote().success
    active = chain.active()
    second = chain.run(NEXT_DAY)
    assert second.success
    shown = {item.check_name: item.metadata for item in second.get_asset_check_evaluations()}
    asked = chain.definition.spec.gates.gates_of("ranking")
    assert set(shown) == {*asked, "import_complete", "has_rows"}
    for gate in (*asked, "import_complete"):
        assert {"limits", "baseline", "explain"} <= shown[gate].keys(), gate
        if gate != "kumo_warnings":
            assert str(shown[gate]["plot"].value).startswith("![")
            assert "data:image/svg+xml;base64," in str(shown[gate]["plot"].value)
    assert shown["score_drift"]["baseline"].value == f"kind active, release id {active}"
    scans = {gate: shown[gate]["scans for all gates of this asset"].value for gate in ("keys", "overlap")}
    assert scans == {"keys": 1, "overlap": 3}
    figures: dict[str, dict[str, Any]] = {
        event.asset_key.path[-1]: {
            name: value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
            if isinstance(value, dg.FloatMetadataValue)
        }
        for event in second.get_asset_materialization_events()
        if event.asset_key
    }
    assert {"gate score_drift", "gate volume", "gate raw_volume", "lowest", "highest"} <= figures["predictions"].keys()
    assert {"gate class_share", "gate overlap", "gate coverage", "coverage"} <= figures["postprocessed"].keys()
