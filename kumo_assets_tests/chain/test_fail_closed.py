"""Nothing that was not judged goes live, by whatever path it was built (rule 3)."""

from __future__ import annotations

from kumo_assets_tests.chain.conftest import QUERY, Chain, failure


def test_checks_left_out_of_the_run_leave_the_release_unpromotable(chain: Chain) -> None:
    result = chain.run(assets=("predictions", "postprocessed", "s3_export", "dynamodb_table"), checks=False)
    assert result.success
    promotion = chain.promote()
    assert not promotion.success
    assert "has no verdict" in failure(promotion)
    assert chain.active() is None


def test_a_verdict_that_arrives_after_the_seal_lets_the_release_go(chain: Chain) -> None:
    chain.run(assets=("predictions", "postprocessed", "s3_export", "dynamodb_table"), checks=False)
    assert not chain.promote().success
    assert chain.run_checks().success
    assert chain.promote().success


def test_building_downstream_of_a_failed_gate_does_not_get_past_it(chain: Chain) -> None:
    warning = {"title": "T", "message": "m"}
    chain.handle.kumo_faults({"kind": "job_warnings", "query": QUERY, "with": {"warnings": [warning]}})
    assert not chain.run().success
    downstream = chain.run(assets=("postprocessed", "s3_export", "dynamodb_table"))
    assert downstream.success
    promotion = chain.promote()
    assert not promotion.success
    assert "gate kumo_warnings" in failure(promotion)
    assert chain.active() is None


def test_a_bad_release_does_not_hide_a_good_one_of_a_day_before(chain: Chain) -> None:
    good = chain.run("2017-11-28")
    warning = {"title": "T", "message": "m"}
    chain.handle.kumo_faults({"kind": "job_warnings", "query": QUERY, "with": {"warnings": [warning]}})
    assert not chain.run("2017-11-29").success
    assert chain.promote().success
    assert chain.active() == chain.release(good, "2017-11-28")
