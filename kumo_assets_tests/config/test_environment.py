"""The environment comes from variables, and a missing one is named with what to do."""

from __future__ import annotations

import pytest

from kumo_assets.config.environment import Environment
from kumo_assets.errors import ConfigError


def test_missing_environment_is_named() -> None:
    with pytest.raises(ConfigError, match=r"KUMO_ASSETS_ENV.*kumo-sandbox env"):
        Environment.from_variables({"KUMO_ASSETS_BUCKET": "acme-predictions"})


def test_malformed_environment_is_refused_where_names_are_made() -> None:
    environment = Environment.from_variables({"KUMO_ASSETS_ENV": "Prod!", "KUMO_ASSETS_BUCKET": "acme-predictions"})
    with pytest.raises(ConfigError, match="KUMO_ASSETS_ENV"):
        environment.names("q1")
