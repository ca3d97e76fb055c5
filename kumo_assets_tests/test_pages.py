"""docs/faults.md and docs/rules.md keep their word: they are numbered without a gap, every test they name exists, and
every rule and fault that the code cites is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAULTS = [
    line.split("|")[1:-1] for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if re.match(r"\| \d", line)
]
RULES = re.findall(
    r"^## Rule (\d+)\n\n(.+?)\n\nTests: (.+?)(?:\n\n|\Z)", (ROOT / "docs" / "rules.md").read_text(), re.M | re.S
)
TEST = re.compile(r"`([\w/]+\.py::\w+)`")
NAMED = sorted(
    {name for tests in (*(row[3] for row in FAULTS), *(rule[2] for rule in RULES)) for name in TEST.findall(tests)}
)
CITING = ("kumo_assets", "kumo_assets_tests", "packages", "docs", "benchmarks", "examples", "deploy")


def test_every_fault_has_its_guard_and_its_test() -> None:
    assert [int(row[0]) for row in FAULTS] == list(range(1, len(FAULTS) + 1))
    assert len(FAULTS) >= 25
    for number, fault, guard, tests in FAULTS:
        assert fault.strip(), number
        assert guard.strip(), number
        assert "::" in tests, number


def test_no_fault_has_two_rows() -> None:
    faults = [row[1].strip() for row in FAULTS]
    assert sorted(set(faults)) == sorted(faults)


def test_there_are_ten_rules_each_with_tests() -> None:
    assert [int(number) for number, _, _ in RULES] == list(range(1, 11))
    for number, text, tests in RULES:
        assert text.startswith("**"), number
        assert TEST.findall(tests), number


@pytest.mark.parametrize(("word", "most"), [("rule", len(RULES)), ("fault", len(FAULTS))])
def test_every_number_that_is_cited_is_on_its_page(word: str, most: int) -> None:
    cited = re.compile(rf"\b{word} (\d+)\b")
    files = [file for folder in CITING for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".md")]
    found = {(str(file), int(number)) for file in files for number in cited.findall(file.read_text())}
    assert len(found) >= 3
    assert [one for one in found if not 1 <= one[1] <= most] == []


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_a_page_names_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert function in _functions(path)


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


LINKS = sorted(
    {
        (str(page.relative_to(ROOT)), target)
        for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "packages").glob("*/*.md"))
        for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text())
    }
)


def test_every_link_inside_the_repository_leads_somewhere() -> None:
    broken = []
    for page, target in LINKS:
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append((page, target))
    assert len(LINKS) > 20
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings: lower case, words joined by hyphens, other signs left out."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
