"""Fixtures of the whole project's tests: the sandbox's, from its own plugin, and a chat's webhook."""

pytest_plugins = ["kumo_sandbox.pytest_plugin", "kumo_assets_tests.support.chat"]
