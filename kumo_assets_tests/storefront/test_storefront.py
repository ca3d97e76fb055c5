"""What a shopper sees while releases come and go and S3 fails: in a real browser, against the real server."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import ENTITIES
from playwright.sync_api import Browser, Page, expect

from kumo_assets_tests.storefront.conftest import QUERY, Shelf

pytestmark = [pytest.mark.browser, pytest.mark.sandbox]

# Milliseconds that a busy machine may take for what takes two seconds.
PATIENCE = 40_000
HOUSEHOLD = "900"
OLD_LIST = ["1082185", "995242", "1029743", "840361", "981760"]
NEW_LIST = ["1106523", "1044078", "999999999", "1126899", "951590"]
POPULAR = ["1082185", "1029743", "995242", "6534178", "981760", "1106523", "1127831", "5569230", "1044078", "883404"]


@dataclass
class Stock:
    """Two sealed releases, of which the older is active."""

    shelf: Shelf
    old: str
    new: str


@pytest.fixture
def stock(shelf: Shelf) -> Stock:
    old = shelf.stock("2017-11-29", {HOUSEHOLD: OLD_LIST}, POPULAR)
    shelf.promote(old)
    return Stock(shelf, old, shelf.stock("2017-11-30", {HOUSEHOLD: NEW_LIST}, POPULAR))


@pytest.fixture
def shop(open_shop: str, stock: Stock) -> str:
    """The address of a shop that serves the older release."""
    deadline = time.monotonic() + PATIENCE / 1000
    while httpx.get(f"{open_shop}/healthz", trust_env=False).json()["release_id"] != stock.old:
        assert time.monotonic() < deadline, "the shop does not follow the pointer"
        time.sleep(0.05)
    # Its fallback list comes a moment after the pointer.
    while "/static/" in (text := httpx.get(f"{open_shop}/?household=stranger", trust_env=False).text):
        if all(f'data-product="{product}"' in text for product in POPULAR[:5]):
            return open_shop
        assert time.monotonic() < deadline, "the shop has no fallback list"
        time.sleep(0.05)
    raise AssertionError("the shop has no page")


def products(page: Page) -> list[str]:
    return [str(card.get_attribute("data-product")) for card in page.locator(".card").all()]


def test_page_follows_promotion_and_rollback_without_restart_or_reload(stock: Stock, shop: str, page: Page) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator("#release")).to_have_text(stock.old)
    assert products(page) == OLD_LIST
    stock.shelf.command("promote", QUERY)
    expect(page.locator("#release")).to_have_text(stock.new, timeout=PATIENCE)
    assert products(page) == NEW_LIST
    expect(page.locator(".made")).to_contain_text("30 November 2017")
    # An open page's ages go on by themselves.
    live_for = page.locator("#live-for").inner_text()
    expect(page.locator("#live-for")).not_to_have_text(live_for, timeout=PATIENCE)
    stock.shelf.command("rollback", QUERY, "--reason", "a try")
    expect(page.locator("#release")).to_have_text(stock.old, timeout=PATIENCE)
    assert products(page) == OLD_LIST


def test_products_have_names_and_departments_and_unknown_ones_a_number(stock: Stock, shop: str, page: Page) -> None:
    stock.shelf.promote(stock.new)
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator("#release")).to_have_text(stock.new, timeout=PATIENCE)
    milk = page.locator("[data-product='1106523']")
    expect(milk.locator("h2")).not_to_have_text("Product 1106523")
    expect(milk.locator(".art-milk")).to_have_count(1)
    expect(milk.locator(".department")).not_to_be_empty()
    expect(page.locator("[data-product='999999999'] h2")).to_have_text("Product 999999999")


def test_any_household_can_be_chosen(stock: Stock, shop: str, page: Page) -> None:
    page.goto(f"{shop}/?household=stranger")
    expect(page.locator("h1")).to_contain_text("New here?")
    assert products(page) == POPULAR[:5]
    page.get_by_label("Household").fill(HOUSEHOLD)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text("nearly packed")
    assert products(page) == OLD_LIST
    page.get_by_role("link", name="Another").click()
    expect(page).not_to_have_url(f"{shop}/?household={HOUSEHOLD}")
    # One at random: a few have the short list that every release is built with, the others what is popular.
    another = page.get_by_label("Household").input_value()
    expect(page.locator(".card")).to_have_count(2 if another in ENTITIES else 5)


def test_a_staged_release_is_shown_beside_the_live_one_on_request_and_to_nobody_else(
    stock: Stock, shop: str, page: Page
) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}&beside=staged")
    expect(page.locator(".staged")).to_contain_text("No release waits for approval")
    stock.shelf.command("promote", QUERY, stock.new, "--stage")
    expect(page.locator("#staged")).to_have_text(stock.new, timeout=PATIENCE)
    staged = [card.get_attribute("data-product") for card in page.locator(".staged .card").all()]
    assert staged == NEW_LIST
    assert products(page) == OLD_LIST + NEW_LIST
    expect(page.locator("#release")).to_have_text(stock.old)
    box, width = page.locator(".sides").bounding_box(), page.evaluate("document.documentElement.scrollWidth")
    assert box is not None
    assert box["x"] + box["width"] <= width <= 1280
    text = httpx.get(f"{shop}/?household={HOUSEHOLD}", trust_env=False).text
    assert stock.new not in text
    text = httpx.get(f"{shop}/?household=stranger&beside=staged", trust_env=False).text
    assert "It has no list for this household" in text


def test_page_still_answers_when_s3_stops_and_says_how_old_it_is(
    stock: Stock,
    shop: str,
    page: Page,
    sandbox: SandboxHandle,
) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    expect(page.locator(".notice")).to_have_count(0, timeout=PATIENCE)
    sandbox.aws_faults({"service": "s3", "times": -1, "cut": "before"})
    # The shop calls a pointer old after some seconds without S3; the open page finds out by itself.
    expect(page.locator(".notice")).to_contain_text("confirmed", timeout=PATIENCE)
    assert products(page) == OLD_LIST
    expect(page.locator(".notice")).to_contain_text(" ago")
    assert httpx.get(f"{shop}/healthz", trust_env=False).json()["state"] == "stale"
    sandbox.reset_faults()
    expect(page.locator(".notice")).to_have_count(0, timeout=PATIENCE)


def test_page_shows_everybodys_list_when_no_table_answers(
    stock: Stock, shop: str, page: Page, sandbox: SandboxHandle
) -> None:
    page.goto(f"{shop}/?household={HOUSEHOLD}")
    sandbox.aws_faults({"service": "dynamodb", "times": -1, "status": 500, "code": "InternalServerError"})
    answer = page.goto(f"{shop}/?household={HOUSEHOLD}")
    assert answer is not None
    assert answer.status == 200
    expect(page.locator("h1")).to_contain_text("Favourites of the neighbourhood")
    assert products(page) == POPULAR[:5]


def test_page_without_any_release_says_so_and_fills_by_itself(shelf: Shelf, new_shop: str, page: Page) -> None:
    page.goto(new_shop)
    expect(page.locator("h1")).to_contain_text("being stocked")
    assert httpx.get(f"{new_shop}/healthz", trust_env=False).status_code == 503
    release = shelf.stock("2017-11-29", {HOUSEHOLD: OLD_LIST}, POPULAR)
    shelf.promote(release)
    expect(page.locator("#release")).to_have_text(release, timeout=PATIENCE)


def test_page_fits_phone_tablet_and_desktop(stock: Stock, shop: str, chromium: Browser) -> None:
    for width, height in ((360, 780), (768, 1024), (1280, 900)):
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


def test_household_from_the_address_is_never_markup(stock: Stock, shop: str) -> None:
    text = httpx.get(shop, params={"household": "<script>alert(1)</script>"}, trust_env=False).text
    assert "<script>alert" not in text
