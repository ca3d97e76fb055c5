"""Fixtures of the whole project's tests: the sandbox's, from its own plugin, a chat's webhook, and a Kumo Engine."""

pytest_plugins = ["kumo_sandbox.pytest_plugin", "kumo_assets_tests.support.chat", "kumo_assets_tests.support.engine"]
