"""What a release is compared with, on real release objects (MiniStack). Where there should be a baseline, its absence is
never taken for a first release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kumo_sandbox.testing.releases import Shop, definition, shop

from kumo_assets.config.gates import GatesSpec
from kumo_assets.documents import NoticeDetails, Seal
from kumo_assets.gates.baseline import baselines_of
from kumo_assets.gates.bindings import bind
from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.releases.conftest import aws, aws_variables, ministack  # noqa: F401

COUNTS = {"rows": 500, "entities": 100, "against": [], "finite": True, "lists": 100, "coverage": 9, "served": 500}


@pytest.fixture
def made(aws: str) -> Shop:  # noqa: F811
    found = shop()
    found.ctx.dynamodb.list_tables()  # MiniStack's first answer takes long, and a create that is retried fails
    return found


def live(shop: Shop, day: str, *, counted: bool = True) -> str:
    """A release of a day, promoted; with counts in its seal, or without."""
    release = shop.build(day, seal=False)
    opened = shop.ctx.store.opened(release)
    assert opened is not None
    sealed: Callable[[Seal], Seal] = shop.ctx.store.seal
    statistics = {"predictions": COUNTS} if counted else {}
    shop.ctx.store.seal = lambda seal: sealed(seal.model_copy(update={"statistics": statistics}))  # type: ignore[method-assign]
    shop.seal(opened)
    shop.ctx.store.seal = sealed  # type: ignore[method-assign]
    promote(shop.ctx, release, by="a test")
    return release


def found_baselines(shop: Shop, day: str = "2017-11-30", **limits: Any) -> Any:
    return baselines_of(shop.ctx, GatesSpec.model_validate(limits), shop.open(day))


def severity(found: Any, gate: str = "volume", **counts: Any) -> str:
    spec = definition("q1").spec
    return bind(spec, NoticeDetails(), COUNTS | counts, found)[gate]().severity


RAW = {"transactions": {"rows": 700, "lag_minutes": 0.0}}
COMPARING = ("volume", "raw_volume", "raw_drift", "entities_lost", "overlap")


def severities(found: Any, **counts: Any) -> set[str]:
    """The severities of the gates that compare with one promoted release."""
    return {severity(found, gate, raw=RAW, **counts) for gate in COMPARING}


def test_a_first_release_is_a_bootstrap(made: Shop) -> None:
    found = found_baselines(made)
    assert (found.active, found.main, found.fault) == (None, None, "")
    assert severities(found) == {"ok"}


def test_the_last_promoted_release_is_compared_with_not_a_newer_candidate(made: Shop) -> None:
    live(made, "2017-11-27")
    active = live(made, "2017-11-28")
    made.build("2017-11-29")
    found = found_baselines(made)
    assert found.active.release_id == found.main.release_id == active
    assert found.main.kind == "active"


def test_a_release_is_no_baseline_of_itself(made: Shop) -> None:
    before, active = live(made, "2017-11-27"), live(made, "2017-11-28")
    opened = made.ctx.store.opened(active)
    assert opened is not None
    assert baselines_of(made.ctx, GatesSpec(), opened).main.release_id == before  # type: ignore[union-attr]


def test_the_same_weekday_last_week(made: Shop) -> None:
    week_before = live(made, "2017-11-23")
    yesterday = live(made, "2017-11-29")
    found = found_baselines(made, baseline="weekday")
    assert (found.main.kind, found.main.release_id) == ("weekday", week_before)
    assert found.active.release_id == yesterday


def test_without_a_promoted_release_of_that_day_the_last_is_compared_with_and_the_verdict_says_so(made: Shop) -> None:
    active = live(made, "2017-11-29")
    found = found_baselines(made, baseline="weekday")
    assert (found.main.kind, found.main.release_id) == ("active", active)
    assert found.main.recorded()["note"] == "no promoted release of 2017-11-23"


def test_a_fixed_reference_is_compared_with_as_well(made: Shop) -> None:
    first, last = live(made, "2017-11-01"), live(made, "2017-11-29")
    found = found_baselines(made, reference=first)
    assert [(item.kind, item.release_id) for item in found.drift()] == [("active", last), ("fixed", first)]


def test_a_reference_that_is_not_there_passes_nothing(made: Shop) -> None:
    live(made, "2017-11-29")
    found = found_baselines(made, reference="20171101-00000000")
    assert "20171101-00000000 is no sealed release" in found.fault
    assert severity(found) == severity(found, "score_drift") == severity(found, "coverage") == "error"


def test_a_pointer_that_was_edited_to_an_unknown_table_is_no_bootstrap(made: Shop) -> None:
    """Else a hand edit would switch every comparison off for what is built under it."""
    active = live(made, "2017-11-28")
    live(made, "2017-11-29")
    table = made.ctx.names.dynamodb_table(made.active())
    made.edit(lambda text: text.replace(table, "some-other-table"))
    assert found_baselines(made).main.release_id == active


def test_a_deleted_pointer_is_no_bootstrap(made: Shop) -> None:
    active = live(made, "2017-11-29")
    names = made.ctx.names
    made.ctx.objects.client.delete_object(Bucket=names.bucket, Key=names.pointer_key)
    assert found_baselines(made).main.release_id == active


def test_a_promoted_release_without_counts_passes_nothing_unless_an_earlier_one_has_some(made: Shop) -> None:
    live(made, "2017-11-28", counted=False)
    found = found_baselines(made)
    assert "stored no counts" in found.fault
    assert severities(found) == {"error"}
    # Its table is there: what is compared row by row needs no stored counts.
    whole = {"old": 100, "lost": 0, "entries": 500, "changed": 0, "sample": 1}
    assert severity(found, "entities_lost", continuity=whole) == severity(found, "overlap", continuity=whole) == "ok"
    counted = live(made, "2017-11-29")
    uncounted = live(made, "2017-11-30", counted=False)
    found = found_baselines(made, "2017-12-01")
    assert (found.main.release_id, found.active.release_id) == (counted, uncounted)


def test_promoted_releases_whose_seals_are_gone_pass_nothing(made: Shop) -> None:
    active = live(made, "2017-11-29")
    names = made.ctx.names
    made.ctx.objects.client.delete_object(Bucket=names.bucket, Key=names.release_prefix(active) + "release.json")
    found = found_baselines(shop(query=made.query))  # a context that has not read the seal before
    assert found.active is None
    assert "no seal of any is found" in found.fault
    assert severities(found) == {"error"}
