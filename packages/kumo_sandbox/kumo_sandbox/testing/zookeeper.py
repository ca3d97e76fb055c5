"""Debian's ZooKeeper as a server of a test's own. Nothing in a sandbox needs one; pointer stores do."""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path

from kumo_sandbox.errors import SandboxError
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing.servers import Server

JAR = Path("/usr/share/java/zookeeper.jar")
CLASSES = "/etc/zookeeper/conf:/usr/share/java/*"
CONFIGURATION = """\
dataDir={home}/data
clientPort={port}
clientPortAddress=127.0.0.1
tickTime=500
admin.enableServer=false
4lw.commands.whitelist=*
minSessionTimeout=1000
maxClientCnxns=0
"""


def zookeeper_is_installed() -> bool:
    return JAR.exists() and shutil.which("java") is not None


def serves(port: int) -> bool:
    """Whether ZooKeeper says that it serves. It listens, and answers `ruok`, earlier; a client that connects then waits 5 s."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5) as sock:
        sock.sendall(b"srvr")
        return b"Mode: standalone" in b"".join(iter(lambda: sock.recv(4096), b""))
    return False


class ZooKeeper(Server):
    """A ZooKeeper over `home`. Stopped or killed and started again, it has the same port and the same data.

    Raises SandboxError when Debian's package is not installed.
    """

    def __init__(self, home: Path) -> None:
        if not zookeeper_is_installed():
            raise SandboxError("start", to="ZooKeeper", found=f"no java or no {JAR}", next="apt-get install zookeeper")
        home.mkdir(parents=True, exist_ok=True)
        port, configuration = free_port(), home / "zoo.cfg"
        configuration.write_text(CONFIGURATION.format(home=home, port=port))
        # Debian's zkServer.sh would write under /var; the class itself needs only a configuration.
        command = [
            # No fsync: a busy disk makes each write take seconds, and no test here cuts the power.
            *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.forceSync=no"),
            *("-Dzookeeper.jmx.log4j.disable=true", "-cp", CLASSES),
            *("org.apache.zookeeper.server.ZooKeeperServerMain", str(configuration)),
        ]
        super().__init__("zookeeper", home, command, port, ready=serves)

    @property
    def hosts(self) -> str:
        """Its address as a ZooKeeper client takes it."""
        return f"127.0.0.1:{self.port}"
