"""Tool environments of the peers that pin what this project leaves free: made on demand from requirements/bench-*.lock."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python_of(peer: str) -> str:
    """The Python of a peer's environment under .venv-bench, made now when it is not there or its lock file is newer."""
    lock, folder = ROOT / "requirements" / f"bench-{peer}.lock", ROOT / ".venv-bench" / peer
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", str(python), "-r", str(lock)], check=True)
        stamp.touch()
    return str(python)
