"""A session of Snowflake's own connector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle


@pytest.fixture
def cursor(sandbox: SandboxHandle) -> Iterator[Any]:
    connection = connect(sandbox.env)
    try:
        yield connection.cursor()
    finally:
        connection.close()
