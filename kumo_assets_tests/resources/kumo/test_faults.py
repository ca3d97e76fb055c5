"""The client against every fault of the API's section 6, over real HTTP: what comes out, and never a second job."""

from __future__ import annotations

from pathlib import Path

import pytest

from kumo_assets_tests.resources.kumo.fault_table import DOCUMENT, check, row
from kumo_assets_tests.resources.kumo.faults import FAULTS, PROVED, Fault, run
from kumo_assets_tests.resources.kumo.world import KEY, TOKEN, World


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_ends_as_the_table_says(shared_world: World, tmp_path: Path, fault: Fault) -> None:
    found = run(fault, shared_world, tmp_path)
    check(fault, found)
    assert found.seconds < 60
    for secret in (KEY, KEY.partition(":")[2], TOKEN):
        assert secret not in found.text
    if fault.outcome != PROVED:
        assert "Next: " in found.text


def test_the_page_of_faults_has_each_row_once_with_its_time() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    written = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]
    told = [line.rpartition(" s |")[0].rpartition("| ") for line in written]
    assert [head for head, _, _ in told] == [row(fault, "x s").removesuffix("| x s |") for fault in FAULTS], (
        "run python -m kumo_assets_tests.resources.kumo.fault_table"
    )
    assert all(0 <= float(seconds) < 120 for _, _, seconds in told)


def test_no_fault_starts_two_jobs_for_one_attempt() -> None:
    assert all(fault.jobs <= 1 for fault in FAULTS if fault.outcome != PROVED or fault.runs == 1)
