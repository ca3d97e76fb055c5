"""The client against every fault of the API's section 6, over real HTTP: what comes out, and never a second job."""

from __future__ import annotations

from pathlib import Path

import pytest

from kumo_assets_tests.resources.kumo.faults import FAULTS, PROVED, Fault, run
from kumo_assets_tests.resources.kumo.world import KEY, TOKEN, World


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_ends_as_the_table_says(shared_world: World, tmp_path: Path, fault: Fault) -> None:
    found = run(fault, shared_world, tmp_path)
    assert (found.outcome, found.jobs) == (fault.outcome, fault.jobs), found.text
    assert fault.says in found.text
    assert found.seconds < 10
    for secret in (KEY, KEY.partition(":")[2], TOKEN):
        assert secret not in found.text
    if fault.outcome != PROVED:
        assert "Next: " in found.text


def test_a_table_of_faults_has_each_row_once() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
