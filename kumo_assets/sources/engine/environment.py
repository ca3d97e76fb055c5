"""The Engine's own environment: which Python it is, and what is wrong with it, said before anything is computed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping

from kumo_assets.errors import ConfigError

# The version whose calls `child/engine_calls.py` makes.
VERSION = "1.0.0"
VARIABLE = "KUMO_ENGINE_PYTHON"
# The wheel's tag is manylinux_2_34_x86_64, for Python 3.11 and newer.
OLDEST_GLIBC, OLDEST_PYTHON = (2, 34), (3, 11)
PACKAGES = ("kumo-engine", "dagster-pipes", "boto3")
MOST_SECONDS = 60.0
_LOOK = (
    "import importlib.metadata as m, json, platform, sys\n"
    "def v(n):\n"
    "    try: return m.version(n)\n"
    "    except m.PackageNotFoundError: return None\n"
    "print(json.dumps({'python': list(sys.version_info[:2]), 'libc': platform.libc_ver(sys.executable), "
    "'machine': platform.machine(), 'packages': {n: v(n) for n in sys.argv[1:]}}))"
)


def engine_python(environ: Mapping[str, str] | None = None) -> str:
    """The Python of the Engine's environment, by KUMO_ENGINE_PYTHON, once it has everything that a run needs.

    Nothing of the Engine is imported, so it takes a tenth of a second. Raises ConfigError.
    """
    source = os.environ if environ is None else environ
    python = source.get(VARIABLE, "").strip()
    if not python:
        raise _wrong("", f"{VARIABLE} is not set", f"`make .engine.stamp`, and set {VARIABLE} to its bin/python")
    try:
        done = subprocess.run(
            [python, "-I", "-c", _LOOK, *PACKAGES], capture_output=True, text=True, timeout=MOST_SECONDS
        )
    except OSError as error:
        raise _wrong(python, f"it cannot be started: {error.strerror or error}", f"correct {VARIABLE}") from error
    except subprocess.TimeoutExpired as error:
        raise _wrong(python, f"it did not start in {MOST_SECONDS:.0f} s", "see what that Python waits for") from error
    try:
        seen = json.loads(done.stdout)
    except ValueError as error:
        words = " ".join(done.stderr.split())[-300:] or f"it ended with {done.returncode}"
        raise _wrong(python, words, f"correct {VARIABLE}; it must be a Python") from error
    faults = faults_of(seen)
    if faults:
        raise _wrong(python, "; ".join(faults), "install requirements/engine.lock there (docs/sources.md)")
    return python


def faults_of(seen: Mapping[str, object]) -> list[str]:
    """What keeps the Engine from running on what was `seen`: python, libc, machine and packages; empty when nothing does."""
    found = []
    python, libc, packages = seen["python"], seen["libc"], seen["packages"]
    assert isinstance(python, list)
    assert isinstance(libc, list)
    assert isinstance(packages, dict)
    if tuple(python) < OLDEST_PYTHON:
        found.append(f"it is Python {python[0]}.{python[1]}, and the Engine needs 3.11 or newer")
    name, version = (str(part) for part in libc)
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name != "glibc":
        found.append(f"its C library is {name or 'not glibc'}, and the Engine needs glibc 2.34 or newer")
    elif number < OLDEST_GLIBC:
        found.append(f"it has glibc {version}, and the Engine needs 2.34 or newer: Debian 12, Ubuntu 22.04 or RHEL 9")
    if seen["machine"] != "x86_64":
        found.append(f"its processor is {seen['machine']}, and the Engine's wheel is for x86_64")
    for package in PACKAGES:
        if packages.get(package) is None:
            found.append(f"it has no {package}")
    engine = packages.get("kumo-engine")
    if engine is not None and engine != VERSION:
        found.append(f"it has kumo-engine {engine}, and this version of kumo_assets calls {VERSION}")
    return found


def _wrong(python: str, found: str, following: str) -> ConfigError:
    return ConfigError("use the Kumo Engine's Python", to=python or platform.node(), found=found, next=following)
