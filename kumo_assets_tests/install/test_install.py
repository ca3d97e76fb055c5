"""The wheels, and what a company that installs them gets: a project of its own beside them, and nothing of this checkout.

One build, one fresh environment, and one small project outside the checkout serve all tests here. The sandbox runs from
the checkout, and the project reaches it as it would reach the real systems: by environment variables only.
"""

from __future__ import annotations

import email
import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
import uuid
import zipfile
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets_tests.chain.conftest import DAY, QUERY, SHIPPED, logs  # noqa: F401

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Package -> its folder in the checkout.
PACKAGES = {
    "kumo_assets": ROOT / "kumo_assets",
    "kumo_serving": ROOT / "packages" / "kumo_serving" / "kumo_serving",
    "kumo_sandbox": ROOT / "packages" / "kumo_sandbox" / "kumo_sandbox",
    "kumo_airflow": ROOT / "packages" / "kumo_airflow" / "kumo_airflow",
}


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None, status: int = 0) -> str:
    """What a program prints on stdout; fails with all it said when it ends with another status."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def build(folder: Path) -> Path:
    """`make dist` into a folder. `-o`: the environment that runs the tests is not made again."""
    run("make", "-o", ".install.stamp", "dist", f"DIST={folder}", f"VENV={BIN.parent}", cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


def wheel_of(package: str, dist: Path) -> zipfile.ZipFile:
    (found,) = dist.glob(f"{package}-*.whl")
    return zipfile.ZipFile(found)


def metadata_of(package: str, dist: Path) -> Message:
    wheel = wheel_of(package, dist)
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_its_package_its_licence_and_nothing_else(package: str, dist: Path) -> None:
    names = {name for name in wheel_of(package, dist).namelist() if ".dist-info/" not in name}
    folder = PACKAGES[package]
    files = {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.is_relative_to(SHIPPED)
    }
    assert names == files
    assert f"{package}/py.typed" in names
    assert not [name for name in names if "tests/" in name or "defs.yaml" in name]
    licences = [name for name in wheel_of(package, dist).namelist() if name.endswith("/licenses/LICENSE")]
    assert [wheel_of(package, dist).read(name) for name in licences] == [(ROOT / "LICENSE").read_bytes()]


def test_all_packages_have_one_version_and_pin_one_another_to_it(dist: Path) -> None:
    found = {package: metadata_of(package, dist) for package in PACKAGES}
    (version,) = {metadata["Version"] for metadata in found.values()}
    assert {metadata["License-Expression"] for metadata in found.values()} == {"Apache-2.0"}
    pins = {
        (package, need)
        for package, metadata in found.items()
        for need in metadata.get_all("Requires-Dist", [])
        if need.startswith("kumo-")
    }
    assert pins == {(package, f"kumo-serving=={version}") for package in ("kumo_assets", "kumo_sandbox")}
    assert f'__version__ = "{version}"' in (PACKAGES["kumo_airflow"] / "__init__.py").read_text()


def test_a_second_build_makes_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    def sums(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert sums(build(tmp_path / "again")) == sums(dist)


@dataclass(frozen=True)
class Installed:
    """An environment with the wheels in it, and a project beside it."""

    bin: Path
    project: Path
    env: dict[str, str]

    def assets(self, *arguments: str, status: int = 0) -> Any:
        """The document of `kumo-assets ARGUMENTS --json`, run in the project."""
        command = [self.bin / "kumo-assets", *arguments, "--json"]
        return json.loads(run(*command, cwd=self.project, env=self.env, status=status))


@pytest.fixture(scope="module")
def installed(dist: Path, logs: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> Installed:  # noqa: F811
    """Third-party packages are those of the environment that runs the tests: the newest ones are `make lock`'s business."""
    folder = tmp_path_factory.mktemp("company")
    python = folder / "venv" / "bin" / "python"
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    frozen = run(BIN / "uv", "pip", "freeze", "--python", sys.executable, "--exclude-editable", cwd=folder)
    (folder / "constraints.txt").write_text(frozen)
    pip = [BIN / "uv", "pip", "install", "--quiet", "--python", python, "--constraints", "constraints.txt"]
    run(*pip, "--find-links", dist, "kumo-assets", "dagster-dg-cli", cwd=folder)
    home = folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    env = {
        "PATH": f"{python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(folder),
        "DAGSTER_HOME": str(home),
        **logs.env,
        "KUMO_ASSETS_ENV": "i" + uuid.uuid4().hex[:10],
    }
    return Installed(python.parent, write_project(folder / "acme"), env)


