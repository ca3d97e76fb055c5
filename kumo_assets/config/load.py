"""Reading one definition file without Dagster: its YAML, and the model made from it, with errors that name the field.

Which files there are, and which of them a name stands for, is `index`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError

QUERY_TYPE = "kumo_assets.components.PredictiveQuery"
RAW_LOGS_TYPE = "kumo_assets.components.RawLogs"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class QueryDefinition:
    """One query's folder, read and checked. `sources` are the raw logs that it names, where they have been looked up."""

    name: str
    folder: Path
    spec: PredictiveQuerySpec
    sources: Mapping[str, RawSource] = field(default_factory=dict)


@dataclass(frozen=True)
class RawSource:
    """One raw log together with where its Snowflake table lives; `schema` is "" for one that has no table."""

    name: str
    database: str | None
    schema: str
    table: RawTable


def read_query(folder: Path) -> QueryDefinition:
    """The query whose folder this is; no other file is opened. ConfigError names file, field, value and what would be
    right."""
    path = folder / "defs.yaml"
    return query_of(path, read_document(path))


def query_of(path: Path, document: dict[str, Any]) -> QueryDefinition:
    """The query that a parsed file defines; ConfigError when it defines something else, or has a wrong field."""
    if document.get("type") != QUERY_TYPE:
        raise ConfigError(
            "read the query definition",
            to=str(path),
            found=f"type is {document.get('type')!r}",
            next=f"write `type: {QUERY_TYPE}`",
        )
    folder = path.parent
    return QueryDefinition(
        name=folder.name, folder=folder, spec=validate(PredictiveQuerySpec, document.get("attributes"), path)
    )


def read_document(path: Path) -> dict[str, Any]:
    """A file's YAML. ConfigError for one that cannot be opened, is not UTF-8 or not YAML, or has no mapping at the top."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "read", to=str(path), found=str(error), next="make it a file of UTF-8 text that this user may read"
        ) from error
    try:
        # libyaml's loader is ten times as fast; the pure one is there where PyYAML was built without it.
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(
            "read", to=str(path), found=f"not YAML: {error}", next="fix the YAML at the line named"
        ) from error
    except ValueError as error:  # PyYAML makes dates with `datetime.date`, which refuses 2017-02-30
        raise ConfigError(
            "read", to=str(path), found=f"a date or number that does not exist: {error}", next="correct it"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError("read", to=str(path), found="no mapping at the top", next="write `type:` and `attributes:`")
    return document


def validate(model: type[M], attributes: Any, path: Path) -> M:
    """The model made from a file's `attributes`; ConfigError with every wrong field otherwise."""
    try:
        return model.model_validate(attributes if attributes is not None else {})
    except ValidationError as error:
        raise explain(error, path) from error


def explain(error: ValidationError, path: Path) -> ConfigError:
    """One ConfigError out of pydantic's list: file, field, value, and the allowed ones."""
    lines = []
    for item in error.errors():
        field = "attributes." + ".".join(str(part) for part in item["loc"]) if item["loc"] else "attributes"
        value = "" if item["type"] == "missing" else f" (found {_short(item.get('input'))})"
        if item["type"] == "value_error":
            # The message is one of our own; of a whole section it says enough without repeating the section.
            value = value if item["loc"] else ""
        lines.append(f"{field}: {item['msg'].removeprefix('Value error, ')}{value}")
    return ConfigError("read the definition", to=str(path), found="; ".join(lines), next="fix the fields named")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
