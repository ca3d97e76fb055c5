"""The example shop, running for real: its server, a headless Chromium, and two releases to choose between."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from kumo_sandbox.grocery import grocery_log, write_catalogue
from kumo_sandbox.pytest_plugin import running_sandbox, sandbox  # noqa: F401 - fixtures
from kumo_sandbox.testing import SandboxHandle
from kumo_serving.items import RANKING, encode, encode_item
from kumo_serving.pointer import Pointer, Previous, Promoted, dump_pointer
from playwright.sync_api import Browser, Page, sync_playwright

STOREFRONT = Path(__file__).parents[2] / "examples" / "storefront"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
QUERY = "next_best_product"


@dataclass
class Releases:
    """Writes releases and pointers as the contract says; the chain that makes them is tested elsewhere."""

    env: dict[str, str]
    written: dict[str, Previous] = field(default_factory=dict)
    generation: int = 0

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    def seal(self, release: str, lists: dict[str, list[str]], popular: list[str]) -> None:
        """A table with each household's list, and the fallback list beside it."""
        dynamodb, s3 = self.client("dynamodb"), self.client("s3")
        table = f"local-{QUERY}-{release}"
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for household, products in lists.items():
            scored = [(product, 1.0 - place / 10) for place, product in enumerate(products)]
            dynamodb.put_item(TableName=table, Item=encode_item(household, scored, RANKING))
        key = f"local/{QUERY}/releases/{release}/fallback.json"
        scored = [(product, 1.0 - place / 100) for place, product in enumerate(popular)]
        body = (
            f'{{"schema_version": 1, "query": "{QUERY}", "release_id": "{release}", '
            f'"item_format": "{RANKING}", "p": {encode(scored, RANKING)}}}'
        )
        s3.put_object(Bucket=self.env["KUMO_ASSETS_BUCKET"], Key=key, Body=body)
        self.written[release] = Previous(
            release_id=release,
            partition=f"{release[:4]}-{release[4:6]}-{release[6:8]}",
            table=table,
            fallback=f"s3://{self.env['KUMO_ASSETS_BUCKET']}/{key}",
        )

    def point_at(self, release: str) -> None:
        """Move the pointer: forward it is a promotion, back a rollback; a reader cannot tell, and need not."""
        self.generation += 1
        entry = self.written[release]
        pointer = Pointer(
            query=QUERY,
            table=entry.table,
            environment="local",
            generation=self.generation,
            release_id=release,
            partition=entry.partition,
            region=self.env["AWS_REGION"],
            fallback=entry.fallback,
            promoted=Promoted(at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), by="test", run_id=""),
        )
        self.client("s3").put_object(
            Bucket=self.env["KUMO_ASSETS_BUCKET"], Key=f"local/{QUERY}/active.json", Body=dump_pointer(pointer)
        )


@pytest.fixture
def releases(sandbox: SandboxHandle) -> Iterator[Releases]:  # noqa: F811
    """An empty shelf of releases; what was written is taken away again."""
    shelf = Releases(sandbox.env)
    yield shelf
    sandbox.start()
    sandbox.reset_faults()
    for entry in shelf.written.values():
        shelf.client("dynamodb").delete_table(TableName=entry.table)
    s3 = shelf.client("s3")
    bucket = sandbox.env["KUMO_ASSETS_BUCKET"]
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"local/{QUERY}/").get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])


@pytest.fixture(scope="session")
def catalogue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(grocery_log(), tmp_path_factory.mktemp("shop") / "catalogue.json")


@pytest.fixture
def shop(sandbox: SandboxHandle, catalogue_file: Path, tmp_path: Path) -> Iterator[str]:  # noqa: F811
    """The address of a running storefront."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        **sandbox.env,
        "STOREFRONT_CATALOGUE": str(catalogue_file),
        "STOREFRONT_CACHE": str(tmp_path / "reader"),
    }
    command = [
        "uvicorn",
        "--app-dir",
        str(STOREFRONT),
        "shop:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
        "--loop",
        "asyncio",
    ]
    process = subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=tmp_path)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/healthz", timeout=2, trust_env=False)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the storefront did not start; it ended with {process.poll()}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed (`make debian` installs it for root)")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()
