"""For tests: a whole sandbox of their own (`sandbox`), single servers (`servers`) and Debian's ZooKeeper (`zookeeper`).

The pytest fixtures over these are in `kumo_sandbox.pytest_plugin` and in the test folders that use them.
"""

from kumo_sandbox.testing.sandbox import SandboxHandle, start_sandbox
from kumo_sandbox.testing.servers import Server, ministack_server, wait_for
from kumo_sandbox.testing.zookeeper import ZooKeeper, zookeeper_is_installed

__all__ = [
    "SandboxHandle",
    "Server",
    "ZooKeeper",
    "ministack_server",
    "start_sandbox",
    "wait_for",
    "zookeeper_is_installed",
]
