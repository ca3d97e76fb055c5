"""The servers the reader's tests run against, as fixtures. What they are made of is in `serving_support`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kumo_sandbox.settings import free_port
from serving_support import MINISTACK, ZOOKEEPER_CLASSES, FakeDynamoDB, Handler, running, serves


@pytest.fixture(autouse=True)
def aws_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads this machine's own AWS configuration or cache."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("KUMO_SERVING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MiniStack of this test run's own."""
    port, home = free_port(), tmp_path_factory.mktemp("ministack")
    environment = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "STATE_DIR": str(home),
        "LOG_LEVEL": "WARNING",
    }
    with running([str(MINISTACK)], port, environment, home / "log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def aws(ministack: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """MiniStack as the AWS of this process's standard variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    return ministack


@pytest.fixture
def zookeeper(tmp_path: Path) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Starts a ZooKeeper, always on the same port and data folder. `.hosts` is its address."""
    if shutil.which("java") is None or not Path("/usr/share/java/zookeeper.jar").exists():
        pytest.skip("Debian's zookeeper is not installed")
    port = free_port()
    configuration = tmp_path / "zoo.cfg"
    configuration.write_text(
        f"dataDir={tmp_path}/zk\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\n"
        "admin.enableServer=false\n4lw.commands.whitelist=*\nminSessionTimeout=1000\n"
    )
    # Debian's zkServer.sh would write under /var; the class itself needs only a configuration.
    command = [
        # No fsync: a busy disk makes each write take seconds, and no test here cuts the power.
        *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.forceSync=no"),
        *("-Dzookeeper.jmx.log4j.disable=true", "-cp", ZOOKEEPER_CLASSES),
        *("org.apache.zookeeper.server.ZooKeeperServerMain", str(configuration)),
    ]

    def start() -> contextlib.AbstractContextManager[Any]:
        return running(command, port, {}, tmp_path / "zookeeper.log", serves)

    start.hosts = f"127.0.0.1:{port}"  # type: ignore[attr-defined]
    return start


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDynamoDB]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    fake = FakeDynamoDB(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.fake = fake  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", fake.url)
    yield fake
    server.shutdown()
    server.server_close()
