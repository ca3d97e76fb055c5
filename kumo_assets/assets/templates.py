"""SQL files and their `{{ placeholders }}`. A placeholder nobody gave, or a file that is empty, is an error.

Values put in are quoted identifiers or literals made by `kumo_assets.resources.sql`, never raw configuration text.
"""

from __future__ import annotations

import re
from pathlib import Path

from kumo_assets.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_FOLDER = Path(__file__).parent / "sql"


def render(text: str, where: str, **values: str) -> str:
    """`text` with each `{{ name }}` replaced. ConfigError names the file, the placeholder and the allowed ones."""
    if not text.strip():
        raise ConfigError("use the SQL file", to=where, found="it is empty", next="write one SELECT")
    unknown = sorted({name for name in _PLACEHOLDER.findall(text) if name not in values})
    if unknown:
        raise ConfigError(
            "fill in the SQL file",
            to=where,
            found=f"unknown placeholder {', '.join('{{ ' + name + ' }}' for name in unknown)}",
            next=f"use one of: {', '.join('{{ ' + name + ' }}' for name in sorted(values))}",
        )
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], text).strip().rstrip(";").strip()


def shipped(name: str, **values: str) -> str:
    """One of this project's own SQL files, filled in."""
    return render((_FOLDER / name).read_text(), name, **values)
