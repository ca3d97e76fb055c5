"""A ZooKeeper that a test may stop and start again, on the same port, over the same data."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from releases_support import free_port, serves, wait_for, zookeeper_command


@dataclass
class ZooKeeper:
    """One server."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                zookeeper_command(self.home, self.port), stdout=log, stderr=log, cwd=self.home
            )
        wait_for(lambda: serves(self.port), 60)

    def stop(self) -> None:
        """SIGKILL: what it had acknowledged is on its disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def restartable_zookeeper(home: Path) -> Iterator[ZooKeeper]:
    if shutil.which("java") is None or not Path("/usr/share/java/zookeeper.jar").exists():
        pytest.skip("Debian's zookeeper is not installed")
    made = ZooKeeper(home, free_port())
    made.start()
    try:
        yield made
    finally:
        made.stop()
