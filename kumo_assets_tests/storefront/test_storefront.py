"""What a shopper sees while releases come and go and S3 fails: in a real browser, against the real server."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from kumo_sandbox.testing import SandboxHandle
from playwright.sync_api import Browser, Page, expect

from kumo_assets_tests.storefront.conftest import Releases

pytestmark = [pytest.mark.browser, pytest.mark.sandbox]

OLD, NEW = "20171129-0a0a0a0a", "20171130-1b1b1b1b"
HOUSEHOLD = "900"
OLD_LIST = ["1082185", "995242", "1029743", "840361", "981760"]
NEW_LIST = ["1106523", "1044078", "999999999", "1126899", "951590"]
POPULAR = ["1082185", "1029743", "995242", "6534178", "981760", "1106523", "1127831", "5569230", "1044078", "883404"]


@pytest.fixture
def stocked(releases: Releases) -> Releases:
    releases.seal(OLD, {HOUSEHOLD: OLD_LIST}, POPULAR)
    releases.seal(NEW, {HOUSEHOLD: NEW_LIST}, POPULAR)
    releases.point_at(OLD)
    return releases


def products(page: Page) -> list[str]:
    return [str(card.get_attribute("data-product")) for card in page.locator(".card").all()]


def test_page_follows_promotion_and_rollback_without_restart_or_reload(
    stocked: Releases, shop: str, page: Page
) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator("#release")).to_have_text(OLD)
    assert products(page) == OLD_LIST
    stocked.point_at(NEW)
    expect(page.locator("#release")).to_have_text(NEW, timeout=8000)
    assert products(page) == NEW_LIST
    expect(page.locator(".made")).to_contain_text("30 November 2017")
    stocked.point_at(OLD)
    expect(page.locator("#release")).to_have_text(OLD, timeout=8000)
    assert products(page) == OLD_LIST


def test_products_have_names_and_departments_and_unknown_ones_a_number(
    stocked: Releases, shop: str, page: Page
) -> None:
    stocked.point_at(NEW)
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator("#release")).to_have_text(NEW, timeout=8000)
    bananas = page.locator("[data-product='1106523']")
    expect(bananas.locator("h2")).not_to_have_text("Product 1106523")
    expect(bananas.locator(".department")).not_to_be_empty()
    expect(page.locator("[data-product='999999999'] h2")).to_have_text("Product 999999999")


def test_any_household_can_be_chosen(stocked: Releases, shop: str, page: Page) -> None:
    page.goto(f"{shop}/?household=stranger")
    expect(page.locator("h1")).to_contain_text("New here?")
    assert products(page) == POPULAR[:5]
    page.get_by_label("Household").fill(HOUSEHOLD)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text("nearly packed")
    assert products(page) == OLD_LIST
    page.get_by_role("link", name="Another").click()
    expect(page).not_to_have_url(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator(".card")).to_have_count(5)


def test_page_still_answers_when_s3_stops_and_says_how_old_it_is(
    stocked: Releases,
    shop: str,
    page: Page,
    sandbox: SandboxHandle,
) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator(".notice")).to_have_count(0)
    sandbox.aws_faults({"service": "s3", "times": -1, "cut": "before"})
    # The shop calls a pointer old after ten seconds without S3; the open page finds out by itself.
    expect(page.locator(".notice")).to_contain_text("confirmed", timeout=25_000)
    assert products(page) == OLD_LIST
    expect(page.locator(".notice")).to_contain_text(" ago")
    assert httpx.get(f"{shop}/healthz", trust_env=False).json()["state"] == "stale"
    sandbox.reset_faults()
    expect(page.locator(".notice")).to_have_count(0, timeout=15_000)


def test_page_shows_everybodys_list_when_no_table_answers(
    stocked: Releases, shop: str, page: Page, sandbox: SandboxHandle
) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    sandbox.aws_faults({"service": "dynamodb", "times": -1, "status": 500, "code": "InternalServerError"})
    answer = page.goto(f"{shop}/?household={HOUSEHOLD}")
    assert answer is not None
    assert answer.status == 200
    expect(page.locator("h1")).to_contain_text("Favourites of the neighbourhood")
    assert products(page) == POPULAR[:5]


def test_page_without_any_release_says_so_and_fills_by_itself(releases: Releases, shop: str, page: Page) -> None:
    page.goto(shop)
    expect(page.locator("h1")).to_contain_text("being stocked")
    assert httpx.get(f"{shop}/healthz", trust_env=False).status_code == 503
    releases.seal(OLD, {HOUSEHOLD: OLD_LIST}, POPULAR)
    releases.point_at(OLD)
    expect(page.locator("#release")).to_have_text(OLD, timeout=10_000)


@pytest.mark.parametrize(("width", "height"), [(360, 780), (768, 1024), (1280, 900)])
def test_page_fits_its_window(stocked: Releases, shop: str, chromium: Browser, width: int, height: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height})
    try:
        page = context.new_page()
        page.goto(f"{shop}/?household={HOUSEHOLD}")
        expect(page.locator(".card")).to_have_count(5)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for box in [card.bounding_box() for card in page.locator(".card").all()]:
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        if os.environ.get("KUMO_SCREENSHOTS"):
            page.screenshot(path=str(Path(os.environ["KUMO_SCREENSHOTS"]) / f"shop-{width}.png"), full_page=True)
    finally:
        context.close()


def test_household_from_the_address_is_never_markup(stocked: Releases, shop: str) -> None:
    text = httpx.get(shop, params={"household": "<script>alert(1)</script>"}, trust_env=False).text
    assert "<script>alert" not in text
