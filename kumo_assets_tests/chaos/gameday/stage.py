"""What the scenes are played on: a sandbox and a ZooKeeper of the drill's own, commands typed as an operator would."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from kumo_sandbox.demo.commands import Commands, Outcome, dagster_home
from kumo_sandbox.testing import SandboxHandle, start_sandbox
from kumo_sandbox.testing.releases import Shop, shop

from kumo_assets.config.environment import Environment
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets_tests.support.zookeeper import ZooKeeper, restartable_zookeeper

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Typed:
    """How a command ended, and the seconds from the key to the prompt."""

    outcome: Outcome
    seconds: float

    @property
    def status(self) -> int:
        return self.outcome.status

    @property
    def words(self) -> str:
        """The command's own sentence, without --json's brackets."""
        document = self.outcome.document
        told = document.get("words") if isinstance(document, dict) else None
        return f"exit {self.status} after {self.seconds:.1f} s: {told or self.outcome.message}"


@dataclass
class Stage:
    """The servers, and where the drill's definitions and Dagster instance are."""

    sandbox: SandboxHandle
    zookeeper: ZooKeeper
    home: Path

    def type(self, *arguments: str, defs: Path | None = None) -> Typed:
        """`kumo-assets ARGUMENTS`, in a process of its own, to its end."""
        started = time.monotonic()
        outcome = self.commands(defs).assets(*arguments)
        return Typed(outcome, time.monotonic() - started)

    def commands(self, defs: Path | None = None) -> Commands:
        environment = {**os.environ, "NO_COLOR": "1", "DAGSTER_DISABLE_TELEMETRY": "1"}
        environment["DAGSTER_HOME"] = str(dagster_home(self.home, self.sandbox.settings.home, {}))
        if defs is not None:
            environment["KUMO_ASSETS_DEFS"] = str(defs)
        return Commands(environment, ROOT)

    def open_shop(self, store: str) -> tuple[Shop, Path]:
        """A query with its pointer on this store, and the folder of definitions that a command finds it in."""
        made = shop(store, environment=Environment.from_variables())
        shipped = DefinitionsIndex(ROOT / "kumo_assets" / "defs").query("next_best_product").folder / "defs.yaml"
        document = yaml.safe_load(shipped.read_text())
        document["attributes"]["pointer"] = {"store": store}
        folder = self.home / "defs" / made.query
        folder.mkdir(parents=True)
        (folder / "defs.yaml").write_text(yaml.safe_dump(document))
        return made, folder.parent


@contextmanager
def stage() -> Iterator[Stage]:
    """Servers in a temporary home, this process's environment pointing at them, until the block ends."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="kumo-gameday-") as folder:
        home = Path(folder)
        (home / "zookeeper").mkdir()
        for name in before:
            if name.startswith(("AWS_", "KUMO_", "SNOWFLAKE_", "DAGSTER_")):
                del os.environ[name]
        handle = start_sandbox(home / "sandbox")
        try:
            with restartable_zookeeper(home / "zookeeper") as zookeeper:
                # Neither this machine's AWS profile nor its readers' caches have a part in it.
                os.environ.update(
                    handle.env,
                    KUMO_ASSETS_ZOOKEEPER=zookeeper.hosts,
                    AWS_CONFIG_FILE=str(home / "no-config"),
                    AWS_SHARED_CREDENTIALS_FILE=str(home / "no-credentials"),
                    KUMO_SERVING_CACHE=str(home / "cache"),
                )
                yield Stage(handle, zookeeper, home)
        finally:
            handle.discard()
            os.environ.clear()
            os.environ.update(before)
