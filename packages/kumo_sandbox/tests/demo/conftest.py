"""The grocery year, opened once."""

from __future__ import annotations

import pytest
from kumo_sandbox.grocery import EventLog, grocery_log


@pytest.fixture(scope="session")
def grocery() -> EventLog:
    return grocery_log()
