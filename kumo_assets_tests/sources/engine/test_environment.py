"""What is wrong with the Engine's environment is said at once, in words that name it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.errors import ConfigError
from kumo_assets.sources.engine.environment import engine_python, faults_of

GOOD: dict[str, Any] = {
    "python": [3, 11],
    "libc": ["glibc", "2.36"],
    "machine": "x86_64",
    "packages": {"kumo-engine": "1.0.0", "dagster-pipes": "1.13.27", "boto3": "1.44.8"},
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"libc": ["glibc", "2.34"]}, []),
        ({"libc": ["glibc", "2.31"]}, ["it has glibc 2.31, and the Engine needs 2.34 or newer"]),
        ({"libc": ["", ""]}, ["its C library is not glibc"]),
        ({"python": [3, 10]}, ["it is Python 3.10"]),
        ({"machine": "aarch64"}, ["its processor is aarch64"]),
        ({"packages": {**GOOD["packages"], "kumo-engine": "1.1.0"}}, ["it has kumo-engine 1.1.0, and this version"]),
        ({"packages": {"kumo-engine": "1.0.0"}}, ["it has no dagster-pipes", "it has no boto3"]),
    ],
)
def test_faults_are_named_one_by_one(changed: dict[str, Any], words: list[str]) -> None:
    found = faults_of({**GOOD, **changed})
    assert len(found) == len(words)
    assert all(text in fault for text, fault in zip(words, found, strict=True))


def test_no_variable_says_how_to_make_the_environment() -> None:
    with pytest.raises(ConfigError, match=r"KUMO_ENGINE_PYTHON is not set.*make \.engine\.stamp"):
        engine_python({})


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/python: it cannot be started: No such file"):
        engine_python({"KUMO_ENGINE_PYTHON": str(tmp_path / "nowhere/python")})


def test_something_else_than_a_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it must be a Python"):
        engine_python({"KUMO_ENGINE_PYTHON": "/bin/true"})


def test_a_python_without_the_engine_says_so() -> None:
    with pytest.raises(ConfigError, match="it has no kumo-engine"):
        engine_python({"KUMO_ENGINE_PYTHON": sys.executable})


def test_the_engines_own_python_is_good(engine: Path) -> None:
    assert engine_python() == str(engine)
