"""A function of the user's own says how far a raw log reaches: what it may return, and everything that may go wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError, PipelineError, RawLogError
from kumo_assets.resources.raw_logs.function import newest_by_function
from kumo_assets_tests.resources.raw_logs import clocks

MODULE = clocks.__name__


@pytest.fixture(autouse=True)
def _released(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLICKS_TOKEN", "hunter2hunter2")
    clocks.release.clear()
    yield
    clocks.release.set()


def ask(function: str, seconds: float = 20) -> object:
    return newest_by_function("clicks", RawTable(freshness_from=function, function_seconds=seconds))


def test_an_aware_time_is_the_newest_event_and_none_is_no_event() -> None:
    assert ask(f"{MODULE}:newest") == clocks.NEWEST
    assert ask(f"{MODULE}:nothing") is None
    assert ask(f"{MODULE}:not_a_time") is None, "NaT compares as neither late nor in time"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("naive", "it returned 2017-11-30T23:59:00, which has no time zone.*aware"),
        ("a_date", "it returned date.*aware datetime, or None"),
        ("text", "it returned str"),
        ("raises", "it raised ValueError: no grant on clicks"),
        ("leaves", "it raised SystemExit: 3"),
        ("before_time", "it returned 0001-.*, which UTC has not"),
    ],
)
def test_anything_else_is_refused_by_name(function: str, words: str) -> None:
    with pytest.raises(RawLogError, match=f"raw log clicks reaches {MODULE}:{function}: {words}") as refused:
        ask(f"{MODULE}:{function}")
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__!r}"


def test_a_slow_one_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(RawLogError, match=r"slow: it took longer than 0\.2 s.*function_seconds"):
        ask(f"{MODULE}:slow", 0.2)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("no_such_module:newest", "there is no module no_such_module"),
        ("kumo_assets.no_such_part.at_all:newest", r"there is no module kumo_assets\.no_such_part"),
        (f"{MODULE}:no_such_function", "has no function no_such_function"),
        (f"{MODULE}:not_a_function", "has no function not_a_function"),
    ],
)
def test_a_function_that_is_not_there_is_the_definitions_fault(function: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{words}.*freshness_from"):
        ask(function)


def test_a_module_that_lacks_what_it_imports_says_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lacking_clock.py").write_text("import google.cloud_bigquery_is_not_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PipelineError, match=r"ModuleNotFoundError.*google"):
        ask("lacking_clock:newest")
