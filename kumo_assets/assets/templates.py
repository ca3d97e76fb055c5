"""The SQL files of the chain's assets, filled in."""

from __future__ import annotations

from pathlib import Path

from kumo_assets.resources.template import render

__all__ = ["render", "shipped", "source_text"]

_FOLDER = Path(__file__).parent / "sql"


def shipped(name: str, **values: str) -> str:
    """One of this project's own SQL files, filled in. ConfigError for a placeholder nobody gave."""
    return render(source_text(name), name, **values)


def source_text(name: str) -> str:
    """One of this project's own SQL files as it is written."""
    return (_FOLDER / name).read_text()
