"""The image of deploy/Dockerfile, built without Docker: its one step is a script, which is run here in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kumo_assets_tests.install.test_install import ROOT, build

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
RUNTIME, DEV = ROOT / "requirements" / "runtime.lock", ROOT / "requirements" / "dev.lock"
ANY_UID = 54321
OF_THE_CHECKOUT = ("DAGSTER", "KUMO", "PYTHON", "VIRTUAL_ENV")


def _for_everybody(python: Path) -> bool:
    """Whether another user may run this Python: root's own is often in a folder that only root may enter."""
    return python.exists() and all(folder.stat().st_mode & 0o001 for folder in python.resolve().parents)


# The image's Python is its own. Here it is the one that runs the tests, or the machine's, whichever another user may run.
CANDIDATES = (Path(getattr(sys, "_base_executable", sys.executable)), Path("/usr/bin/python3.11"))
PYTHON = next(filter(_for_everybody, CANDIDATES), CANDIDATES[0])
AS_ANYBODY = os.getuid() == 0 and _for_everybody(PYTHON)


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE))


def test_the_lock_has_what_tests_run_with_and_nothing_of_tests() -> None:
    runtime, dev = pins(RUNTIME), pins(DEV)
    assert {name: version for name, version in runtime.items() if name in dev and dev[name] != version} == {}
    assert {"dagster-webserver", "dagster-postgres", "dagster-k8s", "dagster-aws", "kazoo"} <= runtime.keys()
    assert not {"pytest", "fakesnow", "duckdb", "kumo-sandbox", "mypy", "ruff"} & runtime.keys()
    assert "-e " not in RUNTIME.read_text()


def test_the_dockerfile_builds_by_the_script_alone_and_does_not_end_as_root() -> None:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    runs = [line for line in lines if line.startswith("RUN ")]
    assert runs == ["RUN sh /build/build.sh /build/dist /build/runtime.lock /opt/kumo_assets"]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1].isdigit()
    assert int(users[-1]) > 0
    copied = [
        part for line in lines if line.startswith("COPY ") and "--from" not in line for part in line.split()[1:-1]
    ]
    assert copied
    assert all(part == "dist/" or (ROOT / part).is_file() for part in copied)
    assert all(line.endswith("-slim") or " AS " in line for line in lines if line.startswith("FROM "))


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """What the image has under /opt/kumo_assets; in a folder that every user may read."""
    folder = Path(tempfile.mkdtemp(prefix="kumo-image-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        dist = build(folder / "dist")
        target = folder / "opt"
        command = ["sh", str(ROOT / "deploy" / "build.sh"), str(dist), str(RUNTIME), str(target)]
        # The machine's own settings of package indexes and certificates stay; what is about this checkout goes.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_THE_CHECKOUT)}
        done = subprocess.run(
            command,
            cwd=folder,
            env={**kept, "PYTHON": str(PYTHON)},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        yield target
    finally:
        shutil.rmtree(folder)


def inside(image: Path, *command: str) -> str:
    """What a program of the image prints, run as a user whom nobody knows where this one may become another."""
    home = image / "home"
    done = subprocess.run(
        [str(image / "venv" / "bin" / command[0]), *command[1:]],
        cwd=home,
        env={"PATH": f"{image}/venv/bin:/usr/bin:/bin", "HOME": str(home), "DAGSTER_HOME": str(home)},
        user=ANY_UID if AS_ANYBODY else None,
        group=ANY_UID if AS_ANYBODY else None,
        extra_groups=[] if AS_ANYBODY else None,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_the_script_builds_runs_as_any_user_and_has_no_sandbox(image: Path) -> None:
    assert "prove" in inside(image, "kumo-assets", "--help")
    program = """
import importlib.util, pathlib
import dagster_aws.ecs, dagster_k8s, dagster_postgres, dagster_webserver, kumo_assets.definitions, kumo_serving
from kumo_assets.releases.run import person
absent = [name for name in ("kumo_sandbox", "pytest", "fakesnow") if importlib.util.find_spec(name) is None]
pathlib.Path("written").write_text("here")
print(person(), *absent)
"""
    said = inside(image, "python", "-c", program).split()
    assert said[1:] == ["kumo_sandbox", "pytest", "fakesnow"]
    if AS_ANYBODY:
        assert said[0].startswith(f"uid-{ANY_UID}@")
    assert "1.13" in inside(image, "dagster", "--version")
