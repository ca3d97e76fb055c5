"""In CI no test is skipped in silence; on a laptop one may be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = """
import pytest

def test_runs():
    pass

@pytest.mark.skipif(True, reason="long form: make soak")
def test_long():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

@pytest.mark.skipif(True, reason="no server by mark")
def test_by_mark():
    pass

def test_by_call():
    pytest.skip("no server by call")

@pytest.fixture
def server():
    pytest.skip("no server by fixture")

def test_by_fixture(server):
    pass
"""
WHOLE_FILE = """
import pytest

pytest.importorskip("no_such_module", reason="no server by import")
"""


def test_in_ci_a_skip_is_a_failure(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole.py").write_text(WHOLE_FILE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(ci: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-n", "2", "--continue-on-collection-errors", "-rA"]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "CI": ci}, capture_output=True, text=True)
        return done.returncode, done.stdout

    status, words = run("")
    assert (status, "1 passed, 5 skipped, 1 xfailed" in words) == (0, True), words
    status, words = run("true")
    assert (status, "1 failed, 1 passed, 1 skipped, 1 xfailed, 3 errors" in words) == (1, True), words
    for way in ("mark", "call", "fixture", "import"):
        assert f"no server by {way}" in words
