"""A person at a terminal with the old commit installed: commands, clicks in Dagster, a kill -9; and a ZooKeeper for them.

Used by `make_data.py` alone, under the old commit's environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import SandboxHandle

# Some assets of a day, with or without their checks, as a person materialises them in Dagster's UI.
_PART = """
import json, sys
import dagster as dg
from upgrade_project.definitions import defs

query, day, assets, checks = json.loads(sys.argv[1])
found = defs()
selection = dg.AssetSelection.assets(*[[query, asset] for asset in assets])
if not checks:
    graph = found.resolve_asset_graph()
    apart = [key for key in graph.asset_check_keys if not graph.assets_def_for_key(key).keys]
    selection = selection - dg.AssetSelection.checks(*apart)
job = dg.define_asset_job("part", selection=selection)
with dg.DagsterInstance.get() as instance:
    merged = dg.Definitions.merge(found, dg.Definitions(jobs=[job]))
    done = merged.resolve_job_def("part").execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
    sys.exit(not done.success)
"""


@dataclass(frozen=True)
class User:
    """A person at a terminal, in the project's folder."""

    sandbox: SandboxHandle
    environment: dict[str, str]
    folder: Path

    def run(self, *arguments: str, status: int = 0) -> Any:
        """`kumo-assets ARGUMENTS --json`, which must end with `status`; its document."""
        print("kumo-assets", *arguments, flush=True)
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, **self._where)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr[-3000:])
        return json.loads(done.stdout)

    def release(self, query: str, day: str, *options: str) -> str:
        return str(self.run("materialize", query, "--partition", day, *options)["release_id"])

    def part(self, query: str, day: str, assets: tuple[str, ...], *, checks: bool = True) -> None:
        print("materialise", query, day, assets, "with" if checks else "without", "checks", flush=True)
        arguments = json.dumps([query, day, assets, checks])
        subprocess.run([sys.executable, "-c", _PART, arguments], check=True, capture_output=True, **self._where)

    def killed_at(self, operation: str, match: str, query: str, day: str) -> None:
        """SIGKILL of `materialize` at a request to AWS, which never arrives there."""
        print("kill -9 of materialize", query, day, "at", operation, match, flush=True)
        self.sandbox.aws_faults({"operation": operation, "match": match, "delay": 5.0, "cut": "before"})
        process = subprocess.Popen(
            self._command("materialize", query, "--partition", day),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._where,
        )
        url = self.sandbox.url["aws"] + "/_sandbox/faults"
        while not any(fault["seen"] for fault in httpx.get(url, trust_env=False).json()):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
        time.sleep(6)
        self.sandbox.reset_faults()

    def _command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).parent / "kumo-assets"), *arguments, "--json"]

    @property
    def _where(self) -> dict[str, Any]:
        return {"env": self.environment, "cwd": self.folder, "stdin": subprocess.DEVNULL}


@contextmanager
def zookeeper(home: Path) -> Iterator[str]:
    """`host:port` of a ZooKeeper of our own."""
    home.mkdir()
    port = free_port()
    (home / "zoo.cfg").write_text(
        f"dataDir={home}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    command = ["java", "-cp", "/etc/zookeeper/conf:/usr/share/java/*"]
    command += ["org.apache.zookeeper.server.ZooKeeperServerMain", str(home / "zoo.cfg")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
