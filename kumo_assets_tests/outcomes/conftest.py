"""An embedded warehouse for a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kumo_assets_tests.support.embedded_warehouse import Embedded, embedded


@pytest.fixture
def snowflake() -> Iterator[Embedded]:
    with embedded() as found:
        yield found
