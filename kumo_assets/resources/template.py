"""SQL text with `{{ placeholders }}`: which it names, whether it is one statement, and the text with values put in.

Values put in are quoted identifiers or literals made by `sql.py`, never raw configuration text. What stands in a comment
is no placeholder and no statement. Nothing is sent anywhere here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from kumo_assets.errors import ConfigError

# Comments and quoted text as Snowflake reads them ("Comments", "String & binary data types"). A text that does not end
# is taken as it stands: Snowflake names the place better than we could.
_COMMENT = r"--[^\n]*|//[^\n]*|/\*.*?(?:\*/|\Z)"
_QUOTED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$"
_PIECE = re.compile(rf"(?P<comment>{_COMMENT})|(?P<quoted>{_QUOTED})|(?P<end>;)", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def read_sql(path: Path) -> str:
    """The text of a SQL file. ConfigError when it cannot be opened or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "read", to=str(path), found=str(error), next="make it a file of UTF-8 text that this user may read"
        ) from error


def placeholders(text: str) -> set[str]:
    """The names a text asks for, comments left out."""
    return set(_PLACEHOLDER.findall(_without_comments(text)))


def check_sql(text: str, where: str, known: Collection[str]) -> None:
    """ConfigError when the text is empty, is more than one statement, or has a placeholder that is not among `known`."""
    code = _without_comments(text)
    statement, rest = _first_statement(code)
    if not statement.strip():
        raise ConfigError("use the SQL file", to=where, found="it is empty", next="write one SELECT")
    if rest.strip(" \t\r\n\f\v;"):
        raise ConfigError(
            "use the SQL file",
            to=where,
            found=f"a second statement follows the first semicolon: {_short(rest)}",
            next="write one SELECT; Snowflake refuses several statements in one request",
        )
    unknown = sorted(set(_PLACEHOLDER.findall(code)) - set(known))
    if unknown or "{{" in _PLACEHOLDER.sub("", _QUOTES.sub("", code)):
        named = ", ".join(_written(name) for name in unknown)
        raise ConfigError(
            "fill in the SQL file",
            to=where,
            found=f"unknown placeholder {named}" if unknown else "a placeholder is not closed with }}",
            next=f"use one of: {', '.join(_written(name) for name in sorted(known))}",
        )


def render(text: str, where: str, /, **values: str) -> str:
    """The one statement of `text` with each `{{ name }}` replaced, without its semicolon. Comments stay as they are.

    ConfigError as of `check_sql`; it names the file, the placeholder and the allowed ones.
    """
    check_sql(text, where, values.keys())
    rendered: list[str] = []
    position = 0
    for piece in _PIECE.finditer(text):
        rendered.append(_filled(text[position : piece.start()], values))
        position = piece.end()
        if piece["end"]:
            return "".join(rendered).strip()
        rendered.append(piece[0] if piece["comment"] else _filled(piece[0], values))
    rendered.append(_filled(text[position:], values))
    return "".join(rendered).strip()


_QUOTES = re.compile(_QUOTED, re.DOTALL)


def _filled(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _without_comments(text: str) -> str:
    return _PIECE.sub(lambda piece: " " if piece["comment"] else piece[0], text)


def _first_statement(code: str) -> tuple[str, str]:
    """What is before the first semicolon outside quotes, and what is after it."""
    for piece in _PIECE.finditer(code):
        if piece["end"]:
            return code[: piece.start()], code[piece.end() :]
    return code, ""


def _written(name: str) -> str:
    return "{{ " + name + " }}"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= 60 else words[:57] + "...")
