"""A proof that is stopped cleans up after itself; one that is killed is cleaned up by the next run."""

from __future__ import annotations

import signal
import subprocess
import sys

from kumo_assets_tests.cli.conftest import kumo_assets
from kumo_assets_tests.proving.conftest import Ground

COMMAND = [sys.executable, "-m", "kumo_assets.cli.main", "prove", "--only", "dynamodb"]


def started() -> subprocess.Popen[str]:
    """A proof whose first import was started."""
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "import-token-running" in line:
            return process
    raise AssertionError(f"it ended with {process.wait()}")


def test_proof_that_is_stopped_cleans_up_after_itself(ground: Ground) -> None:
    """SIGTERM, as a pipeline sends it, ends it as Ctrl-C does."""
    process = started()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Deleting what this proof made" in said
    assert "Interrupted" in said
    assert ground.left() == []


def test_next_run_deletes_what_a_killed_one_left(ground: Ground) -> None:
    process = started()
    process.kill()
    process.communicate(timeout=60)
    assert ground.left() != []
    done = kumo_assets("prove", "--json", "--only", "kumo")
    assert done.status == 0, done.err
    assert "left behind" in done.err
    assert ground.left() == []
