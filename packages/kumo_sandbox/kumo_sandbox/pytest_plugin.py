"""pytest fixtures: one sandbox a session, its environment set for each test that asks, its faults cleared after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from kumo_sandbox.testing import SandboxHandle, start_sandbox


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHandle]:
    """A sandbox of this session's own."""
    home: Path = tmp_path_factory.mktemp("sandbox", numbered=True)
    handle = start_sandbox(home)
    try:
        yield handle
    finally:
        handle.discard()


@pytest.fixture
def sandbox(running_sandbox: SandboxHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxHandle]:
    """The session's sandbox, with this process's environment pointing at it."""
    for name, value in running_sandbox.env.items():
        monkeypatch.setenv(name, value)
    _forget_other_credentials(running_sandbox.env["AWS_ACCESS_KEY_ID"])
    running_sandbox.reset_faults()
    yield running_sandbox
    running_sandbox.start()  # a part that a test killed is back for the next one
    running_sandbox.reset_faults()


def _forget_other_credentials(key: str) -> None:
    """boto3's default session keeps the credentials it found first: perhaps those of a test that ran without the sandbox.
    Made anew only then, for a session takes long to make."""
    session = boto3.DEFAULT_SESSION
    found = session.get_credentials() if session is not None else None
    if found is None or found.access_key != key:
        boto3.DEFAULT_SESSION = None
