"""A sandbox that a test may stop, kill and break: one for the module, brought back to running before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kumo_sandbox.supervisor import stop
from kumo_sandbox.testing import SandboxHandle, start_sandbox


@pytest.fixture(scope="module")
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHandle]:
    handle = start_sandbox(tmp_path_factory.mktemp("own"))
    yield handle
    stop(handle.settings)


@pytest.fixture
def own(_own: SandboxHandle, monkeypatch: pytest.MonkeyPatch) -> SandboxHandle:
    for name, value in _own.env.items():
        monkeypatch.setenv(name, value)
    _own.start()
    return _own
