"""The environments the vendor's SDK is run in: one per release, made on demand from its lock file, outside our own.

`python environments.py` makes them all (`/.venv-conformance/<name>`); a test makes the one it needs. The SDK pins other
versions of what we use (pydantic 1 in one of them), so that it is never installed beside our code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[4]
# The newest release of 2.x, one of about a year before it (kumo-api 0.92 and 0.8), and the beta of 3.0.
RELEASES = {"current": "kumoai 2.22.0", "year_earlier": "kumoai 1.4.1", "v3": "kumoai 3.0.0b3"}


class EnvironmentMissing(Exception):
    """The environment is not there and could not be made; the text says why."""


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made (or made anew after a change of its lock) when needed.

    Raises `EnvironmentMissing` when the packages cannot be had.
    """
    lock = HERE / f"{name}.lock"
    folder = ROOT / ".venv-conformance" / name
    stamp = folder / ".lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = _uv()
    venv.create(folder, with_pip=uv is None, symlinks=True)
    command = (
        [uv, "pip", "install", "--quiet", "--python", str(python)]
        if uv
        else [str(python), "-m", "pip", "install", "-q"]
    )
    try:
        done = subprocess.run(
            [*command, "--require-hashes", "-r", str(lock)], capture_output=True, text=True, timeout=240
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentMissing(f"installing {RELEASES[name]} took longer than four minutes") from None
    if done.returncode != 0:
        raise EnvironmentMissing(f"{RELEASES[name]} could not be installed: {done.stderr.strip()[-400:]}")
    stamp.write_text(wanted)
    return python


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or os.environ.get("UV")


if __name__ == "__main__":
    for release in RELEASES:
        print(release, python_of(release))
