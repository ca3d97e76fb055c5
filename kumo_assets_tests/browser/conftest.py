"""Dagster's own web page and daemon, started as `make dev` starts them, over the sandbox and its small raw logs.

One instance for the session, and an environment of its own, so that what is clicked here meets nobody else's releases.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from kumo_sandbox.demo.online import active_pointer
from kumo_sandbox.dev import dagster_programs, make_dagster_storage
from kumo_sandbox.programs import Group
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import SandboxHandle
from kumo_serving.pointer import Pointer
from playwright.sync_api import Browser, Page, expect
from rich.console import Console

from kumo_assets_tests.chain.conftest import logs  # noqa: F401 - a fixture
from kumo_assets_tests.storefront.conftest import chromium  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
QUERY = "next_best_product"
JOB = f"{QUERY}_daily"
# Starting Python and loading Dagster is most of a run; a busy machine takes minutes for it.
PATIENCE = 280.0
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
# The raw logs' first weeks are as dense as the last: any of these days can be run.
RUNS = """query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results {
  id jobName status tags { key value } } } } }"""


@dataclass(frozen=True)
class DagsterUI:
    """The page's address, the environment of its programs, and the sandbox beneath."""

    url: str
    env: dict[str, str]
    sandbox: SandboxHandle

    def pointer(self) -> Pointer | None:
        return active_pointer(self.env, QUERY)

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs with these tags (dots for slashes' sake are not needed: keys as Dagster has them), newest first."""
        wanted = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        answer = httpx.post(
            f"{self.url}/graphql",
            json={"query": RUNS, "variables": {"filter": {"tags": wanted}}},
            timeout=60,
            trust_env=False,
        )
        answer.raise_for_status()
        return list(answer.json()["data"]["runsOrError"]["results"])

    def launch(self, page: Page, day: str) -> dict[str, Any]:
        """Click a run of one day together, as a person does, and wait for its end."""
        page.goto(f"{self.url}/locations/kumo_assets/jobs/{JOB}")
        page.get_by_role("button", name="Materialize all").click()
        # Dagster asks twice when something upstream (a model trained elsewhere) was never materialised here.
        question = page.get_by_role("button", name="Confirm")
        expect(question.or_(page.get_by_text("Partition selection")).first).to_be_visible()
        if question.count():
            question.click()
        box = page.get_by_role("dialog").locator("input[type=text]").first
        box.fill(day)
        box.press("Tab")
        page.get_by_role("dialog").get_by_role("button", name="Launch 1 run").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        return self.wait_for(lambda: self._ended(day), f"the end of {day}'s run")

    def _ended(self, day: str) -> dict[str, Any] | None:
        found = [run for run in self.runs(dagster__partition=day) if run["jobName"] == JOB]
        return found[0] if found and found[0]["status"] in ENDED else None

    def wait_for(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


@pytest.fixture(scope="session")
def ui(logs: SandboxHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterUI]:  # noqa: F811
    home = tmp_path_factory.mktemp("dagster-home")
    # The project's own instance settings, writing elsewhere.
    settings = (ROOT / "dagster.yaml").read_text().replace(" .dagster/", f" {home}/.dagster/")
    assert str(home) in settings
    (home / "dagster.yaml").write_text(settings)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAGSTER_"))},
        **logs.env,
        "KUMO_ASSETS_ENV": "b" + uuid.uuid4().hex[:10],
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    port = free_port()
    with (home / "programs.log").open("w") as log:
        group = Group(Console(file=log, width=200), env, ROOT)
        try:
            make_dagster_storage(env, ROOT)
            group.run(dagster_programs(ROOT, home, port))
            yield DagsterUI(f"http://127.0.0.1:{port}", env, logs)
        finally:
            group.end()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:  # noqa: F811
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    context.set_default_timeout(PATIENCE * 1000 / 4)
    expect.set_options(timeout=PATIENCE * 1000 / 4)
    yield context.new_page()
    context.close()
    expect.set_options(timeout=5000)


def keep(page: Page, name: str) -> None:
    """A picture of the page for a person, when one asks for pictures (KUMO_SCREENSHOTS=FOLDER)."""
    folder = os.environ.get("KUMO_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(1000)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
