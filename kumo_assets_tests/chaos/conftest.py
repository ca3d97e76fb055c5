"""The chain's fixtures, for faults that want the whole of it."""

from __future__ import annotations

from kumo_assets_tests.chain.conftest import chain, custom, logs, shipped

__all__ = ["chain", "custom", "logs", "shipped"]
