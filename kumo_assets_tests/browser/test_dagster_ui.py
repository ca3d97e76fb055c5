"""What a person sees and clicks in Dagster's web page, with the daemon's own sensor behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kumo_serving.pointer import Pointer
from playwright.sync_api import Browser, Page, expect

from kumo_assets_tests.browser.conftest import QUERY, DagsterUI, keep

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(900)]

GOOD, BAD = "2017-11-28", "2017-11-29"
CHAIN = ("predictions", "postprocessed", "s3_export", "dynamodb_table", "active_pointer")


@pytest.fixture(scope="module")
def own_page(chromium: Browser) -> Iterator[Page]:
    """A page for the clicks that several tests look at afterwards."""
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    context.set_default_timeout(90_000)
    expect.set_options(timeout=90_000)
    yield context.new_page()
    context.close()
    expect.set_options(timeout=5000)


@pytest.fixture(scope="module")
def promoted(ui: DagsterUI, own_page: Page) -> Pointer:
    """One good day, started by hand; nobody but the daemon's sensor promotes it."""
    assert ui.pointer() is None
    run = ui.launch(own_page, GOOD)
    assert run["status"] == "SUCCESS"
    pointer: Pointer = ui.wait_for(ui.pointer, "the sensor to move the pointer")
    return pointer


@pytest.fixture(scope="module")
def blocked(ui: DagsterUI, own_page: Page, promoted: Pointer) -> dict[str, Any]:
    """The next day, whose scores Kumo puts elsewhere."""
    ui.sandbox.kumo_faults(
        {
            "kind": "scores_shifted",
            "times": None,
            "query": QUERY,
            "tags": {"kumo_assets.environment": ui.env["KUMO_ASSETS_ENV"], "kumo_assets.partition": BAD},
            "with": {"times": 0.2, "add": 5},
        }
    )
    return ui.launch(own_page, BAD)


def test_graph_shows_the_whole_lineage_in_one_group(ui: DagsterUI, page: Page) -> None:
    page.goto(f"{ui.url}/locations/kumo_assets/asset-groups/{QUERY}/lineage")
    for asset in (*CHAIN, "transactions", "products"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    keep(page, "lineage")
    page.goto(f"{ui.url}/locations/kumo_assets/asset-groups/{QUERY}/list")
    for asset in CHAIN:
        expect(page.get_by_role("link", name=asset).first).to_be_visible()


def test_run_started_by_hand_goes_green_and_the_daemons_sensor_moves_the_pointer(
    ui: DagsterUI, page: Page, promoted: Pointer
) -> None:
    (run,) = ui.runs(dagster__partition=GOOD)
    page.goto(f"{ui.url}/runs/{run['id']}")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    keep(page, "run-green")
    assert (promoted.partition, promoted.generation) == (GOOD, 1)
    assert promoted.promoted.run_id in {mover["id"] for mover in ui.runs(dagster__sensor_name="promotion_sensor")}
    page.goto(f"{ui.url}/assets/{QUERY}/active_pointer")
    expect(page.get_by_text(promoted.release_id or "-").first).to_be_visible()
    expect(page.get_by_text("Never materialized")).to_have_count(0)
    keep(page, "active-pointer")


def test_blocked_run_shows_the_red_check_and_its_reason_and_the_pointer_stays(
    ui: DagsterUI, page: Page, promoted: Pointer, blocked: dict[str, Any]
) -> None:
    assert blocked["status"] == "FAILURE"
    page.goto(f"{ui.url}/runs/{blocked['id']}")
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible()
    keep(page, "run-blocked")
    page.goto(f"{ui.url}/assets/{QUERY}/predictions?view=checks&checkDetail=score_drift")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(page.get_by_text(f"against {promoted.release_id}").first).to_be_visible()
    # The sensor has looked again since, and seen nothing to promote.
    ticks = len(sensor_ticks(ui))
    ui.wait_for(lambda: len(sensor_ticks(ui)) > ticks, "another tick of the sensor")
    assert ui.pointer() == promoted


def test_check_page_shows_value_limits_baseline_and_a_plot_that_is_drawn(
    ui: DagsterUI, page: Page, promoted: Pointer, blocked: dict[str, Any]
) -> None:
    page.goto(f"{ui.url}/assets/{QUERY}/predictions?view=checks&checkDetail=score_drift")
    rows = {name: page.locator("tr").filter(has=page.get_by_text(name, exact=True)).first for name in WANTED}
    for name, row in rows.items():
        expect(row, name).to_be_visible()
    assert float(rows["value"].locator("td").last.inner_text()) > 0.2
    expect(rows["limits"]).to_contain_text("block")
    expect(rows["baseline"]).to_contain_text(promoted.release_id or "-")
    keep(page, "check-blocked")
    rows["plot"].get_by_text("Show Markdown").click()
    image = page.get_by_role("dialog").locator("img")
    expect(image).to_be_visible()
    assert str(image.get_attribute("src")).startswith("data:image/")
    # A picture the browser could not decode has no width of its own.
    assert image.evaluate("image => image.complete && image.naturalWidth") > 200
    keep(page, "check-plot")


WANTED = ("value", "limits", "baseline", "plot")
TICKS = """query { sensorOrError(sensorSelector: {repositoryName: "__repository__", repositoryLocationName: "kumo_assets",
  sensorName: "promotion_sensor"}) { ... on Sensor { sensorState { ticks(limit: 500) { timestamp } } } } }"""


def sensor_ticks(ui: DagsterUI) -> list[dict[str, Any]]:
    import httpx

    answer = httpx.post(f"{ui.url}/graphql", json={"query": TICKS}, timeout=60, trust_env=False).json()
    return list(answer["data"]["sensorOrError"]["sensorState"]["ticks"])
