"""The example shop, running for real: its server, a headless Chromium, and two releases to choose between."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kumo_sandbox.grocery import grocery_log, write_catalogue
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import SandboxHandle, Server
from kumo_sandbox.testing.releases import Shop, client
from kumo_serving.items import RANKING, encode_item
from playwright.sync_api import Browser, Page, sync_playwright

from kumo_assets.config.environment import Environment
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.promote import promote

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
SHIPPED = Path(__file__).parents[2] / "kumo_assets" / "defs"


@dataclass
class Shelf(Shop):
    """Releases built through the real store, with lists of real products; moved by the real command line."""

    def stock(self, partition: str, lists: dict[str, list[str]], popular: list[str]) -> str:
        """A sealed release of these lists; its id."""
        release = self.build(partition)
        names = self.ctx.names
        for household, products in lists.items():
            scored = [(product, 1.0 - place / 10) for place, product in enumerate(products)]
            item = encode_item(household, scored, RANKING)
            self.ctx.dynamodb.put_item(TableName=names.dynamodb_table(release), Item=item)
        self.ctx.objects.client.put_object(
            Bucket=names.bucket,
            Key=f"{names.release_prefix(release)}fallback.json",
            Body=json.dumps(
                {
                    "schema_version": 1,
                    "query": self.query,
                    "release_id": release,
                    "item_format": RANKING,
                    "p": [[product, 1.0 - place / 100] for place, product in enumerate(popular)],
                }
            ),
        )
        return release

    def promote(self, release: str) -> None:
        """Put it live, as `kumo-assets promote` does."""
        promote(self.ctx, release, by="the shop's keeper")

    def command(self, *arguments: str) -> None:
        """`kumo-assets ARGUMENTS`, as an operator types it."""
        program = Path(sys.executable).parent / "kumo-assets"
        subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60)

    def empty(self) -> None:
        dynamodb, s3, names = self.ctx.dynamodb, self.ctx.objects.client, self.ctx.names
        for release in self.built:
            table = names.dynamodb_table(release)
            dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            dynamodb.delete_table(TableName=table)
        prefix = f"{names.environment}/{self.query}/"
        for item in s3.list_objects_v2(Bucket=names.bucket, Prefix=prefix).get("Contents", []):
            s3.delete_object(Bucket=names.bucket, Key=item["Key"])


@pytest.fixture
def shelf(sandbox: SandboxHandle) -> Iterator[Shelf]:
    """The shipped query with no release yet; what a test builds is taken away again."""
    definition = DefinitionsIndex(SHIPPED).query(QUERY)
    found = Shelf(
        ReleaseContext.from_environment(
            definition, Environment.from_variables(), s3=client("s3"), dynamodb=client("dynamodb")
        )
    )
    yield found
    sandbox.start()
    sandbox.reset_faults()
    found.empty()


@pytest.fixture(scope="session")
def catalogue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(grocery_log(), tmp_path_factory.mktemp("shop") / "catalogue.json")


@pytest.fixture(scope="session")
def open_shop(
    running_sandbox: SandboxHandle, catalogue_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A storefront that serves all tests, as a real one lives through many releases. Its address."""
    with serving(running_sandbox, catalogue_file, tmp_path_factory.mktemp("storefront")) as url:
        yield url


@pytest.fixture
def new_shop(sandbox: SandboxHandle, catalogue_file: Path, tmp_path: Path) -> Iterator[str]:
    """A storefront that was started just now and knows nothing."""
    with serving(sandbox, catalogue_file, tmp_path) as url:
        yield url


@contextlib.contextmanager
def serving(sandbox: SandboxHandle, catalogue: Path, folder: Path) -> Iterator[str]:
    variables = {
        **sandbox.env,
        "STOREFRONT_CATALOGUE": str(catalogue),
        "STOREFRONT_CACHE": str(folder / "reader"),
        "STOREFRONT_STALE_SECONDS": "3",
    }
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(STOREFRONT), "shop:app", "--port", str(port)]
    command += ["--log-level", "warning", "--loop", "asyncio"]
    with Server("storefront", folder, command, port, variables) as server:
        yield server.url


# Not of the session: while Playwright's synchronous form is open its event loop counts as running in this thread, and the
# asyncio tests of the files that come after could not start theirs.
@pytest.fixture(scope="module")
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
