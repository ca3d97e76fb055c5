"""SQL text with `{{ placeholders }}`. A placeholder nobody gave, or a text that is empty, is an error.

Values put in are quoted identifiers or literals made by `sql.py`, never raw configuration text.
"""

from __future__ import annotations

import re

from kumo_assets.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def placeholders(text: str) -> set[str]:
    """The names a text asks for."""
    return set(_PLACEHOLDER.findall(text))


def render(text: str, where: str, /, **values: str) -> str:
    """`text` with each `{{ name }}` replaced. ConfigError names the file, the placeholder and the allowed ones."""
    if not text.strip():
        raise ConfigError("use the SQL file", to=where, found="it is empty", next="write one SELECT")
    unknown = sorted(placeholders(text) - values.keys())
    if unknown:
        raise ConfigError(
            "fill in the SQL file",
            to=where,
            found=f"unknown placeholder {', '.join('{{ ' + name + ' }}' for name in unknown)}",
            next=f"use one of: {', '.join('{{ ' + name + ' }}' for name in sorted(values))}",
        )
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], text).strip().rstrip(";").strip()
