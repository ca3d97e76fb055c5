"""Fixtures of the whole project's tests: the sandbox's, from its own plugin."""

pytest_plugins = ["kumo_sandbox.pytest_plugin"]
