"""Functions that say how far a raw log reaches, as a user would write them: one that is right, and every wrong one."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, date, datetime

import pandas

NEWEST = datetime(2017, 11, 30, 23, 59, tzinfo=UTC)
answers: dict[str, object] = {}
release = threading.Event()
not_a_function = 7


def newest(log: str) -> object:
    """What a test put there for this log."""
    return answers.get(log, NEWEST)


def naive(log: str) -> object:
    return NEWEST.replace(tzinfo=None)


def nothing(log: str) -> object:
    return None


def not_a_time(log: str) -> object:
    return pandas.NaT


def a_date(log: str) -> object:
    return date(2017, 11, 30)


def text(log: str) -> object:
    return "2017-11-30T23:59:00Z"


def raises(log: str) -> object:
    raise ValueError(f"no grant on {log}; token hunter2hunter2")


def leaves(log: str) -> object:
    sys.exit(3)


def slow(log: str) -> object:
    release.wait(20)
    return NEWEST


def before_time(log: str) -> object:
    return datetime(1, 1, 1, tzinfo=datetime.fromisoformat("2017-01-01T00:00:00+14:00").tzinfo)
