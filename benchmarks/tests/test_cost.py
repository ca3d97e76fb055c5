"""docs/cost.md says what its formulas give, and assumes what the code does."""

from __future__ import annotations

import re

import pytest

from benchmarks.cost import ASSUMED, LINES, PAGE, PRICES, QUERIES, USERS, assumed, month, page


def test_the_page_is_what_the_formulas_give() -> None:
    assert PAGE.read_text() == page()


def test_a_month_worked_out_by_hand() -> None:
    one = month(10_000_000, 10)
    # 10 M users x 10 queries x 30 days x 200 bytes = 600 GB, at $0.15.
    assert one["import"] == pytest.approx(90.0)
    # 100 M items x 9 tables x 300 bytes = 270 GB, at $0.25.
    assert one["tables kept"] == pytest.approx(67.5)
    # 100 M users x 30 days x 2 lookups x half a unit = 3,000 M units, at $0.125.
    assert one["reads"] == pytest.approx(375.0)
    # 300 builds x (0.05 + 10 x 0.01) credits = 45 credits, at $3.
    assert one["Snowflake, running"] == pytest.approx(135.0)
    # 100 M x 9 x 250 bytes = 0.225 TB, at $23.
    assert one["Snowflake, tables kept"] == pytest.approx(5.175)
    # 100 M x 9 x 80 bytes = 72 GB, at $0.023.
    assert one["S3, exports kept"] == pytest.approx(1.656)
    # 300 builds x (110 GET at $0.40 + 50 PUT at $5 a million) = 300 x $0.000294.
    assert one["S3, builds"] == pytest.approx(0.0882)
    # 259,200 LISTs at $5, and of each of 10 queries 43,200 looks at $5.40 and 8,640 at $10.40, all a million.
    assert one["S3, the promotion sensor"] == pytest.approx(1.296 + 2.3328 + 0.89856)
    # The figure for 100 queries in docs/operations.md.
    assert round(month(1, 100)["S3, the promotion sensor"]) == 34
    # 20 processes x 10 queries x 518,400 reads at $0.40 a million.
    assert one["S3, readers' polling"] == pytest.approx(41.472)
    assert len(one) == len(LINES) == 9


def test_each_number_and_price_is_on_the_page_with_its_source() -> None:
    text = PAGE.read_text()
    assert "us-east-1" in text
    assert re.search(r"as of\s+December 2026", text)
    for price in PRICES.values():
        assert price.source.startswith("looked up:") or price.source == "assumption"
    sums = re.findall(r"\*\*([\d,.]+)\*\*", text)
    wanted = [f"{sum(month(users, queries).values()):,.2f}" for queries in QUERIES for users in USERS]
    assert [found for found in sums if found != "all"] == wanted


def test_what_the_page_assumes_of_the_code_is_so() -> None:
    from kumo_serving import S3Pointer

    from kumo_assets.automation.looking import QUIET_LOOK_SECONDS
    from kumo_assets.automation.promotion_sensor import INTERVAL_SECONDS
    from kumo_assets.config.query import Retention
    from kumo_assets.releases.inspection import EVERY

    assert assumed("tick_seconds") == INTERVAL_SECONDS
    assert assumed("look_seconds") == QUIET_LOOK_SECONDS
    assert assumed("strange_seconds") == EVERY.total_seconds()
    assert assumed("tables") == Retention().keep + 2
    assert (assumed("poll_one"), assumed("poll_several")) == (S3Pointer.poll_seconds, S3Pointer.poll_seconds_of_many)
    assert ASSUMED["tables"].meaning.startswith(f"releases kept: {Retention().keep} ")
