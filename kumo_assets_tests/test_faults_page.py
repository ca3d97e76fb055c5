"""docs/faults.md keeps its word: the faults are numbered without a gap, and every test it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    line.split("|")[1:-1] for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if re.match(r"\| \d", line)
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`([\w/]+\.py::\w+)`", row[3])})


def test_every_fault_has_its_guard_and_its_test() -> None:
    assert len(ROWS) >= 25
    assert [int(row[0]) for row in ROWS] == list(range(1, len(ROWS) + 1))
    for number, fault, guard, tests in ROWS:
        assert fault.strip(), number
        assert guard.strip(), number
        assert "::" in tests, number


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_the_page_names_exists(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert function in found
