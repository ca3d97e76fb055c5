"""The chain's fixtures: permissions and secrets are looked for in what really happens."""

from __future__ import annotations

from kumo_assets_tests.chain.conftest import chain, custom, logs, shipped

__all__ = ["chain", "custom", "logs", "shipped"]
