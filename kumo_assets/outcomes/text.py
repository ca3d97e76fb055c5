"""The SQL files of this room, filled in."""

from __future__ import annotations

from pathlib import Path

from kumo_assets.resources.template import render

_FOLDER = Path(__file__).parent / "sql"


def shipped(name: str, **values: str) -> str:
    """One of this room's SQL files. ConfigError for a placeholder nobody gave."""
    return render((_FOLDER / name).read_text(), name, **values)
