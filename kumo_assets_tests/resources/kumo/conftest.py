"""One emulator for all tests of the client, cleared before each; and a server that a test scripts itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kumo_sandbox.testing import SandboxHandle

from kumo_assets_tests.resources.kumo.scripted import ScriptedServer
from kumo_assets_tests.resources.kumo.world import World, running_world


@pytest.fixture(scope="session")
def shared_world(running_sandbox: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # The client's own pauses at a tenth: the fault table is written with them whole.
    with running_world(running_sandbox.env, tmp_path_factory.mktemp("kumo"), haste=10) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.clear()
    return shared_world


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running
