"""docs/assumptions.md has the rows of the report, one for one, each with what the emulator does and the vendor's source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from kumo_assets.proving.assumptions import ASSUMPTIONS

PAGE = Path(__file__).parents[2] / "docs" / "assumptions.md"
VENDORS = (
    "https://docs.aws.amazon.com/",
    "https://docs.snowflake.com/",
    "https://zookeeper.apache.org/",
    "https://kumo.ai/",
)


class Line(NamedTuple):
    name: str
    says: str
    emulator: str
    vendor: str


def lines() -> list[Line]:
    found = []
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            name, says, emulator, vendor = (cell.strip() for cell in line.strip("|").split(" | "))
            found.append(Line(name.strip("`"), says, emulator, vendor))
    return found


def test_page_has_each_row_of_the_report_in_its_order_and_words() -> None:
    assert [(line.name, line.says) for line in lines()] == [(one.name, one.says) for one in ASSUMPTIONS]


def test_each_row_says_what_the_emulator_does_and_where_the_vendor_says_so() -> None:
    for line in lines():
        assert len(line.emulator) > 3, line
        addresses = re.findall(r"\((https://[^)]+)\)", line.vendor)
        assert addresses, line
        assert all(address.startswith(VENDORS) for address in addresses), line


def test_each_denial_is_said_not_to_be_tried_in_the_sandbox() -> None:
    denials = [line for line in lines() if line.name.startswith("denied-") and line.name != "denied-zookeeper"]
    assert denials
    assert all("the emulator enforces no permissions" in line.emulator for line in denials)


def test_each_assumption_says_what_follows_where_it_does_not_hold() -> None:
    assert len({one.name for one in ASSUMPTIONS}) == len(ASSUMPTIONS)
    assert all(one.means for one in ASSUMPTIONS)
