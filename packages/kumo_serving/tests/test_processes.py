"""The reader in the processes a service really has: forked workers, many threads, a cold import, TLS, old credentials."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import Server, wait_for
from kumo_serving import Answer, Reader
from kumo_serving.answers import Result
from kumo_serving.aws import Account
from kumo_serving.errors import TimedOut, Unavailable
from serving_support import (
    NEW,
    OLD,
    RANKING,
    FakeDynamoDB,
    MemoryPointer,
    hang,
    pointer_to,
)

pytestmark = pytest.mark.slow

APP = """
import os, sys
sys.path.insert(0, os.environ["SUPPORT"])
from kumo_serving import Reader
from serving_support import MemoryPointer, pointer_to, OLD, NEW

store = MemoryPointer(pointer_to(OLD))
reader = Reader("shop", store, budget_seconds=2, refresh_seconds=0.05, start_seconds=30, endpoint_url=os.environ["DYNAMODB"])
assert reader.get("ann").source.table == OLD  # the master's own connections, thread and credentials exist

def app(environ, start_response):
    if environ["PATH_INFO"] == "/swap":
        store.set(pointer_to(NEW))
    answer = reader.get("ann")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {answer.source.table} {reader.health().state}".encode()]
"""


@pytest.fixture
def shop(dynamodb: FakeDynamoDB) -> FakeDynamoDB:
    dynamodb.put(OLD, ann=[("tea", 0.4)])
    dynamodb.put(NEW, ann=RANKING)
    return dynamodb


def reader_of(shop: FakeDynamoDB, store: Any, **options: Any) -> Reader:
    usual = {"budget_seconds": 2, "refresh_seconds": 0.02, "start_seconds": 30, "endpoint_url": shop.url}
    return Reader("shop", store, **{**usual, **options})


def in_child(work: Any) -> Any:
    """What `work()` returns in a forked child, by way of a pipe; the child ends without this process's clean-up."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(write, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return json.loads(text)


def test_a_forked_child_has_its_own_connections_and_its_own_refresh(shop: FakeDynamoDB) -> None:
    store = MemoryPointer(pointer_to(OLD))
    with reader_of(shop, store) as reader:
        reader.get("ann")
        before = shop.connections

        def child() -> list[str]:
            first = reader.get("ann").source.table
            store.set(pointer_to(NEW))  # the child's own copy of the store
            wait_for(lambda: reader.get("ann").source.table == NEW)
            return [first, reader.health().state]

        assert in_child(child) == [OLD, "fresh"]
        assert shop.connections > before
        # The parent's connections were neither used nor shut down by the child.
        during = shop.connections
        assert reader.get("ann").source.table == OLD
        assert shop.connections == during


