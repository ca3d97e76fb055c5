"""`make gameday` itself, as a person types it: it ends well, and no read failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.zookeeper
@pytest.mark.sandbox
@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get("KUMO_SOAK"), reason="long form: make soak")
def test_the_drill_ends_as_it_should() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kumo_assets_tests.chaos.gameday"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    last = re.fullmatch(r"failed reads: 0 of ([\d,]+)", done.stdout.splitlines()[-1])
    assert last is not None
    assert int(last.group(1).replace(",", "")) > 1000
