"""The Kumo job of a release, driven through `run_job` against the emulator: what the query's settings do to it."""

from __future__ import annotations

import pytest

from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.sources.kumo_job import run_job
from kumo_assets_tests.resources.kumo.works import Works
from kumo_assets_tests.resources.kumo.world import World


def test_a_table_of_fewer_entities_than_reported_is_taken_only_where_the_definition_says_so(world: World) -> None:
    works = Works(world)
    for agreement, taken in (("exact", False), ("at_least", False), ("off", True)):
        world.clear()
        world.fault({"kind": "partial_write", "with": {"fraction": 0.5}})
        work = works.of_release(entities_agree=agreement)
        with world.client() as client:
            if taken:
                assert 0 < run_job(work, client).entities < 40
            else:
                with pytest.raises(KumoOutputUnproved, match=f"source.kumo.entities_agree: {agreement}"):
                    run_job(work, client)
