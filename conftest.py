"""Two rules for every test of the repository.

In CI (the variable `CI`, which `.ci/run` sets) a skip is a failure: what a laptop may lack, CI must have, or a test that
never runs there would look green for ever. And a test that uses a server is marked `server` from the fixtures it asks for,
so that `make quick` leaves it out and nobody has to remember the mark.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

# Reasons that stand in CI too: the long forms have a run of their own (`make soak`), and Node is installed by nothing here.
ALLOWED = ("long form: make soak", "node is not installed")


# Fixtures that start a server, whichever test folder they are of; what asks for one of them asks for a server.
SERVERS = frozenset({"running_sandbox", "ministack", "zookeeper", "warehouse", "chromium"})
# Marks that say the same where a test starts its server by itself.
SERVER_MARKS = frozenset({"sandbox", "browser", "zookeeper"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SERVERS or any(item.get_closest_marker(name) for name in SERVER_MARKS):
            item.add_marker("server")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file that skips itself (`importorskip`) has no test to report."""
    return _judged((yield))


def _judged(report: Any) -> Any:
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        # pytest's own text of a skip: (file, line, "Skipped: <reason>")
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason not in ALLOWED:
            report.outcome = "failed"
            report.longrepr = f"{reason} (a skip, and in CI a failure: give CI what is missing)"
    return report
