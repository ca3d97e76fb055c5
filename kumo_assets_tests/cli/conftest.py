"""One environment with two built days for all tests of a module, the first of them live; and the command line, run here.

Commands run through `main` in this process, as the entry point does; what must be seen of a whole process (imports, a
kill) runs as one.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.config.index import DefinitionsIndex
from kumo_assets_tests.chain.conftest import DAY, NEXT_DAY, QUERY, SHIPPED, Chain, chain, logs, shipped  # noqa: F401


@dataclass(frozen=True)
class Done:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def kumo_assets(*arguments: str) -> Done:
    """`kumo-assets ARGUMENTS`."""
    from kumo_assets.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["kumo-assets", *arguments])
        patch.setattr("sys.stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            main()
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Built:
    """An environment with two sealed days."""

    chain: Chain
    first: str
    second: str


@pytest.fixture(scope="module")
def built(logs: SandboxHandle, shipped: dg.Definitions) -> Iterator[Built]:  # noqa: F811
    environment = "c" + uuid.uuid4().hex[:10]
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        for name, value in {**logs.env, "KUMO_ASSETS_ENV": environment}.items():
            patch.setenv(name, value)
        made = Chain(logs, instance, DefinitionsIndex(SHIPPED).query(QUERY), shipped, environment)
        first = made.run(DAY)
        assert first.success
        assert made.promote().success
        second = made.run(NEXT_DAY)
        assert second.success
        yield Built(made, made.release(first, DAY), made.release(second, NEXT_DAY))


@pytest.fixture
def home(tmp_path: Path, sandbox: SandboxHandle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DAGSTER_HOME of a person who has not written a dagster.yaml yet, and an environment of this test's own."""
    folder = tmp_path / "dagster_home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("KUMO_ASSETS_ENV", "m" + uuid.uuid4().hex[:10])
    return folder
