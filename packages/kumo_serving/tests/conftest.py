"""The servers the reader's tests run against, as fixtures. What they are made of is in `serving_support`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kumo_sandbox.testing import ZooKeeper, ministack_server, zookeeper_is_installed
from serving_support import FakeDynamoDB, FakeS3, Handler, S3Handler


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
    with ministack_server(tmp_path_factory.mktemp("ministack")) as server:
        yield server.url


@pytest.fixture
def aws(ministack: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """MiniStack as the AWS of this process's standard variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    return ministack


@pytest.fixture
def zookeeper(tmp_path: Path) -> ZooKeeper:
    """A ZooKeeper, not started yet: `with zookeeper:` starts it, always on the same port and data folder."""
    if not zookeeper_is_installed():
        pytest.skip("Debian's zookeeper is not installed")
    return ZooKeeper(tmp_path / "zookeeper")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3Handler)
    server.daemon_threads = True
    fake = FakeS3(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.fake = fake  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake.url)
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of `localhost` and of S3 in eu-west-1, key and all in one file."""
    pem = tmp_path / "localhost.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *(
                "-addext",
                "subjectAltName=DNS:localhost,DNS:*.s3.eu-west-1.amazonaws.com",
                "-keyout",
                str(tmp_path / "key"),
                "-out",
                str(pem),
            ),
        ],
        check=True,
        capture_output=True,
    )
    pem.write_text(pem.read_text() + (tmp_path / "key").read_text())
    return pem


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
