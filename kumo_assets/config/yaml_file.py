"""One YAML file: its mapping, and where in it a field stands, for messages. What its fields may be is the models' business.

YAML lets a later key replace an earlier one of the same name without a word. Here that is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from kumo_assets.errors import ConfigError

# libyaml's loader is ten times as fast; the pure one is there where PyYAML was built without it.
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fast):  # type: ignore[misc]
    """A safe loader to which a key that is written twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            # `<<` merges another mapping in, and may be there several times.
            if name in lines and key.tag != "tag:yaml.org,2002:merge":
                raise _Twice(f"{key.value!r} is written twice, in lines {lines[name]} and {line}")
            lines[name] = line
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


class _Twice(ValueError):
    """A key that is written twice."""


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a file holds.

    ConfigError for a file that cannot be opened, is not UTF-8 or not YAML, has no mapping at the top, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "read", to=str(path), found=str(error), next="make it a file of UTF-8 text that this user may read"
        ) from error
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(
            "read", to=str(path), found=f"not YAML: {error}", next="fix the YAML at the line named"
        ) from error
    except _Twice as error:
        raise ConfigError("read", to=str(path), found=str(error), next="keep one of them") from error
    except ValueError as error:  # PyYAML makes dates with `datetime.date`, which refuses 2017-02-30
        raise ConfigError(
            "read", to=str(path), found=f"a date or number that does not exist: {error}", next="correct it"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError("read", to=str(path), found="no mapping at the top", next="write `type:` and `attributes:`")
    return document


def place_of(path: Path, field: Sequence[str | int]) -> tuple[int | None, str]:
    """(line, text as it is written) of a field, by its path from the top: that of the nearest section that exists when the
    field itself does not. The text is "" for what is no scalar. (None, "") when the file cannot be read any more."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Fast)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None, ""
    line = None
    for part in field:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                return line, ""
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line, ""
    return line, node.value if isinstance(node, yaml.ScalarNode) else ""
