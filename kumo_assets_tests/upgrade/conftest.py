"""The project in today's YAML, the old commit's state restored around it, and the old reader.

Everything goes through what a user has: the command line, run in this process, and Dagster under it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets_tests.cli.conftest import kumo_assets
from kumo_assets_tests.releases.conftest import zookeeper  # noqa: F401
from kumo_assets_tests.upgrade import restore
from kumo_assets_tests.upgrade.data_files import DATA
from kumo_assets_tests.upgrade.project import ENVIRONMENT, IN_ZOOKEEPER, write_project

# What the old command line said of the state that is restored.
ANSWERS: dict[str, dict[str, Any]] = json.loads((DATA / "answers.json").read_text())


def left(query: str, state: str, day: str = "") -> list[str]:
    """The releases that the old commit left in a state, newest first; of a day, or of any."""
    return [
        one["release_id"]
        for one in ANSWERS[query]["releases"]
        if one["state"] == state and one["partition"].startswith(day)
    ]


_READ = """
import json, sys
import kumo_serving
from kumo_serving import Answer, Reader, open_pointer
from kumo_serving.fallback import parse_fallback

uri, query, fallback, *entities = sys.argv[1:]
reader = Reader(query, pointer=open_pointer(uri), budget_seconds=10.0)
found = {entity: reader.get(entity) for entity in entities}
pointer = reader.pointer
print(json.dumps({
    "file": kumo_serving.__file__,
    "release_id": pointer.release_id,
    "held": pointer.hold is not None,
    "previous": [item.release_id for item in pointer.previous],
    "answers": {entity: list(map(list, one.predictions)) if isinstance(one, Answer) else None
                for entity, one in found.items()},
    "fallback": parse_fallback(open(fallback, "rb").read(), query)[0],
}))
reader.close()
"""


@dataclass(frozen=True)
class Old:
    """The environment that the old commit left, in which today's code works."""

    env: dict[str, str]
    zookeeper: str
    folder: Path

    @property
    def bucket(self) -> str:
        return self.env["KUMO_ASSETS_BUCKET"]

    def run(self, *arguments: str, status: int = 0) -> Any:
        """`kumo-assets ARGUMENTS --json`, which must end with `status`; its document."""
        done = kumo_assets(*arguments, "--json")
        assert done.status == status, (done.out, done.err)
        return done.document

    def states(self, query: str) -> dict[str, str]:
        """Each release's state as it is now."""
        return {release["release_id"]: release["state"] for release in self.run("releases", query)}

    def pointer(self, query: str) -> str:
        """The address of the query's pointer."""
        path = f"{ENVIRONMENT}/{query}/active"
        return (
            f"zk://{self.zookeeper}/kumo_assets/{path}" if query == IN_ZOOKEEPER else f"s3://{self.bucket}/{path}.json"
        )

    def object(self, query: str, name: str) -> bytes:
        """One of the query's S3 objects as it is now, by its key under the query's prefix."""
        key = f"{ENVIRONMENT}/{query}/{name}"
        body: bytes = boto3.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def old_reader(self, query: str, release: str, *entities: str) -> dict[str, Any]:
        """What the old commit's `kumo_serving`, in a process of its own, reads through the pointer as it is now, and of
        the release's fallback list. It has no last known pointer to fall back to."""
        fallback = self.folder / "fallback.json"
        fallback.write_bytes(self.object(query, f"releases/{release}/fallback.json"))
        archive = DATA / "kumo_serving.zip"
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, "-c", _READ, self.pointer(query), query, str(fallback), *entities],
                env={**os.environ, "PYTHONPATH": str(archive), "KUMO_SERVING_CACHE": cache},
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["file"].startswith(f"{archive}/"), "the old reader, not the installed one"
        return found


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder


@pytest.fixture(scope="module")
def place(
    running_sandbox: SandboxHandle,
    zookeeper: str,  # noqa: F811
    project: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Old]:
    """The project in this process's environment, for a module; nothing is restored yet."""
    folder = tmp_path_factory.mktemp("upgrade")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    running_sandbox.reset_faults()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "KUMO_ASSETS_"))]:
            patch.delenv(name)
        env = {
            **running_sandbox.env,
            "KUMO_ASSETS_ENV": ENVIRONMENT,
            "KUMO_ASSETS_ZOOKEEPER": zookeeper,
            "DAGSTER_HOME": str(folder),
        }
        for name, value in env.items():
            patch.setenv(name, value)
        patch.setattr("boto3.DEFAULT_SESSION", None)
        patch.syspath_prepend(project)
        patch.chdir(project)
        yield Old(env, zookeeper, folder)


@pytest.fixture
def restored(place: Old) -> Callable[[str], Old]:
    """Restores one query; ask for it in each test that changes something."""

    def restored_query(query: str) -> Old:
        restore.restore(place.env, query, place.zookeeper)
        return place

    return restored_query


def runs_of_killed_processes() -> list[dict[str, Any]]:
    """What Dagster's storage of the old commit says of the killed runs: begun by a process of this machine, which is gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    runs: list[dict[str, Any]] = json.loads((DATA / "dagster_runs.json").read_text())
    for run in runs:
        assert run["tags"]["kumo_assets/process"].partition("@")[0].isdigit()
        run["tags"]["kumo_assets/process"] = f"{gone.pid}@{socket.gethostname()}"
    return runs
