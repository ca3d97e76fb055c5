"""A release that has been opened, for tests that judge one without any store."""

from __future__ import annotations

from kumo_assets.documents import Opened

OPENED = Opened(
    query="q1",
    environment="local",
    partition="2017-11-30",
    release_id="20171130-1a2b3c4d",
    run_id="run",
    root_run_id="run",
    opened_at="2017-12-01T02:00:00.000Z",
    code_version="1",
    by="test",
)
