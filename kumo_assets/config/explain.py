"""What is wrong with a definition, in a sentence for each field: its line, its value, and what would be right.

The models say what is wrong (pydantic); here it is told to whoever wrote the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from kumo_assets.config.yaml_file import place_of
from kumo_assets.errors import ConfigError


def explain(error: ValidationError, model: type[BaseModel], path: Path) -> ConfigError:
    """One ConfigError out of pydantic's list for the `attributes` of a file: line, field, value, and the allowed ones."""
    sentences = [_sentence(dict(item), model, path) for item in error.errors()]
    return ConfigError("read the definition", to=str(path), found="; ".join(sentences), next="fix the fields named")


def _sentence(item: dict[str, Any], model: type[BaseModel], path: Path) -> str:
    location: tuple[str | int, ...] = item["loc"]
    field = ".".join(("attributes", *map(str, location)))
    line, written = place_of(path, ("attributes", *location))
    where = f"line {line}, {field}" if line is not None else field
    if item["type"] == "extra_forbidden":
        return f"{where}: {_unknown(str(location[-1]), _fields_at(model, location[:-1]))}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "string_type" and isinstance(item.get("input"), int | float) and written:
        # YAML 1.1 reads 13:30 as a number of base 60, 1e3 as a float and `no` as false.
        return f'{where}: {written} without quotes is the {_kind(item["input"])} {item["input"]!r}; write "{written}"'
    if item["type"] == "missing" or (item["type"] == "value_error" and not location):
        # A whole section as the value would say less than the message, which is one of our own.
        return f"{where}: {message}"
    return f"{where}: {message} (found {_short(item.get('input'))})"


def _unknown(name: str, allowed: Sequence[str]) -> str:
    near = get_close_matches(name, allowed, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"there is no such field; {meant}It may have {', '.join(allowed)}" if allowed else "there is no such field"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The names that the section at this place may have; empty where that cannot be said."""
    models = [model]
    for part in location:
        models = [inner for outer in models for inner in _inside(outer, part)]
    return sorted({field.alias or name for found in models for name, field in found.model_fields.items()})


def _inside(model: type[BaseModel], part: str | int) -> Iterator[type[BaseModel]]:
    """The models that a field may hold. A key of a mapping, or a place in a list, leads to what its values are."""
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            yield from _models_in(field.annotation)
            return
    yield model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _kind(value: object) -> str:
    return "truth value" if isinstance(value, bool) else "number"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