def write_project(folder: Path) -> Path:
    """A project as the README describes it: its definitions are the README's own lines."""
    package = folder / "acme"
    (readme,) = re.findall(r"((?:^    .*\n|^\n)*^    @dg\.definitions\n(?:^    .*\n)*)", README, re.MULTILINE)
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "acme"\n'
    )
    (package / "__init__.py").write_text("")
    (package / "definitions.py").write_text(textwrap.dedent(readme))
    for shipped, place in (("raw_logs", "shared/raw_logs"), (QUERY, f"growth/{QUERY}")):
        (package / "defs" / place).mkdir(parents=True)
        (package / "defs" / place / "defs.yaml").write_text((SHIPPED / shipped / "defs.yaml").read_text())
    return folder


README = (ROOT / "README.md").read_text()


def test_what_is_installed_is_whole_and_not_the_checkout(installed: Installed) -> None:
    run(BIN / "uv", "pip", "check", "--python", installed.bin / "python", cwd=installed.project)
    program = """
import json, sys, kumo_assets, kumo_serving, kumo_assets.definitions
from kumo_assets.components import PredictiveQuery
from kumo_assets.errors import ConfigError
try:
    kumo_assets.definitions.defs()
except ConfigError as error:
    words = str(error)
print(json.dumps([words, sys.path, *(module.__file__ for name, module in sys.modules.items() if name.startswith("kumo_"))]))
"""
    words, path, *files = json.loads(
        run(installed.bin / "python", "-c", program, cwd=installed.project, env=installed.env)
    )
    assert "definitions of your own project" in words
    assert str(ROOT) not in " ".join(path)
    assert files
    assert not [file for file in files if not Path(file).is_relative_to(installed.bin.parent)]


@pytest.mark.parametrize("command", [("dagster", "definitions", "validate"), ("dg", "check", "defs")], ids=" ".join)
def test_a_small_project_beside_it_is_valid(installed: Installed, command: tuple[str, ...]) -> None:
    bare = {name: installed.env[name] for name in ("PATH", "HOME")}
    run(installed.bin / command[0], *command[1:], cwd=installed.project, env=bare)


def test_a_day_runs_there_and_is_served(installed: Installed) -> None:
    built = installed.assets("materialize", QUERY, "--partition", DAY, "--promote")
    assert built["promoted"] is True
    assert installed.assets("status", QUERY)["release_id"] == built["release_id"]
    answer = installed.assets("lookup", QUERY, "1")
    assert (answer["found"], answer["release_id"]) == (True, built["release_id"])


def test_outside_any_project_every_command_ends_with_2_and_says_how_to_make_one(installed: Installed) -> None:
    """All commands in one process: each takes a second to start."""
    program = """
import json, sys
from kumo_assets.cli.main import app, main
given = {"rollback": ["q", "--reason", "r"], "hold": ["q", "--reason", "r"], "lookup": ["q", "1"], "queries": [],
         "gates": ["q", "--partition", "2017-11-28"], "materialize": ["q", "--partition", "2017-11-28"], "doctor": [],
         "prove": []}
ended = {}
for command in app.registered_commands:
    name = command.name or command.callback.__name__
    for arguments in (given.get(name, ["q"]), ["--help"]):
        sys.argv = ["kumo-assets", name, *arguments]
        try:
            main()
        except SystemExit as exit:
            ended[" ".join([name, *arguments[-1:]]) if arguments == ["--help"] else name] = exit.code
print(json.dumps(ended))
"""
    outside = installed.project.parent
    done = subprocess.run(
        [str(installed.bin / "python"), "-c", program], cwd=outside, env=installed.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended == {name: 0 if name.endswith("--help") else 2 for name in ended}
    assert len(ended) == 2 * 18
    assert done.stderr.count("create-dagster project") == len(ended) / 2
