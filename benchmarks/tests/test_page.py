"""docs/benchmarks.md: a run on a new machine writes its own sections and leaves the others."""

from __future__ import annotations

from benchmarks.figures import Figure, Result
from benchmarks.report import markdown

TITLES = {"first": "The first", "second": "The second", "third": "The third"}


def result(name: str, value: float) -> Result:
    return Result(TITLES[name], [Figure("a figure", value, "s", 3.0)])


def test_what_was_not_run_here_keeps_its_section() -> None:
    page = markdown(TITLES, {"first": result("first", 1.0), "third": result("third", 3.0)}, "")
    assert page.count("\n## ") == 2
    again = markdown(TITLES, {"first": result("first", 2.0), "second": result("second", 4.0)}, page)
    assert [line for line in again.splitlines() if line.startswith("## ")] == [
        f"## {title}" for title in TITLES.values()
    ]
    assert "| a figure | 2 s | at most 3 s |" in again
    assert "| a figure | 4 s | at most 3 s: MISSED |" in again
    assert "| a figure | 3 s | at most 3 s |" in again
    assert "| a figure | 1 s |" not in again
    assert markdown(TITLES, {}, again) == again
