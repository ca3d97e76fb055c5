"""Where MiniStack is: in a tool environment of its own, for it pins botocore, and production's boto3 must stay free."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from kumo_sandbox.errors import SandboxError

# Before 1.5.33 an import says that it completed and imports nothing.
REQUIREMENT = "ministack==1.5.33"


def ministack_command(home: Path) -> list[str]:
    """`$KUMO_SANDBOX_MINISTACK`, else the repository's `.venv-ministack`, else one made under the sandbox's home."""
    told = os.environ.get("KUMO_SANDBOX_MINISTACK")
    if told:
        return [told]
    for parent in Path(__file__).resolve().parents:
        program = parent / ".venv-ministack" / "bin" / "ministack"
        if program.is_file():
            return [str(program)]
    program = home.parent / f"{home.name}-ministack" / "bin" / "ministack"
    if not program.is_file():
        _install(program.parent.parent)
    return [str(program)]


def _install(folder: Path) -> None:
    print(f"Installing {REQUIREMENT} into {folder} (once)", file=sys.stderr)
    venv.create(folder, with_pip=True)
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", REQUIREMENT], capture_output=True, text=True
    )
    if done.returncode:
        raise SandboxError(
            "install MiniStack into",
            to=str(folder),
            found=done.stderr.strip()[-300:],
            next="install it yourself and set KUMO_SANDBOX_MINISTACK to its program",
        )