def test_a_forked_child_keeps_its_endpoint_s_addresses_current(
    shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_serving.aws.RESOLVE_SECONDS", 0.05)
    with reader_of(shop, MemoryPointer(pointer_to(OLD))) as reader:
        state = reader._view.current
        assert state is not None

        def child() -> bool:
            reader.get("ann")
            began = time.monotonic()
            return bool(wait_for(lambda: state.active.endpoint.resolved_at > began))

        assert in_child(child) is True


def test_a_reader_closed_before_a_fork_is_closed_in_the_child(shop: FakeDynamoDB) -> None:
    reader = reader_of(shop, MemoryPointer(pointer_to(OLD)))
    reader.close()

    def child() -> str:
        try:
            return str(type(reader.get("ann")))
        except Unavailable as error:
            return str(error)

    assert "the reader is closed" in in_child(child)


def test_a_fork_while_locks_are_held_does_not_hang_the_child(shop: FakeDynamoDB) -> None:
    with reader_of(shop, MemoryPointer(pointer_to(OLD))) as reader:
        with reader._pool._lock, reader._refresher._lock:
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                os._exit(0 if reader.get("ann").source.table == OLD else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_gunicorn_s_preloaded_workers_each_follow_the_pointer(shop: FakeDynamoDB, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "shop_app.py").write_text(APP)
    command = [
        *(sys.executable, "-m", "gunicorn", "shop_app:app", "--preload", "--workers", "2", "--threads", "2"),
        *("--bind", f"127.0.0.1:{port}", "--graceful-timeout", "2", "--control-socket", str(tmp_path / "control")),
    ]
    if "--control-socket" not in subprocess.run([*command[:3], "--help"], capture_output=True, text=True).stdout:
        command = command[:-2]
    environment = {"SUPPORT": str(Path(__file__).parent), "DYNAMODB": shop.url}
    with Server("gunicorn", tmp_path, command, port, environment) as gunicorn:

        def ask(path: str = "/") -> list[str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, gunicorn.log.read_text()[-2000:]
            return text.split()

        seen: dict[str, str] = {}
        wait_for(lambda: (seen.update([ask()[:2]]), len(seen) == 2)[1], 20)
        assert set(seen.values()) == {OLD}
        assert str(gunicorn.pid) not in seen
        swapped: set[str] = set()
        wait_for(lambda: (swapped.add(ask("/swap")[0]), len(swapped) == 2)[1], 20)
        wait_for(lambda: [ask()[1:] for _ in range(6)] == [[NEW, "fresh"]] * 6)


def test_threads_share_a_bounded_pool(shop: FakeDynamoDB) -> None:
    with reader_of(shop, MemoryPointer(pointer_to(NEW)), pool_size=4) as reader:
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(reader.get, ["ann", "nobody"] * 200))
        assert [isinstance(answer, Answer) for answer in answers] == [True, False] * 200
        assert shop.connections <= 4


def test_a_full_pool_ends_with_the_budget_and_recovers(shop: FakeDynamoDB) -> None:
    with reader_of(shop, MemoryPointer(pointer_to(NEW)), pool_size=1) as reader:
        shop.faults.append(hang(0.5))
        busy = threading.Thread(target=lambda: reader.get("ann"))
        busy.start()
        wait_for(lambda: len(shop.requests) == 1)
        with pytest.raises(TimedOut, match="busy"):
            reader.get("ann", budget_seconds=0.1)
        busy.join()
        assert isinstance(reader.get("ann"), Answer)


@pytest.mark.parametrize("before", ["botocore.session", "botocore.session, asyncio"], ids=["sync", "async"])
def test_importing_the_reader_adds_little_to_botocore_and_nothing_heavy(before: str) -> None:
    # As a share of botocore's own, so that a busy machine judges alike; milliseconds are in benchmarks/suite/reader.
    # An asyncio service has asyncio already. botocore imports awscrt by itself where it is installed, so it is hidden
    # from botocore and counts as the reader's.
    module = "kumo_serving.aio" if "asyncio" in before else "kumo_serving.reader"
    code = f"""
import json, sys, time
sys.modules["awscrt"] = None
began = time.process_time()
import {before}
del sys.modules["awscrt"]
between = time.process_time()
import {module}
heavy = ("dagster", "pandas", "boto3", "numpy", "aiohttp", "awscrt", "kazoo", "opentelemetry", "requests")
share = (time.process_time() - between) / (between - began)
print(json.dumps([share, [name for name in heavy if name in sys.modules]]))
"""
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(3)]
    assert runs[0][1] == []
    assert min(share for share, _ in runs) <= 0.4


def test_the_signer_is_imported_before_the_first_lookup() -> None:
    # By whoever follows a pointer, in the background: imported by a lookup, it would eat that one's whole budget.
    code = """
import sys
from kumo_serving.aws import Account, Endpoint
from kumo_serving.pointer import Pointer
from kumo_serving.state import build_state
build_state(Pointer("shop", "table"), Account(), Endpoint("http://localhost", "us-east-1", None))
print("awscrt" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "True"


def tls_in_front(fake: FakeDynamoDB, pem: Path) -> socket.socket:
    """A TLS listener that hands each connection's bytes on to the plain server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
    plain = ("127.0.0.1", int(fake.url.rpartition(":")[2]))

    def serve() -> None:
        while True:
            try:
                outer, _ = listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            inner = socket.create_connection(plain)
            for source, target in ((outer, inner), (inner, outer)):
                threading.Thread(target=copy, args=(source, target), daemon=True).start()

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    return listener


async def one_async(shop: FakeDynamoDB, url: str) -> Result:
    from kumo_serving import AsyncReader

    async with AsyncReader(
        "shop", MemoryPointer(pointer_to(NEW)), endpoint_url=url, budget_seconds=2, refresh_seconds=5
    ) as reader:
        return await reader.get("ann")


async def test_tls_is_used_and_the_certificate_verified(
    shop: FakeDynamoDB, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = tls_in_front(shop, certificate)
    url = f"https://localhost:{listener.getsockname()[1]}"
    with (
        reader_of(shop, MemoryPointer(pointer_to(NEW)), endpoint_url=url) as stranger,
        pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        stranger.get("ann", budget_seconds=0.5)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with reader_of(shop, MemoryPointer(pointer_to(NEW)), endpoint_url=url) as reader:
        assert isinstance(reader.get("ann"), Answer)
        assert isinstance(reader.get_many(["ann"])["ann"], Answer)
    assert isinstance(await one_async(shop, url), Answer)
    listener.close()


def test_credentials_that_expire_are_renewed_in_the_background_and_sign_from_then_on(shop: FakeDynamoDB) -> None:
    import botocore.session
    from botocore.credentials import RefreshableCredentials

    issued: list[str] = []

    def issue() -> dict[str, str]:
        issued.append(threading.current_thread().name)
        # Soon enough to be renewed at each look: botocore does that 15 minutes ahead.
        expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=12)
        return {
            "access_key": f"KEY{len(issued)}",
            "secret_key": "hidden",
            "token": f"token{len(issued)}",
            "expiry_time": expiry.isoformat(),
        }

    session = botocore.session.get_session()
    session._credentials = RefreshableCredentials.create_from_metadata(issue(), issue, "test")
    with reader_of(shop, MemoryPointer(pointer_to(NEW)), session=session) as reader:
        wait_for(lambda: len(issued) >= 4)
        reader.get("ann")
    headers = shop.requests[-1][2]
    number = int(headers["X-Amz-Security-Token"].removeprefix("token"))
    assert number >= 3
    assert f"Credential=KEY{number}/" in headers["Authorization"]
    assert set(issued[1:]) == {"kumo-pointer-shop"}


def test_without_credentials_a_lookup_says_so(shop: FakeDynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with reader_of(shop, MemoryPointer(pointer_to(NEW))) as reader, pytest.raises(Unavailable, match="credentials"):
        reader.get("ann")
    assert shop.requests == []


@pytest.mark.parametrize("proxy", [True, False])
def test_a_proxy_that_lookups_do_not_use_is_told_of(
    proxy: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kumo_serving.aws.Endpoint.resolve", lambda self: None)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128" if proxy else "")
    monkeypatch.setenv("no_proxy", "")
    Account().endpoint("eu-west-1")
    assert ("proxy" in caplog.text) == proxy


def test_the_regional_endpoint_is_botocore_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_serving.aws.Endpoint.resolve", lambda self: None)
    endpoint = Account().endpoint("eu-west-1")
    assert (endpoint.host, endpoint.port, endpoint.host_header) == (
        *("dynamodb.eu-west-1.amazonaws.com", 443),
        "dynamodb.eu-west-1.amazonaws.com",
    )
    assert endpoint.tls is not None
